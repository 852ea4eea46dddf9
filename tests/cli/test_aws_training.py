"""`crpbot train ... --aws`: asks first, brings models home, and leaves nothing running, whatever happens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.cluster.guard import Asked, Guard
from cli.cluster.options import AwsOptions
from cli.cluster.site import Patience, Site, begin, ended_unless_kept, finish
from cli.models.place import open_models
from cli.training.by_aws import Home, judge_home, train_on_aws
from cli.training.order import Order
from cli.training.plan import Plan, Stage, make_plan
from core.adapters.models.folder import ModelFolder
from core.errors import Code, CrpbotError
from core.models.manifest import Kind
from tests.cli.conftest import ROOT
from tests.cli.played_head import PlayedHead, learn
from tests.fake_aws.faults import Refusal, Wire
from tests.fake_aws.server import FakeAws
from tests.training.launching import LIMITS, LOOK_SECONDS, served
from training.cluster.cloud import TRIES, Answer, Cloud
from training.cluster.launcher import launch, prepare
from training.cluster.mail import JobState, cluster_key
from training.cluster.terms import read_cluster
from training.trained import Run

YES = AwsOptions(yes=True)
WORDS = ["train", "lstm", "--coin", "BTC", "--epochs", "1", "--days", "8", "--hidden", "4", "--aws", "--yes"]
UNIT = "lstm-BTC-USD"
HANGS_SECONDS = 300.0  # a guard against waiting for ever; two busy cores take a fraction of it


@pytest.fixture
def aws(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    """An account, a checkout's cluster file, and an empty folder to work in."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (empty_folder / "ray_cluster.yaml").write_text((ROOT / "ray_cluster.yaml").read_text())
    with served(empty_folder / "aws") as aws:
        yield aws


@pytest.fixture
def site(aws: FakeAws) -> Site:
    cluster = read_cluster(ROOT / "ray_cluster.yaml")
    site = Site(cluster, Cloud(cluster.region, look_seconds=LOOK_SECONDS), None)
    prepare(site.cluster, site.cloud, site.url, lambda _: None)
    return site


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    return Order("BTC", epochs=1, days=8, hidden=4, models=open_models(str(tmp_path_factory.mktemp("models"))))


@pytest.fixture(scope="module")
def plan(order: Order) -> Plan:
    return make_plan(Kind.LSTM, order)


