"""`crpbot cluster down` leaves nothing that costs, from whatever state it begins."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from core.errors import CrpbotError
from tests.fake_aws.faults import Refusal
from tests.training.launching import LOOK_SECONDS, Laptop, served
from training.cluster.cloud import Answer, Cloud
from training.cluster.launcher import end, look
from training.cluster.mail import cluster_key
from training.cluster.regions import known_regions, note_region

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


def start(cloud: Cloud, *, kind: str = "worker", **more: object) -> str:
    """A machine of the cluster that no launch of ours knows of, as Ray's autoscaler starts them."""
    named = [TAG, {"Key": "ray-node-type", "Value": kind}]
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


class LateCloud(Cloud):
    """An EC2 that shows nothing for some looks."""

    looks = 0

    def ask(self, service: str, action: str, **asked: Any) -> Answer:  # Any: as Cloud has it
        if action in {"describe_instances", "describe_volumes"} and self.looks > 0:
            self.looks -= 1
            return {}
        return super().ask(service, action, **asked)


def test_a_head_that_was_just_begun_is_looked_for_until_ec2_shows_it(laptop: Laptop) -> None:
    laptop.launch()
    late = LateCloud(laptop.cloud.region, look_seconds=LOOK_SECONDS)
    late.looks = 24  # twelve of machines, twelve of disks
    left = end(laptop.cluster, late, None, laptop.said.append, is_sure=False, regions=laptop.regions)
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
    note_region(laptop.cluster.name, "eu-west-1", laptop.regions)
    far = laptop.cloud.in_region("eu-west-1")
    forgotten = start(far)
    laptop.launch()
    seen = look(laptop.cluster, laptop.cloud, None, regions=laptop.regions)
    assert {each.region for each in seen.instances} == {"us-east-1", "eu-west-1"}
    left = end(laptop.cluster, laptop.cloud, None, laptop.said.append, regions=laptop.regions)
    assert left.regions == ("us-east-1", "eu-west-1")
    assert forgotten in left.instances
    assert {each.state for each in laptop.aws.instances(region="eu-west-1")} == {"terminated"}


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
