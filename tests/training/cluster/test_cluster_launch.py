"""One head is started, once, with all it needs; whatever goes wrong leaves nothing that costs."""

import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core.errors import CrpbotError
from tests.fake_aws.faults import Refusal, Wire
from tests.training.cluster.test_cluster_end import start
from tests.training.launching import LIMITS, LOOK_SECONDS, Laptop, served
from training.cluster.cloud import TRIES, Answer, Cloud
from training.cluster.cost import lifetime_hours
from training.cluster.ending import end_launch
from training.cluster.launcher import launch, look, wait_ready
from training.cluster.mail import MOST_TEXT_BYTES, State, cluster_key, read_boot, write_boot, write_state
from training.cluster.regions import note_region


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    folder = tmp_path_factory.mktemp("laptop")
    with served(folder) as aws:
        laptop = Laptop(aws, folder)
        laptop.prepare()
        yield laptop


@pytest.fixture
def laptop(prepared: Laptop) -> Laptop:
    prepared.start_anew()
    return prepared


def refused(laptop: Laptop) -> CrpbotError:
    """The launch's error, with one sentence and a remedy, and nothing that was left behind."""
    with pytest.raises(CrpbotError) as caught:
        laptop.launch()
    assert "remedy: " in caught.value.detail
    assert "\n" not in caught.value.detail
    assert not laptop.aws.alive()
    assert not laptop.aws.volumes()
    return caught.value


def test_one_head_is_started_with_everything_in_one_call(laptop: Laptop) -> None:
    boot = laptop.launch()
    (head,) = laptop.aws.alive()
    assert head.instance_type == "t3.large"
    assert not head.is_spot
    assert head.on_shutdown == "terminate"
    assert head.profile == "crpbot-training-head"
    assert dict(head.tags) == {
        "Name": "ray-crpbot-training-head",
        "crpbot-cluster": "crpbot-training",
        "crpbot-launch": boot.launch,
        "ray-cluster-name": "crpbot-training",
        "ray-launch-config": boot.launch,
        "ray-node-status": "up-to-date",
        "ray-node-type": "head",
        "ray-user-node-type": "head",
    }
    assert f"export CRPBOT_BOOT={boot.url}/clusters/crpbot-training/{boot.launch}/boot.json\n" in head.user_data
    assert len(laptop.aws.asked("RunInstances")) == 1
    assert not laptop.aws.asked("CreateTags")


def test_before_the_head_is_asked_for_all_that_it_needs_lies_in_the_bucket(laptop: Laptop) -> None:
    boot = laptop.launch()
    kept = read_boot(laptop.files.read(cluster_key(boot.cluster, boot.launch, "boot.json"), most=MOST_TEXT_BYTES))
    assert kept == boot
    assert boot.ends_at - boot.launched_at == pytest.approx(lifetime_hours(laptop.cluster, LIMITS) * 3600.0)
    scaling = json.loads(
        laptop.files.read(cluster_key(boot.cluster, boot.launch, "autoscaler.json"), most=MOST_TEXT_BYTES)
    )
    assert scaling["cluster_name"] == boot.cluster
    assert f"code/{boot.code}.zip" in laptop.files.stamps("code/")
    asked = [each.action for each in laptop.aws.calls]
    last_write = max(number for number, action in enumerate(asked) if action == "PutObject")
    assert last_write < asked.index("RunInstances")


def test_code_that_the_bucket_has_is_not_sent_again(laptop: Laptop) -> None:
    laptop.launch()
    laptop.end()
    laptop.aws.calls.clear()
    laptop.launch()
    assert not [each for each in laptop.aws.asked("PutObject") if "/code/" in each.parameters["Key"]]


def test_a_second_launch_is_refused_and_told_of_the_first(laptop: Laptop) -> None:
    laptop.launch()
    (head,) = laptop.aws.alive()
    with pytest.raises(CrpbotError, match=rf"is up already: head {head.id} in .* since 20.* UTC.*remedy: ") as caught:
        laptop.launch()
    assert caught.value.reason == "CLUSTER_IS_UP"
    assert [each.id for each in laptop.aws.alive()] == [head.id]