@pytest.fixture(scope="module")
def run(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return learn(Kind.LSTM, plan.stages[0].order.recipe, plan.histories, tmp_path_factory.mktemp("runs"))


def head(
    site: Site,
    run: Run | None = None,
    end: JobState | None = JobState.SUCCEEDED,
    others: dict[str, JobState] | None = None,
    begins: threading.Event | None = None,
) -> PlayedHead:
    own = Site(site.cluster, site.cloud, site.url)  # with a client of S3 of its own
    runs = {UNIT: run} if run else {}
    return PlayedHead(lambda: own.files, site.cluster.name, runs=runs, end=end, others=others, begins=begins)


def left(aws: FakeAws) -> tuple[int, int]:
    """Machines and disks that cost."""
    return len(aws.alive()), len(aws.volumes())


def refused(call: Callable[[], object]) -> CrpbotError:
    with pytest.raises(CrpbotError) as caught:
        call()
    return caught.value


def until(holds: Callable[[], object], command: subprocess.Popen[bytes] | None = None) -> None:
    """Waits for something that is bound to happen, while the command that is to do it lives."""
    hangs_at = time.monotonic() + HANGS_SECONDS
    while not holds():
        is_over = command is not None and command.poll() is not None
        assert not is_over or holds(), f"the command has ended with {command and command.poll()}"
        assert time.monotonic() < hangs_at, "it never came"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_model_comes_home_is_judged_and_nothing_is_left(
    site: Site, aws: FakeAws, order: Order, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    with head(site, run):
        (row,) = train_on_aws(Kind.LSTM, order, YES, site)
    assert row["version"] == run.manifest.version
    assert row["verdict"] == "insufficient"
    manifest, blob = ModelFolder(order.models).load(run.manifest.version)
    assert (manifest.data_hash, blob) == (run.manifest.data_hash, run.blob)
    page = Path(row["report"]).read_text(encoding="utf-8")
    assert page.count("<svg") >= 2, "its losses came home too"
    assert left(aws) == (0, 0)
    assert len(aws.asked("RunInstances")) == 1
    told = capfd.readouterr().err
    for words in (
        "what to expect",
        "hard limits: ends after",
        "is ready after",
        "10 of 10, done",
        "1 of 1 models are here",
    ):
        assert words in told
    assert told.index("0 machines and 0 disks") > told.index("1 of 1 models are here"), (
        "hashes first, while it is there"
    )


@pytest.mark.slow
def test_a_job_that_is_ready_launches_nothing(site: Site, aws: FakeAws, order: Order, run: Run) -> None:
    with head(site, run):
        first = train_on_aws(Kind.LSTM, order, YES, site)
    again = train_on_aws(Kind.LSTM, order, YES, site)
    assert len(aws.asked("RunInstances")) == 1
    assert [row["version"] for row in again] == [row["version"] for row in first]


@pytest.mark.slow
def test_a_job_that_fails_ends_the_cluster_and_shows_its_last_words(site: Site, aws: FakeAws, order: Order) -> None:
    with head(site, end=JobState.FAILED) as played:
        played.log = "epoch 1\nno candles in the snapshot\n"
        error = refused(lambda: train_on_aws(Kind.LSTM, order, YES, site))
    assert error.reason == "JOB_FAILED"
    assert "is failed without models; remedy: run the same command again" in error.detail
    assert error.detail.endswith("no candles in the snapshot")
    assert left(aws) == (0, 0)


@pytest.mark.slow
def test_what_is_whole_of_a_job_that_failed_comes_home_and_the_rest_may_be_made_again(
    site: Site, aws: FakeAws, order: Order, run: Run
) -> None:
    with head(site, run, end=JobState.FAILED):
        (row,) = train_on_aws(Kind.LSTM, order, YES, site)
    assert row["version"] == run.manifest.version
    with head(site, run):
        (again,) = train_on_aws(Kind.LSTM, order, YES, site)
    assert again["version"] == run.manifest.version
    assert len(aws.asked("RunInstances")) == 2, "the job was not sealed"
    assert left(aws) == (0, 0)


@pytest.mark.slow
def test_a_model_that_was_changed_on_the_way_is_refused(site: Site, aws: FakeAws, order: Order, run: Run) -> None:
    with head(site, run) as played:
        played.changes = {"weights.pt": run.blob[:-1] + b"x"}
        error = refused(lambda: train_on_aws(Kind.LSTM, order, YES, site))
    assert error.reason == "ARTEFACT_DAMAGED"
    assert "weights.pt is not what was kept, its sha256 is another" in error.detail
    assert left(aws) == (0, 0)


@pytest.mark.slow
def test_a_cluster_of_somebody_else_is_neither_used_nor_ended(site: Site, aws: FakeAws, order: Order, run: Run) -> None:
    launch(site.cluster, LIMITS, site.cloud, site.files, lambda _: None)
    error = refused(lambda: train_on_aws(Kind.LSTM, order, YES, site))
    assert (error.code, error.reason) == (Code.ALREADY_EXISTS, "CLUSTER_IS_UP")
    assert len(aws.alive()) == 1, "it is still up"


@pytest.mark.slow
def test_who_leaves_finds_the_job_again(site: Site, aws: FakeAws, order: Order, run: Run) -> None:
    with head(site, run, end=None) as played:
        (told,) = train_on_aws(Kind.LSTM, order, AwsOptions(yes=True, detach=True), site)
        until(lambda: played.jobs == [told["job"]])
        assert len(aws.alive()) == 1, "it goes on"
        assert "the cluster ends itself 10 minutes after its last job" in told["ends"]
    with head(site, run):
        (row,) = train_on_aws(Kind.LSTM, order, YES, site)
    assert row["version"] == run.manifest.version
    assert len(aws.asked("RunInstances")) == 1, "the same cluster was followed"
    assert left(aws) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(("other", "machines"), [(JobState.RUNNING, 1), (JobState.FAILED, 0)])
def test_a_cluster_that_works_for_others_too_is_kept(
    site: Site,
    aws: FakeAws,
    order: Order,
    run: Run,
    capfd: pytest.CaptureFixture[str],
    *,
    monkeypatch: pytest.MonkeyPatch,
    other: JobState,
    machines: int,
) -> None:
    joined = threading.Event()  # the job ends after the command has seen that it runs
    monkeypatch.setattr("cli.training.by_aws.check_code", lambda boot, job: joined.set())
    with head(site, run, end=None) as played:
        (told,) = train_on_aws(Kind.LSTM, order, AwsOptions(yes=True, detach=True), site)
        until(lambda: played.jobs == [told["job"]])
    boot = site.running()
    assert boot is not None
    site.files.write(cluster_key(boot.cluster, boot.launch, "inbox/train-ppo-other"), b"{}")
    with head(site, run, others={"train-ppo-other": other}, begins=joined):
        (row,) = train_on_aws(Kind.LSTM, order, AwsOptions(), site)  # nothing is launched, so nobody is asked
    assert row["version"] == run.manifest.version
    assert len(aws.alive()) == machines
    words = "is kept: it works on train-ppo-other too; the cluster ends itself 10 minutes after its last job"
    assert (words in capfd.readouterr().err) is bool(machines)


@pytest.mark.slow
def test_a_connection_that_is_lost_while_the_cluster_is_ended_and_heals(
    site: Site, aws: FakeAws, order: Order, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    aws.plan(Wire.DROP, "TerminateInstances", times=TRIES + 1)  # botocore's own tries, and one of the next call's
    with head(site, run):
        (row,) = train_on_aws(Kind.LSTM, order, YES, replace(site, patience=Patience(HANGS_SECONDS, LOOK_SECONDS)))
    assert row["version"] == run.manifest.version
    assert left(aws) == (0, 0)
    told = capfd.readouterr().err
    assert "trying again to end the cluster: " in told
    assert "0 machines and 0 disks" in told


@pytest.mark.slow
def test_a_connection_that_stays_lost_while_the_cluster_is_ended_is_an_error_with_its_remedy(
    site: Site, aws: FakeAws, order: Order, run: Run
) -> None:
    aws.plan(Wire.DROP, "TerminateInstances", times=1_000)
    with head(site, run):
        error = refused(lambda: train_on_aws(Kind.LSTM, order, YES, replace(site, patience=Patience(0.0, 0.0))))
    assert (error.code, error.reason) == (Code.UNAVAILABLE, "MAY_BE_LEFT")
    assert "remedy: run `crpbot cluster down` as soon as AWS answers" in error.detail
    assert "if nothing is done, the cluster ends itself 10 minutes after its last job" in error.detail
    aws.heal()
    finish(site)
    assert left(aws) == (0, 0)


def test_a_launch_that_is_over_takes_no_newer_one_with_it(site: Site, aws: FakeAws) -> None:
    old = launch(site.cluster, LIMITS, site.cloud, site.files, lambda _: None)
    finish(site)
    new = launch(site.cluster, LIMITS, site.cloud, site.files, lambda _: None)
    left_behind = finish(site, old)
    assert (left_behind.instances, left_behind.volumes) == ((), ())
    assert [each.tags["crpbot-launch"] for each in aws.alive()] == [new.launch]
    assert (site.head(old), site.running()) == (None, new)
    with Guard() as guard, ended_unless_kept(site, old, guard, others=list):  # a command that had joined it
        pass
    assert len(aws.alive()) == 1


def test_requests_that_are_too_many_while_the_cluster_is_ended_are_made_again(
    site: Site, aws: FakeAws, capfd: pytest.CaptureFixture[str]
) -> None:
    boot = launch(site.cluster, LIMITS, site.cloud, site.files, lambda _: None)
    aws.plan(Refusal.TOO_FAST, "DescribeInstances", times=TRIES)
    assert len(finish(replace(site, patience=Patience(HANGS_SECONDS, LOOK_SECONDS)), boot).instances) == 1
    assert left(aws) == (0, 0)
    assert "trying again to end the cluster: ec2:DescribeInstances in us-east-1: AWS takes no more" in (
        capfd.readouterr().err
    )


def test_what_will_not_pass_is_told_at_once_while_the_cluster_is_ended(site: Site, aws: FakeAws) -> None:
    boot = launch(site.cluster, LIMITS, site.cloud, site.files, lambda _: None)
    aws.plan(Refusal.WRONG_KEY, "DescribeInstances", times=1_000)
    error = refused(lambda: finish(replace(site, patience=Patience(HANGS_SECONDS, LOOK_SECONDS)), boot))
    assert (error.code, error.reason) == (Code.UNAUTHENTICATED, "MAY_BE_LEFT")
    assert "the cluster ends itself" in error.detail


class SignalledCloud(Cloud):
    """Signals arrive while AWS answers; and EC2 does not answer the first look behind the head's start."""

    def __init__(self, region: str, sent: dict[str, signal.Signals], *, fails: bool) -> None:
        super().__init__(region, look_seconds=LOOK_SECONDS)
        self._sent, self._fails, self._is_begun = sent, fails, False

    def ask(self, service: str, action: str, **asked: Any) -> Answer:  # Any: as Cloud has it
        if self._is_begun and self._fails and action == "describe_instances":
            self._fails = False
            raise CrpbotError(Code.UNAVAILABLE, "EC2 does not answer", reason="AWS_UNREACHABLE")
        answer = super().ask(service, action, **asked)
        self._is_begun |= action == "run_instances"
        if action in self._sent:
            os.kill(os.getpid(), self._sent[action])
        return answer


@pytest.mark.parametrize(
    ("sent", "fails", "raised"),
    [
        ({"run_instances": signal.SIGINT}, False, Asked),
        ({"run_instances": signal.SIGTERM}, False, Asked),
        ({"run_instances": signal.SIGHUP, "terminate_instances": signal.SIGINT}, False, Asked),
        ({"terminate_instances": signal.SIGINT}, True, CrpbotError),
    ],
    ids=["Ctrl-C", "SIGTERM", "a closed terminal and Ctrl-C", "Ctrl-C while a failed launch is ended"],
)
def test_a_signal_that_arrives_while_the_head_is_begun_ends_it(
    site: Site, aws: FakeAws, sent: dict[str, signal.Signals], fails: bool, raised: type[BaseException]
) -> None:
    cloud = SignalledCloud(site.cluster.region, sent, fails=fails)
    with pytest.raises(raised), Guard() as guard:
        begin(replace(site, cloud=cloud), LIMITS, guard)
    assert len(aws.instances()) == 1
    assert left(aws) == (0, 0)


def test_a_model_that_cannot_be_judged_keeps_no_other_from_home(order: Order, plan: Plan, run: Run) -> None:
    other = make_plan(Kind.LSTM, replace(order, coin="ETH"))
    both = Plan((Stage((*other.units, *plan.units), order),), (*other.histories, *plan.histories))
    first, second = judge_home(both, Home({"lstm-ETH-USD": run, UNIT: run}, {}))
    assert "lstm-ETH-USD has learned from other candles" in first["refused"]
    assert first["symbols"] == ["ETH-USD"]
    assert second["version"] == run.manifest.version


def test_nothing_is_launched_without_a_yes(site: Site, aws: FakeAws, order: Order) -> None:
    error = refused(lambda: train_on_aws(Kind.LSTM, order, AwsOptions(), site))
    assert error.reason == "NOBODY_TO_ASK"
    assert "crpbot cluster cost" in error.detail
    assert "--yes" in error.detail
    assert not aws.asked("RunInstances")


def test_an_unknown_coin_is_told_before_anything_is_sent(site: Site, aws: FakeAws) -> None:
    unknown = Order("FOO", models=open_models("models"))
    assert "unknown symbol" in refused(lambda: train_on_aws(Kind.LSTM, unknown, YES, site)).detail
    assert not [call for call in aws.asked("PutObject") if "/data/" in call.parameters["Key"]]


def test_an_account_that_is_not_prepared_is_told_the_remedy(aws: FakeAws, order: Order) -> None:
    cluster = read_cluster(ROOT / "ray_cluster.yaml")
    bare = Site(cluster, Cloud(cluster.region, look_seconds=LOOK_SECONDS), None)
    assert "crpbot cluster prepare" in refused(lambda: train_on_aws(Kind.LSTM, order, YES, bare)).detail
    assert not aws.asked("RunInstances")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_whoever_stops_the_command_ends_the_cluster(
    site: Site, aws: FakeAws, empty_folder: Path, number: signal.Signals, status: int
) -> None:
    with head(site, end=None) as played, (empty_folder / "told").open("w") as told:
        command = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *WORDS],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stderr=told,
        )
        until(lambda: played.jobs, command)
        command.send_signal(number)
        until(lambda: "ending the cluster" in (empty_folder / "told").read_text(), command)
        command.send_signal(signal.SIGINT)  # a second one, while it ends
        code = command.wait(HANGS_SECONDS)
    words = (empty_folder / "told").read_text()
    assert code == status, words
    assert left(aws) == (0, 0)
    assert "Ctrl-C: the cluster is being ended, which takes a minute or two; please wait" in words
    assert re.search(r"0 machines and 0 disks of crpbot-training, launch \S+, are left in us-east-1", words)
    assert "Traceback" not in words
