"""The AWS that the cluster's tests speak to behaves as the real one where moto does not."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_aws.faults import Refusal, Wire
from tests.fake_aws.gaps import GPU_IMAGES
from tests.fake_aws.hosts import Hosts
from tests.fake_aws.metadata import FakeMetadata
from tests.fake_aws.server import FakeAws
from tests.training.launching import served

pytestmark = pytest.mark.slow

WAIT_SECONDS = 240.0  # of a busy machine
USER_DATA = """#!/bin/bash
aws s3 cp --only-show-errors s3://letters/a "$FAKE_ROOT/letter"
systemd-run --unit=work --property=Restart=always --property=RestartSec=0.1 bash -c 'echo alive; sleep 300'
"""


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[FakeAws]:
    with served(tmp_path) as aws:
        yield aws


def client(name: str) -> Any:  # Any: boto3 makes its clients' classes when it runs
    import boto3
    from botocore.config import Config

    return boto3.Session().client(name, config=Config(retries={"total_max_attempts": 2, "mode": "standard"}))


def run(**more: object) -> list[str]:
    """Starts machines; their ids."""
    image = client("ssm").get_parameter(Name=GPU_IMAGES)["Parameter"]["Value"]
    asked = {"ImageId": image, "InstanceType": "g4dn.xlarge", "MinCount": 1, "MaxCount": 1, **more}
    return [each["InstanceId"] for each in client("ec2").run_instances(**asked)["Instances"]]


def wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_as_many_machines_start_as_may(aws: FakeAws) -> None:
    assert len(run(MinCount=1, MaxCount=3)) == 3


def test_a_launch_whose_answer_was_lost_is_not_done_twice(aws: FakeAws) -> None:
    aws.plan(Wire.DROP_WHEN_DONE, "RunInstances")
    names = run(ClientToken="once")
    assert len(aws.asked("RunInstances")) == 2
    assert [each.id for each in aws.instances()] == names


def test_a_machine_takes_time_to_run_and_to_go_and_takes_its_disk_along(tmp_path: Path) -> None:
    with served(tmp_path, pending=3_600.0, ending=3_600.0) as aws:
        (name,) = run(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 40}}])
        assert aws.instances()[0].state == "pending"
        aws.pass_time()
        assert aws.instances()[0].state == "running"
        client("ec2").terminate_instances(InstanceIds=[name])
        assert aws.instances()[0].state == "shutting-down"
        assert aws.alive() == []
        aws.pass_time()
        assert aws.instances()[0].state == "terminated"
        assert aws.volumes() == []


def test_the_time_that_it_takes_passes_by_itself(aws: FakeAws) -> None:
    (name,) = run()
    wait(lambda: aws.instances()[0].state == "running")
    client("ec2").terminate_instances(InstanceIds=[name])
    wait(lambda: aws.instances()[0].state == "terminated")


def test_a_refusal_comes_as_often_as_planned_and_to_spot_alone_where_that_is_said(aws: FakeAws) -> None:
    from botocore.exceptions import ClientError

    aws.plan(Refusal.SPOT_LIMIT, "RunInstances", times=1, is_spot=True)
    assert run()
    with pytest.raises(ClientError, match="MaxSpotInstanceCountExceeded"):
        run(InstanceMarketOptions={"MarketType": "spot"})
    assert run(InstanceMarketOptions={"MarketType": "spot"})


def test_metadata_is_for_those_with_a_token_and_tells_of_a_notice() -> None:
    def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        names = {f"X-aws-ec2-metadata-{name.replace('_', '-')}": value for name, value in headers.items()}
        request = urllib.request.Request(f"{metadata.url}/latest/{path}", method=method, headers=names)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""

    with FakeMetadata(instance_id="i-1", is_spot=True) as metadata:
        assert ask("meta-data/instance-id")[0] == 401
        assert ask("api/token", "PUT")[0] == 400
        _, token = ask("api/token", "PUT", token_ttl_seconds="60")
        assert ask("meta-data/instance-id", token=token) == (200, "i-1")
        assert ask("meta-data/spot/instance-action", token=token)[0] == 404
        metadata.notice()
        assert '"terminate"' in ask("meta-data/spot/instance-action", token=token)[1]


def test_a_machine_boots_its_user_data_with_its_own_role_and_dies_whole(aws: FakeAws) -> None:
    client("s3").create_bucket(Bucket="letters")
    client("s3").put_object(Bucket="letters", Key="a", Body=b"hello")
    iam = client("iam")
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="worker")
    iam.add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "crpbot-cluster", "Value": "mine"}]}]
    with Hosts(aws) as hosts:
        (name,) = run(UserData=USER_DATA, TagSpecifications=tags, IamInstanceProfile={"Name": "worker"})
        wait(lambda: name in hosts.hosts)
        host = hosts.hosts[name]
        wait(lambda: (host.root / "work.log").exists() and "alive" in (host.root / "work.log").read_text())
        assert (host.root / "letter").read_text() == "hello"
        assert {call.key_id for call in aws.asked("GetObject")} == {host.metadata.key_id}
        assert host.processes
        client("ec2").terminate_instances(InstanceIds=[name])
        wait(lambda: not host.is_on)
        assert host.processes == ()
    assert not host.root.exists()


@pytest.mark.parametrize(("on_shutdown", "state"), [("terminate", "terminated"), ("stop", "stopped")])
def test_a_machine_that_shuts_itself_down_ends_or_stops_as_it_was_launched(
    aws: FakeAws, on_shutdown: str, state: str
) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "ray-cluster-name", "Value": "mine"}]}]
    with Hosts(aws, minute_seconds=0.01):
        run(UserData="shutdown -P +60\n", TagSpecifications=tags, InstanceInitiatedShutdownBehavior=on_shutdown)
        wait(lambda: aws.instances()[0].state == state)
    assert bool(aws.volumes()) == (state == "stopped"), "the disk of a machine that is only stopped costs on"
