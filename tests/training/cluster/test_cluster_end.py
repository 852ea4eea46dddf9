"""`crpbot cluster down` leaves nothing that costs, from whatever state it begins."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from core.errors import CrpbotError
from tests.fake_aws.faults import Refusal
from tests.training.launching import LOOK_SECONDS, Laptop, served
from training.cluster.cloud import TRIES, Answer, Cloud
from training.cluster.cloud_errors import explain
from training.cluster.launcher import end, end_boot, look
from training.cluster.mail import cluster_key
from training.cluster.price_list import priced_regions
from training.cluster.regions import known_regions, note_region

FAR = "sa-east-1"
TAG = {"Key": "crpbot-cluster", "Value": "crpbot-training"}


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


def start(cloud: Cloud, *, kind: str = "worker", launch: str | None = None, **more: object) -> str:
    """A machine of the cluster, as Ray's autoscaler starts them; of a launch that nobody knows, or of that one."""
    named = [TAG, {"Key": "ray-node-type", "Value": kind}]
    named += [{"Key": "crpbot-launch", "Value": launch}] if launch else []
    tags = [{"ResourceType": each, "Tags": named} for each in ("instance", "volume")]
    disk = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}}]
    what = {"ImageId": "ami-12c6146b", "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 1}
    answer = cloud.ask("ec2", "run_instances", **what, TagSpecifications=tags, BlockDeviceMappings=disk, **more)
    return str(answer["Instances"][0]["InstanceId"])


def nothing(laptop: Laptop) -> None:
    """No launch ever."""


def pending(laptop: Laptop) -> None:
    laptop.launch()


def running(laptop: Laptop) -> None:
    laptop.launch()
    start(laptop.cloud, InstanceMarketOptions={"MarketType": "spot"})
    start(laptop.cloud)
    while {each.state for each in laptop.aws.alive()} != {"running"}:
        laptop.cloud.wait()


def stopped(laptop: Laptop) -> None:
    running(laptop)
    for each in laptop.aws.alive():
        if not each.is_spot:
            laptop.aws.stop(each.id)


def without_its_head(laptop: Laptop) -> None:
    start(laptop.cloud)


def ending(laptop: Laptop) -> None:
    running(laptop)
    laptop.aws.end(each.id for each in laptop.aws.alive())


@pytest.mark.parametrize("state", [nothing, pending, running, stopped, without_its_head, ending])
def test_from_any_state_nothing_is_left(laptop: Laptop, state: Callable[[Laptop], None]) -> None:
    state(laptop)
    laptop.end(laptop.files)
    assert {each.state for each in laptop.begun} <= {"terminated"}
    assert not laptop.aws.volumes()
    assert look(laptop.cluster, laptop.cloud, laptop.files, regions=laptop.regions)[:2] == ((), ())
    assert "0 machines and 0 disks of crpbot-training are left in us-east-1" in laptop.said[-2]
    assert "what costs nothing stays" in laptop.said[-1]


def test_the_head_is_ended_first_so_that_it_starts_nobody(laptop: Laptop) -> None:
    worker, head = start(laptop.cloud), start(laptop.cloud, kind="head")
    assert laptop.end() == (head, worker)


def test_a_machine_that_is_born_while_others_end_is_ended_too(laptop: Laptop) -> None:
    laptop.launch()
    late: list[str] = []

    def tell(words: str) -> None:
        if words.startswith("ending head"):  # the autoscaler's last call was under way
            late.append(start(laptop.cloud))

    left = end(laptop.cluster, laptop.cloud, None, tell, regions=laptop.regions)
    assert late[0] in left.instances
    assert not laptop.aws.alive()


class HomeOnly(Cloud):
    """An account that has enabled one region."""

    def in_region(self, region: str) -> Cloud:
        return self if region == self.region else Closed(region)


class Closed(Cloud):
    """A region that the account has not enabled."""

    def ask(self, service: str, action: str, **asked: Any) -> Answer:  # Any: as Cloud has it
        words = "AWS was not able to validate the provided access credentials"
        answer = {"Error": {"Code": "AuthFailure", "Message": words}}
        raise explain(ClientError(answer, action), f"{service}:{action}", self.region, asked)


class LateCloud(Cloud):
    """An EC2 that shows nothing for some looks."""

    looks = 0

    def ask(self, service: str, action: str, **asked: Any) -> Answer:  # Any: as Cloud has it
        if action in {"describe_instances", "describe_volumes"} and self.looks > 0:
            self.looks -= 1
            return {}
        return super().ask(service, action, **asked)


def test_a_head_that_was_just_begun_is_looked_for_until_ec2_shows_it(laptop: Laptop) -> None:
    boot = laptop.launch()
    late = LateCloud(laptop.cloud.region, look_seconds=LOOK_SECONDS)
    late.looks = 24  # twelve of machines, twelve of disks
    left = end_boot(boot, late, laptop.files, laptop.said.append)
    assert len(left.instances) == 1
    assert not laptop.aws.alive()


def test_disks_that_machines_left_are_deleted_and_others_are_not(laptop: Laptop) -> None:
    ask = laptop.cloud.ask
    where = {"AvailabilityZone": "us-east-1a", "Size": 8}
    ours = ask("ec2", "create_volume", **where, TagSpecifications=[{"ResourceType": "volume", "Tags": [TAG]}])
    others = ask("ec2", "create_volume", **where)
    left = end(laptop.cluster, laptop.cloud, None, laptop.said.append, regions=laptop.regions)
    assert left.volumes == (ours["VolumeId"],)
    assert laptop.aws.volumes() == [others["VolumeId"]]
    ask("ec2", "delete_volume", VolumeId=others["VolumeId"])


def test_machines_of_others_are_left_alone(laptop: Laptop) -> None:
    what = {"ImageId": "ami-12c6146b", "InstanceType": "t3.large", "MinCount": 1, "MaxCount": 1}
    other = laptop.cloud.ask("ec2", "run_instances", **what)["Instances"][0]["InstanceId"]
    laptop.launch()
    laptop.end()
    assert [each.id for each in laptop.aws.alive()] == [other]
    laptop.cloud.ask("ec2", "terminate_instances", InstanceIds=[other])


def test_regions_of_earlier_launches_are_looked_at_too(laptop: Laptop) -> None:
    note_region(laptop.cluster.name, FAR, laptop.regions)  # which no price is known of
    laptop.launch()
    forgotten = start(laptop.cloud.in_region(FAR))
    seen = look(laptop.cluster, laptop.cloud, None, regions=laptop.regions)
    assert {each.region for each in seen.instances} == {"us-east-1", FAR}
    left = end(laptop.cluster, laptop.cloud, None, laptop.said.append, regions=laptop.regions)
    assert left.regions[:2] == ("us-east-1", FAR)
    assert forgotten in left.instances
    assert {each.state for each in laptop.aws.instances(region=FAR)} == {"terminated"}


def test_a_cluster_that_another_laptop_launched_elsewhere_is_seen_and_ended(laptop: Laptop) -> None:
    theirs = start(laptop.cloud.in_region("eu-central-1"), kind="head")
    seen = look(laptop.cluster, laptop.cloud, None, regions=laptop.regions)
    assert [(each.id, each.region) for each in seen.instances] == [(theirs, "eu-central-1")]
    assert set(seen.regions) == set(priced_regions())
    left = end(laptop.cluster, laptop.cloud, None, laptop.said.append, regions=laptop.regions)
    assert left.instances == (theirs,)
    assert set(left.regions) == set(priced_regions())


def test_a_region_that_the_account_does_not_have_is_told_of_and_fails_nothing(laptop: Laptop) -> None:
    laptop.launch()
    known = HomeOnly(laptop.cloud.region, look_seconds=LOOK_SECONDS)
    seen = look(laptop.cluster, known, None, regions=laptop.regions)
    assert seen.regions == ("us-east-1",)
    assert len(seen.instances) == 1
    assert len(seen.unseen) == len(priced_regions()) - 1
    assert seen.unseen[0].startswith("us-east-2 was not looked at: ")
    left = end(laptop.cluster, known, None, laptop.said.append, regions=laptop.regions)
    assert (left.regions, len(left.instances)) == (("us-east-1",), 1)
    assert seen.unseen[0] in laptop.said
    assert any(words.endswith("are left in us-east-1") for words in laptop.said)


def test_the_end_of_a_launch_ends_no_newer_one_of_the_same_name(laptop: Laptop) -> None:
    old = laptop.launch()
    laptop.end()
    new = laptop.launch()
    (head,) = laptop.aws.alive()
    worker = start(laptop.cloud, launch=new.launch)
    key = cluster_key(new.cluster, new.launch, "token")
    laptop.files.write(key, b"x")
    laptop.files.write(cluster_key(old.cluster, old.launch, "token"), b"x")
    left = end_boot(old, laptop.cloud, laptop.files, laptop.said.append)
    assert left == (("us-east-1",), (), ())
    assert [each.id for each in laptop.aws.alive()] == [head.id, worker]
    assert [name for name in laptop.files.stamps("clusters/") if name.endswith("/token")] == [key]
    assert f"0 machines and 0 disks of crpbot-training, launch {old.launch}, are left" in laptop.said[-2]


def test_the_end_of_a_launch_ends_its_workers_in_its_region_too(laptop: Laptop) -> None:
    boot = laptop.launch()
    start(laptop.cloud, launch=boot.launch)
    start(laptop.cloud, launch=boot.launch, InstanceMarketOptions={"MarketType": "spot"})
    elsewhere = Cloud("eu-west-1", look_seconds=LOOK_SECONDS)  # the file names another region by now
    assert len(end_boot(boot, elsewhere, laptop.files, laptop.said.append).instances) == 3
    assert not laptop.aws.alive()
    assert not laptop.aws.volumes()


class Protected(Cloud):
    """An EC2 in whose console somebody protected machines against their end."""

    def __init__(self, *machines: str) -> None:
        super().__init__("us-east-1", look_seconds=LOOK_SECONDS)
        self._machines = machines

    def ask(self, service: str, action: str, **asked: Any) -> Answer:  # Any: as Cloud has it
        if action == "terminate_instances" and asked["InstanceIds"][0] in self._machines:
            words = "The instance may not be terminated. Modify its 'disableApiTermination' instance attribute"
            answer = {"Error": {"Code": "OperationNotPermitted", "Message": words}}
            raise explain(ClientError(answer, action), f"{service}:{action}", self.region, asked)
        return super().ask(service, action, **asked)


@pytest.mark.parametrize("kind", ["head", "worker"])
def test_a_machine_that_aws_does_not_let_us_end_keeps_no_other(laptop: Laptop, kind: str) -> None:
    boot = laptop.launch()
    workers = [start(laptop.cloud, launch=boot.launch) for _ in range(2)]
    (head,) = [each.id for each in laptop.aws.alive() if each.id not in workers]
    kept = head if kind == "head" else workers[0]
    with pytest.raises(CrpbotError, match=f"^{kept} in us-east-1 was not ended: ") as caught:
        end_boot(boot, Protected(kept), laptop.files, laptop.said.append)
    assert caught.value.reason == "PROTECTED"
    assert "remedy: take the protection against termination away" in caught.value.detail
    assert [each.id for each in laptop.aws.alive()] == [kept]
    assert len(laptop.aws.volumes()) == 1, "its own"


def test_each_machine_that_could_not_be_ended_is_named(laptop: Laptop) -> None:
    kept = [start(laptop.cloud) for _ in range(2)]
    other = start(laptop.cloud)
    with pytest.raises(CrpbotError) as caught:
        end(laptop.cluster, Protected(*kept), None, laptop.said.append, regions=laptop.regions)
    for each in kept:
        assert f"{each} in us-east-1 was not ended: " in caught.value.detail
    assert other not in caught.value.detail
    assert [each.id for each in laptop.aws.alive()] == kept


def test_a_machine_whose_end_fails_once_is_ended_at_the_next_look(laptop: Laptop) -> None:
    laptop.launch()
    laptop.aws.plan(Refusal.TOO_FAST, "TerminateInstances", times=TRIES)
    assert len(laptop.end()) == 1
    assert not laptop.aws.alive()


def test_a_region_is_noted_before_the_first_machine_and_once(laptop: Laptop) -> None:
    assert known_regions("crpbot-training", "eu-west-1", laptop.regions) == ("eu-west-1",)
    laptop.aws.plan(Refusal.VCPU_LIMIT, "RunInstances")
    with pytest.raises(CrpbotError):
        laptop.launch()
    laptop.launch()
    assert known_regions("crpbot-training", "eu-west-1", laptop.regions) == ("eu-west-1", "us-east-1")


def test_a_list_of_regions_that_cannot_be_read_is_told_with_its_remedy(laptop: Laptop) -> None:
    laptop.regions.write_text("{")
    with pytest.raises(CrpbotError, match="in which regions clusters were launched; remedy: look in the EC2 console"):
        laptop.end()


def test_a_bucket_that_is_gone_keeps_no_machine_from_being_ended(laptop: Laptop) -> None:
    from core.adapters.files.places import open_files

    laptop.launch()
    laptop.end(open_files("s3://a-bucket-that-is-gone/training"))
    assert not laptop.aws.alive()
    assert any("were not removed from the bucket: there is no bucket" in words for words in laptop.said)


def test_the_token_of_a_launch_goes_with_it(laptop: Laptop) -> None:
    boot = laptop.launch()
    for name in ("token", "head.json", "state.json"):
        laptop.files.write(cluster_key(boot.cluster, boot.launch, name), b"x")
    laptop.end(laptop.files)
    kept = {name.rpartition("/")[2] for name in laptop.files.stamps(f"clusters/{boot.cluster}/")}
    assert kept == {"boot.json", "autoscaler.json", "state.json"}


def test_where_a_region_cannot_be_looked_at_the_others_are_ended_and_it_is_an_error(laptop: Laptop) -> None:
    note_region(laptop.cluster.name, "eu-west-1", laptop.regions)
    laptop.launch()
    laptop.aws.plan(Refusal.ACCESS_DENIED, "DescribeInstances")  # of the first region that is asked
    far = start(laptop.cloud.in_region("eu-west-1"))
    with pytest.raises(CrpbotError, match="may not do ec2:DescribeInstances; remedy"):
        laptop.end()
    states = {each.id: each.state for each in laptop.aws.instances(region="eu-west-1")}
    assert states[far] == "terminated"
