"""The head's program with a real Ray: runs what lies in the inbox once, says how it is, and ends an idle machine."""

import os
import stat
from pathlib import Path

import pytest

from core.errors import CrpbotError
from serving.processes import identify
from tests.fake_aws.faults import Wire
from tests.fake_aws.server import REGION
from tests.training.crew_machines import begin_machine
from tests.training.head_machine import INSTANCE, NO_MACHINES, HeadMachine
from tests.training.launching import served
from training.cluster.cloud import Cloud
from training.cluster.mail import JobState, cluster_key, job_key
from training.cluster.watchdog import MOST_FAILED_BOOTS

pytestmark = [pytest.mark.serve, pytest.mark.slow]

IDLE_MINUTES = 0.2


def arguments_of_everybody() -> str:
    """The command lines and environments of every process that we may look at."""
    texts = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                texts.append((entry / "cmdline").read_bytes().decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(texts)


def test_a_head_runs_each_job_once_through_its_own_crashes_and_then_ends_itself(tmp_path: Path) -> None:
    with HeadMachine(tmp_path, idle_minutes=IDLE_MINUTES) as head:
        head.submit("train-lstm-long")  # first: a head that idles between two jobs might end
        head.start()
        head.wait(lambda state: state.jobs.get("train-lstm-long") is JobState.RUNNING)
        head.submit("train-lstm-one")
        head.wait(lambda state: state.jobs.get("train-lstm-one") is JobState.SUCCEEDED)

        head.crash()
        head.start()
        began = head.state
        assert began is not None
        head.wait(lambda state: state.at > began.at and state.phase == "ready")
        assert head.runs == ["train-lstm-long", "train-lstm-one"], "a restart submits nothing again"

        token = (head.root / "head" / "token").read_text()
        assert stat.S_IMODE((head.root / "head" / "token").stat().st_mode) == 0o600
        assert head.files.read(cluster_key("c", "l", "token"), most=1_000).decode() == token
        assert token not in arguments_of_everybody()
        assert token not in head.log

        ray = identify(int((head.root / "head" / "ray.pid").read_text()))
        assert ray is not None
        head.stop("train-lstm-long")
        stopped = head.wait(lambda state: state.jobs.get("train-lstm-long") is JobState.STOPPED)
        assert stopped.jobs["train-lstm-one"] is JobState.SUCCEEDED
        last = head.wait(lambda state: bool(state.ending))
        assert last.phase == "ending"
        assert last.ending == "no job and no worker for 0.2 minutes"
        assert last.idle_since is not None
        assert last.at - last.idle_since < IDLE_MINUTES * 60.0 + 60.0
        head.wait_for(head.shutdowns)
        assert head.shutdowns.read_text().splitlines()[0] == "-P now"
        assert b"this is train-lstm-one" in head.files.read(job_key("train-lstm-one", "log.txt"), most=100_000)
        with pytest.raises(CrpbotError, match="missing"):
            head.files.read(cluster_key("c", "l", "token"), most=1_000)
        assert head.switch_off() == 0
        assert head.runs == ["train-lstm-long", "train-lstm-one"]
        head.wait_for_end(ray)


def test_a_head_says_what_failed_and_why_there_are_no_machines(tmp_path: Path) -> None:
    with HeadMachine(tmp_path, idle_minutes=10.0) as head:
        head.submit("train-lstm-failing")
        head.submit("train-lstm-hungry")
        head.files.write(cluster_key("c", "l", f"trouble/{INSTANCE}.txt"), b"pip said a lot\nboot failed at 'torch'\n")
        head.start()
        failed = head.wait(lambda state: state.jobs.get("train-lstm-failing") is JobState.FAILED)
        assert f"machine {INSTANCE} could not start: boot failed at 'torch'" in failed.problems

        head.submit("train-lstm-failing", b'{"at": 2}')  # given again, as somebody does who has repaired the cause
        head.wait(lambda _: head.runs.count("train-lstm-failing") == 2)

        told = head.wait(lambda state: any(NO_MACHINES in each for each in state.problems))
        (problem,) = [each for each in told.problems if NO_MACHINES in each]
        assert problem.startswith("gpu-spot: (VcpuLimitExceeded)")
        assert told.jobs["train-lstm-hungry"] is JobState.RUNNING
        assert told.workers == {}
        assert told.idle_since is None


def test_a_head_whose_lifetime_is_over_ends_though_a_job_runs(tmp_path: Path) -> None:
    with HeadMachine(tmp_path, idle_minutes=10.0) as head:
        head.submit("train-lstm-long")
        head.start()
        head.wait(lambda state: state.jobs.get("train-lstm-long") is JobState.RUNNING)
        head.crash()
        head.end_launch_in(5.0)
        head.start()
        last = head.wait(lambda state: bool(state.ending))
        assert last.ending == "the lifetime of its launch is over"
        head.wait_for(head.shutdowns)


def test_a_worker_that_never_joined_ends_with_its_head(tmp_path: Path) -> None:
    with served(tmp_path / "aws") as aws, HeadMachine(tmp_path, idle_minutes=IDLE_MINUTES) as head:
        worker, other = (begin_machine(Cloud(REGION), launch=each) for each in (head.boot.launch, "another"))
        head.start()
        head.wait(lambda state: state.phase == "ready")
        assert {each.id for each in aws.alive()} == {worker, other}
        head.wait_for(head.shutdowns)
        assert [each.id for each in aws.alive()] == [other], "before the head ends itself"
        assert f"ended with its head: gpu-spot, {worker}" in head.log


def test_a_head_that_aws_does_not_answer_ends_itself_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRPBOT_OTHERS_SECONDS", "3")
    with served(tmp_path / "aws") as aws, HeadMachine(tmp_path, idle_minutes=IDLE_MINUTES) as head:
        worker = begin_machine(Cloud(REGION), launch=head.boot.launch)
        aws.plan(Wire.HANG, "TerminateInstances", times=1_000)
        head.start()
        head.wait_for(head.shutdowns)
        assert [each.id for each in aws.alive()] == [worker]


def test_a_head_without_a_bucket_ends_itself_all_the_same(tmp_path: Path) -> None:
    with HeadMachine(tmp_path, idle_minutes=IDLE_MINUTES) as head:
        head.start()
        head.wait(lambda state: state.phase == "ready")
        head.lose_bucket()
        head.wait_for(head.shutdowns)


def test_a_head_whose_machines_never_come_up_says_so_and_ends(tmp_path: Path) -> None:
    with HeadMachine(tmp_path, idle_minutes=10.0) as head:
        head.submit("train-lstm-hungry")
        for number in range(MOST_FAILED_BOOTS):
            name = cluster_key("c", "l", f"trouble/i-{number}.txt")
            head.files.write(name, b"pip said a lot\nno matching distribution\n")
        head.start()
        last = head.wait(lambda state: bool(state.ending))
        assert last.ending.startswith("4 machines could not start and none ever joined; the last: machine i-")
        assert last.ending.endswith(" could not start: no matching distribution")
        head.wait_for(head.shutdowns)


def test_a_head_that_never_reaches_its_bucket_ends_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRPBOT_JOIN_SECONDS", "0.01")
    with HeadMachine(tmp_path, idle_minutes=10.0) as head:
        (tmp_path / "bucket").rename(tmp_path / "away")
        head.start()
        assert head.wait_for_crash() != 0
        head.start()  # as systemd does
        assert head.wait_for_crash() != 0
        assert head.shutdowns.read_text().splitlines()[0] == "-P now"
        assert not (head.root / "head" / "ray.pid").exists()