@pytest.mark.parametrize("region", ["eu-west-1", "sa-east-1"], ids=["priced", "launched in before"])
def test_a_second_launch_is_refused_wherever_the_first_one_is(laptop: Laptop, region: str) -> None:
    far = laptop.cloud.in_region(region)
    note_region(laptop.cluster.name, region, laptop.regions if region == "sa-east-1" else laptop.folder / "theirs.json")
    head = start(far, kind="head")
    with pytest.raises(CrpbotError, match=rf"is up already: g4dn.xlarge {head} in {region}\w") as caught:
        laptop.launch()
    assert caught.value.reason == "CLUSTER_IS_UP"
    assert not laptop.begun
    laptop.end()


def test_of_two_launches_at_once_the_later_one_ends_its_own_head(laptop: Laptop) -> None:
    first: list[str] = []

    def tell(words: str) -> None:
        if words.startswith("code"):  # behind the check that nothing is up, before the head
            first.append(laptop.launch().launch)
            time.sleep(1.0 - time.time() % 1.0)  # EC2 tells launch times in whole seconds

    with pytest.raises(CrpbotError, match=r"launched twice at once, and i-\w+ in us-east-1\w was first") as caught:
        launch(laptop.cluster, LIMITS, laptop.cloud, laptop.files, tell, regions=laptop.regions)
    assert "ended its own head" in caught.value.detail
    assert [each.tags["crpbot-launch"] for each in laptop.aws.alive()] == first
    assert len(laptop.begun) == 2


def test_where_a_zone_is_full_the_next_is_asked(laptop: Laptop) -> None:
    laptop.aws.plan(Refusal.NO_CAPACITY, "RunInstances", times=8)  # botocore repeats a 500 four times
    laptop.launch()
    (head,) = laptop.aws.alive()
    assert head.zone == "us-east-1c"


def test_an_answer_that_is_lost_starts_no_second_head(laptop: Laptop) -> None:
    laptop.aws.plan(Wire.DROP_WHEN_DONE, "RunInstances")
    laptop.launch()
    assert len(laptop.aws.asked("RunInstances")) == 2
    assert len(laptop.begun) == 1


def test_a_head_whose_start_nobody_confirmed_is_ended(laptop: Laptop) -> None:
    laptop.aws.plan(Wire.DROP_WHEN_DONE, "RunInstances", times=100)
    assert refused(laptop).reason == "AWS_UNREACHABLE"
    assert len(laptop.begun) == 1


def test_a_profile_that_ec2_does_not_see_yet_is_waited_for(laptop: Laptop) -> None:
    laptop.aws.plan(Refusal.NEW_PROFILE, "RunInstances", times=3)
    laptop.launch()
    assert len(laptop.aws.alive()) == 1


@pytest.mark.parametrize(
    ("fault", "action", "reason", "words"),
    [
        (Refusal.VCPU_LIMIT, "RunInstances", "QUOTA_EXCEEDED", "L-1216C47A"),
        (Refusal.NO_CAPACITY, "RunInstances", "NO_CAPACITY", "no t3.large in any of 5 zones of us-east-1"),
        (Refusal.NOT_ALLOWED, "RunInstances", "ACCESS_DENIED", "ec2:RunInstances; remedy: .*launcher-policy.json"),
        (Refusal.NEW_PROFILE, "RunInstances", "PROFILE_NOT_SEEN", "crpbot-training-head"),
        (Refusal.TOO_FAST, "RunInstances", "TOO_MANY_REQUESTS", "wait a minute"),
        (Refusal.NO_IMAGE, "DescribeImages", "UNKNOWN_IMAGE", "no machine image ami-"),
        (Refusal.NO_PARAMETER, "GetParameter", "UNKNOWN_IMAGE", "no machine image /aws/service/"),
        (Refusal.WRONG_KEY, "GetCallerIdentity", "CREDENTIALS_WRONG", "aws sts get-caller-identity"),
        (Refusal.ACCESS_DENIED, "PutObject", "BUCKET_DENIED", "AWS does not allow PutObject"),
        (Wire.DROP, "DescribeSubnets", "AWS_UNREACHABLE", "cannot be reached"),
    ],
)
def test_what_aws_refuses_is_told_in_a_sentence_and_nothing_is_left(
    laptop: Laptop, fault: Refusal | Wire, action: str, reason: str, words: str
) -> None:
    laptop.aws.plan(fault, action, times=1_000)
    error = refused(laptop)
    assert error.reason == reason
    with pytest.raises(CrpbotError, match=words):
        raise error
    assert not laptop.begun


