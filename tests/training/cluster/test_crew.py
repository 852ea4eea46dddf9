"""The other machines of a launch end with its head, whatever state they are in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import CrpbotError
from tests.fake_aws.faults import Refusal
from tests.fake_aws.server import REGION, FakeAws
from tests.training.crew_machines import begin_machine
from tests.training.launching import LOOK_SECONDS, served
from training.cluster.cloud import Answer, Cloud
from training.cluster.crew import end_crew


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[FakeAws]:
    with served(tmp_path) as aws:
        yield aws


@pytest.fixture
def cloud(aws: FakeAws) -> Cloud:
    return Cloud(REGION, look_seconds=LOOK_SECONDS)


def test_every_machine_of_the_launch_ends_but_the_head_and_nothing_of_another(aws: FakeAws, cloud: Cloud) -> None:
    head = begin_machine(cloud, launch="l", kind="head")
    running, stopped, another = (begin_machine(cloud, launch=each) for each in ("l", "l", "another"))
    aws.pass_time()
    aws.stop(stopped)
    assert set(end_crew(cloud, "l", own=head)) == {running, stopped}
    assert {each.id for each in aws.alive()} == {head, another}


def test_without_others_nothing_is_ended(aws: FakeAws, cloud: Cloud) -> None:
    head = begin_machine(cloud, launch="l", kind="head")
    assert end_crew(cloud, "l", own=head) == ()
    assert not aws.asked("TerminateInstances")


class ScalingCloud(Cloud):
    """An autoscaler's last call is under way while the others end."""

    born = ""

    def ask(self, service: str, action: str, **asked: Any) -> Answer:  # Any: as Cloud has it
        if action == "terminate_instances" and not self.born:
            self.born = begin_machine(Cloud(REGION), launch="l")
        return super().ask(service, action, **asked)


def test_a_machine_that_is_born_meanwhile_ends_too(aws: FakeAws) -> None:
    cloud = ScalingCloud(REGION, look_seconds=LOOK_SECONDS)
    worker = begin_machine(cloud, launch="l")
    assert end_crew(cloud, "l", own="i-0") == (worker, cloud.born)
    assert not aws.alive()


def test_a_machine_that_cannot_be_ended_keeps_none_of_the_others(aws: FakeAws, cloud: Cloud) -> None:
    workers = {begin_machine(cloud, launch="l") for _ in range(2)}
    aws.plan(Refusal.NOT_ALLOWED, "TerminateInstances")
    assert set(end_crew(cloud, "l", own="i-0")) == workers, "it is tried again at the next look"


def test_an_aws_that_does_not_let_itself_be_asked_is_told(aws: FakeAws, cloud: Cloud) -> None:
    aws.plan(Refusal.NOT_ALLOWED, "DescribeInstances")
    with pytest.raises(CrpbotError, match="remedy"):
        end_crew(cloud, "l", own="i-0")