def test_without_credentials_the_three_usual_ways_are_named(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    laptop.cloud = Cloud("us-east-1")
    error = refused(laptop)
    assert error.reason == "NO_CREDENTIALS"
    for way in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "instance role"):
        assert way in error.detail


def test_an_unknown_region_is_refused_before_anybody_is_asked(laptop: Laptop) -> None:
    laptop.aws.calls.clear()
    files = laptop.files
    with pytest.raises(CrpbotError, match="unknown AWS region 'us-east-11'; did you mean us-east-1") as caught:
        launch(laptop.cluster, LIMITS, Cloud("us-east-11"), files, laptop.said.append, regions=laptop.regions)
    assert caught.value.reason == "UNKNOWN_REGION"
    assert {each.action for each in laptop.aws.calls} <= {"GetCallerIdentity"}


def test_an_unknown_image_is_refused(laptop: Laptop) -> None:
    wrong = laptop.with_type("gpu-spot", ImageId="ami-00000000000000000")
    error = refused(wrong)
    assert "no machine image ami-00000000000000000" in error.detail


def test_ctrl_c_ends_the_head_that_was_begun(laptop: Laptop) -> None:
    def tell(words: str) -> None:
        if words.startswith("head i-"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(laptop.cluster, LIMITS, laptop.cloud, laptop.files, tell, regions=laptop.regions)
    assert len(laptop.begun) == 1
    assert not laptop.aws.alive()
    assert not laptop.aws.volumes()


class SlowCloud(Cloud):
    """An EC2 that shows a machine only after some looks, and a call for it of which nobody hears the end."""

    def __init__(self, laptop: Laptop, looks: int) -> None:
        super().__init__(laptop.cloud.region, look_seconds=LOOK_SECONDS)
        self._looks, self._is_begun = looks, False

    def ask(self, service: str, action: str, **asked: Any) -> Answer:  # Any: as Cloud has it
        answer = super().ask(service, action, **asked)
        if action == "run_instances":
            self._is_begun = True
            raise KeyboardInterrupt
        if self._is_begun and action in {"describe_instances", "describe_volumes"} and self._looks > 0:
            self._looks -= 1
            return {}
        return answer


def test_ctrl_c_while_the_head_is_asked_for_ends_one_that_ec2_shows_late(laptop: Laptop) -> None:
    laptop.cloud = SlowCloud(laptop, looks=24)  # twelve of machines, twelve of disks
    with pytest.raises(KeyboardInterrupt):
        laptop.launch()
    assert len(laptop.begun) == 1
    assert not laptop.aws.alive()
    assert not laptop.aws.volumes()
    assert "it is looked for" in " ".join(laptop.said)
    assert laptop.said[-1] == "nothing of this launch is left"


class LateCloud(Cloud):
    """An EC2 that shows no machine for some looks."""

    def __init__(self, region: str, looks: int) -> None:
        super().__init__(region, look_seconds=LOOK_SECONDS)
        self.looks = looks

    def ask(self, service: str, action: str, **asked: Any) -> Answer:  # Any: as Cloud has it
        if action == "describe_instances" and self.looks > 0:
            self.looks -= 1
            return {}
        return super().ask(service, action, **asked)


def test_a_head_that_ec2_shows_late_is_waited_for_and_is_not_gone(laptop: Laptop) -> None:
    boot = laptop.launch()

    def tell(words: str) -> None:
        laptop.said.append(words)
        if "installs its programs" in words:
            key = cluster_key(boot.cluster, boot.launch, "state.json")
            laptop.files.write(key, write_state(State(1.0, "ready")))

    late = LateCloud(laptop.cloud.region, looks=12)
    assert wait_ready(boot, late, laptop.files, tell).phase == "ready"
    assert "EC2 does not show the head" in laptop.said


def test_what_aws_refused_itself_is_not_looked_for_so_long(laptop: Laptop) -> None:
    laptop.aws.plan(Refusal.VCPU_LIMIT, "RunInstances")
    laptop.aws.calls.clear()
    refused(laptop)
    assert "it is looked for" not in " ".join(laptop.said)
    assert len(laptop.aws.asked("DescribeVolumes")) == 2


def test_a_head_that_is_known_is_ended_by_its_id_though_ec2_does_not_show_it(laptop: Laptop) -> None:
    laptop.launch()
    (head,) = laptop.aws.alive()
    end_launch(laptop.cloud, "another", laptop.said.append, head=head.id, is_sure=True)
    assert not laptop.aws.alive()


def test_the_console_is_asked_for_as_it_is_now(laptop: Laptop) -> None:
    boot = laptop.launch()
    with pytest.raises(CrpbotError, match="it wrote last:\nLinux version"):
        wait_ready(boot, laptop.cloud, laptop.files, laptop.said.append, limit_seconds=0.0)
    assert [each.parameters["Latest"] for each in laptop.aws.asked("GetConsoleOutput")] == ["true"]


def test_a_launch_that_cannot_be_undone_says_what_will_end_it(laptop: Laptop) -> None:
    laptop.aws.plan(Refusal.BROKEN, "TerminateInstances", times=1_000)

    def tell(words: str) -> None:
        laptop.said.append(words)
        if words.startswith("head i-"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(laptop.cluster, LIMITS, laptop.cloud, laptop.files, tell, regions=laptop.regions)
    assert "Run crpbot cluster down as soon as AWS answers; if nobody does, the cluster ends itself" in laptop.said[-1]


class HastyCloud(Cloud):
    """Somebody presses Ctrl-C while the head is asked for, and again while it is ended."""

    def ask(self, service: str, action: str, **asked: Any) -> Answer:  # Any: as Cloud has it
        answer = super().ask(service, action, **asked)
        if action in {"run_instances", "terminate_instances"}:
            raise KeyboardInterrupt
        return answer


def test_a_second_ctrl_c_while_ending_says_so_too(laptop: Laptop) -> None:
    laptop.cloud = HastyCloud(laptop.cloud.region, look_seconds=LOOK_SECONDS)
    with pytest.raises(KeyboardInterrupt):
        laptop.launch()
    assert "the ending was interrupted (KeyboardInterrupt). Run crpbot cluster down" in laptop.said[-1]


def test_nothing_that_is_told_interrupts_the_ending(laptop: Laptop) -> None:
    def tell(words: str) -> None:
        laptop.said.append(words)
        if laptop.begun:  # from the head's first word on: a signal that is raised again and again
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(laptop.cluster, LIMITS, laptop.cloud, laptop.files, tell, regions=laptop.regions)
    assert len(laptop.begun) == 1
    assert not laptop.aws.alive()
    assert not laptop.aws.volumes()
    assert "nothing of this launch is left" in laptop.said


def test_a_launch_that_is_undone_is_not_the_newest_of_its_cluster(laptop: Laptop) -> None:
    boot = laptop.launch()
    laptop.end()
    laptop.aws.plan(Refusal.VCPU_LIMIT, "RunInstances")
    refused(laptop)
    assert laptop.files.stamps("clusters/").keys() == {
        cluster_key(boot.cluster, boot.launch, name) for name in ("autoscaler.json", "boot.json")
    }


def test_code_that_was_packed_for_a_job_is_what_the_machines_run(laptop: Laptop) -> None:
    boot = launch(
        laptop.cluster,
        LIMITS,
        laptop.cloud,
        laptop.files,
        laptop.said.append,
        packed=(b"a bundle", "0f" * 32),
        regions=laptop.regions,
    )
    assert boot.code == "0f" * 32
    assert laptop.files.read(f"code/{boot.code}.zip", most=MOST_TEXT_BYTES) == b"a bundle"
    assert boot.code in laptop.aws.alive()[0].user_data


def test_a_head_is_waited_for_until_it_says_that_it_is_ready(laptop: Laptop) -> None:
    boot = laptop.launch()
    key = cluster_key(boot.cluster, boot.launch, "state.json")

    def tell(words: str) -> None:
        laptop.said.append(words)
        if "installs its programs" in words:
            laptop.files.write(key, write_state(State(1.0, "starting")))
        if "says: starting" in words:
            laptop.files.write(key, write_state(State(2.0, "ready")))

    assert wait_ready(boot, laptop.cloud, laptop.files, tell).phase == "ready"
    assert "is ready after" in laptop.said[-1]


@pytest.mark.parametrize("fault", [Refusal.TOO_FAST, Wire.DROP], ids=["too many requests", "no connection"])
@pytest.mark.parametrize("action", ["DescribeInstances", "GetObject"])
def test_a_launch_outlives_an_answer_that_is_lost_while_it_waits(
    laptop: Laptop, fault: Refusal | Wire, action: str
) -> None:
    boot = laptop.launch()
    key = cluster_key(boot.cluster, boot.launch, "state.json")
    laptop.files.write(key, write_state(State(1.0, "starting")))
    laptop.aws.plan(fault, action, times=10 * TRIES)

    def tell(words: str) -> None:
        laptop.said.append(words)
        if words.startswith("trying again: "):
            laptop.aws.heal()
            laptop.files.write(key, write_state(State(2.0, "ready")))

    assert wait_ready(boot, laptop.cloud, laptop.files, tell).phase == "ready"
    assert [words for words in laptop.said if words.startswith("trying again: ")]


def test_a_connection_that_stays_lost_while_the_head_starts_is_an_error(laptop: Laptop) -> None:
    boot = laptop.launch()
    laptop.aws.plan(Wire.DROP, "DescribeInstances", times=1_000)
    with pytest.raises(CrpbotError, match="AWS cannot be reached"):
        wait_ready(boot, laptop.cloud, laptop.files, laptop.said.append, outage_seconds=0.0)


def test_what_will_not_pass_is_not_asked_again_while_the_head_starts(laptop: Laptop) -> None:
    boot = laptop.launch()
    laptop.aws.plan(Refusal.NOT_ALLOWED, "DescribeInstances")
    with pytest.raises(CrpbotError, match="may not do"):
        wait_ready(boot, laptop.cloud, laptop.files, laptop.said.append)


def test_a_head_that_ends_while_it_starts_is_told_of_with_its_last_words(laptop: Laptop) -> None:
    boot = laptop.launch()
    laptop.files.write(
        cluster_key(boot.cluster, boot.launch, "trouble/i-1.txt"), b"boot of the head failed at 'fetch the code'\n"
    )
    laptop.aws.end([laptop.aws.alive()[0].id])
    with pytest.raises(CrpbotError, match="ended while it was starting: the head is gone") as caught:
        wait_ready(boot, laptop.cloud, laptop.files, laptop.said.append)
    assert caught.value.detail.endswith("boot of the head failed at 'fetch the code'")


def test_a_head_that_never_says_anything_is_not_waited_for_for_ever(laptop: Laptop) -> None:
    boot = laptop.launch()
    with pytest.raises(CrpbotError, match=r"was not ready after 0\.\d+ minutes: the head i-\w+") as caught:
        wait_ready(boot, laptop.cloud, laptop.files, laptop.said.append, limit_seconds=0.1)
    assert "remedy: crpbot cluster down" in caught.value.detail


def test_a_look_is_at_the_launch_whose_head_is_up_though_another_one_is_newer(laptop: Laptop) -> None:
    boot = laptop.launch()
    newer = dataclasses.replace(boot, launch="20991231T000000Z-ffff")
    laptop.files.write(cluster_key(boot.cluster, newer.launch, "boot.json"), write_boot(newer))
    assert look(laptop.cluster, laptop.cloud, laptop.files, regions=laptop.regions).boot == boot
    laptop.files.remove(cluster_key(boot.cluster, boot.launch, "boot.json"))
    assert look(laptop.cluster, laptop.cloud, laptop.files, regions=laptop.regions).boot is None, "it is elsewhere"
    laptop.end()
    assert look(laptop.cluster, laptop.cloud, laptop.files, regions=laptop.regions).boot == newer


def test_a_look_shows_machines_disks_and_what_the_head_said(laptop: Laptop) -> None:
    nothing = look(laptop.cluster, laptop.cloud, laptop.files, regions=laptop.regions)
    assert nothing[:4] == ((), (), None, None)
    assert nothing.unseen == ()
    boot = laptop.launch()
    laptop.files.write(cluster_key(boot.cluster, boot.launch, "state.json"), write_state(State(1.0, "ready")))
    seen = look(laptop.cluster, laptop.cloud, laptop.files, regions=laptop.regions)
    (head,) = seen.instances
    assert head.is_head
    assert (head.node_type, head.lifecycle, head.launch) == ("head", "on-demand", boot.launch)
    assert [each.size_gb for each in seen.volumes] == [40]
    assert seen.boot == boot
    assert seen.state == State(1.0, "ready")
