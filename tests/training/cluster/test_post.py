"""The laptop's side of the mail: a job is given once, followed through a lost connection, not waited for in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.adapters.files.folder import FolderFiles
from core.errors import Code, CrpbotError
from core.models.manifest import Kind
from training.cluster.artefacts import unseal
from training.cluster.mail import (
    Boot,
    JobState,
    State,
    UnitProgress,
    cluster_key,
    job_key,
    write_boot,
    write_progress,
    write_state,
)
from training.cluster.order import JobOrder, Recipe, Unit, read_order
from training.cluster.patience import OUTAGE_SECONDS
from training.cluster.post import (
    BOOT_SECONDS,
    SILENT_SECONDS,
    News,
    Time,
    follow,
    newest_launch,
    read_job,
    read_units,
    stop,
    submit,
)

BEGUN = 1_795_300_000.0
BOOT = Boot(
    cluster="crpbot",
    launch="20261121T223300Z-1f3a",
    region="us-east-1",
    url="s3://bucket/training",
    code="c" * 64,
    launched_at=BEGUN,
    ends_at=BEGUN + 4 * 3_600.0,
    idle_minutes=10.0,
    head_type="head",
)
ORDER = JobOrder(
    ((Unit(Kind.LSTM, ("BTC-USD",)),),),
    (Recipe(epochs=1, seed=7, steps=1, preset="fast"),),
    data="d" * 64,
    code="c" * 64,
)
READY = State(at=BEGUN, phase="ready", ends_at=BOOT.ends_at)


@dataclass
class HandClock:
    """A clock that moves only while somebody waits, and lets the world move with it."""

    at: float = BEGUN
    then: Callable[[float], None] = lambda _: None
    waits: list[float] = field(default_factory=list)
    slept: float = 0.0  # seconds in which the laptop was closed

    @property
    def time(self) -> Time:
        return Time(lambda: self.at, self.sleep, lambda: self.at - self.slept)

    def close(self, seconds: float) -> None:
        """The laptop is closed for so long: the wall's clock goes on, and ours do not."""
        self.at += seconds
        self.slept += seconds

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.at += seconds
        self.then(self.at)


class Wire(FolderFiles):
    """A bucket behind a line that can be cut; it says when a job was given."""

    look_seconds = 5.0
    is_cut = False
    given_at = BEGUN
    lost_answers = 0  # of the next writes, which arrive all the same

    def changed(self, name: str) -> datetime | None:
        return None if super().changed(name) is None else datetime.fromtimestamp(self.given_at, UTC)

    def create(self, name: str, content: bytes) -> bool:
        is_new = super().create(name, content)
        self._lose()
        return is_new

    def write(self, name: str, content: bytes) -> None:
        self._check()
        super().write(name, content)

    def read(self, name: str, *, most: int) -> bytes:
        self._check()
        return super().read(name, most=most)

    def stamps(self, under: str = "", *, deep: bool = True) -> dict[str, str]:
        self._check()
        return super().stamps(under, deep=deep)

    def _lose(self) -> None:
        if self.lost_answers > 0:
            self.lost_answers -= 1
            raise CrpbotError(Code.UNAVAILABLE, "the bucket does not answer", reason="NO_LINE")

    def _check(self) -> None:
        if self.is_cut:
            raise CrpbotError(Code.UNAVAILABLE, "the bucket does not answer", reason="NO_LINE")


@pytest.fixture
def files(tmp_path: Path) -> Wire:
    return Wire(tmp_path)


def say(files: FolderFiles, state: State) -> None:
    """What the head writes."""
    files.write(cluster_key(BOOT.cluster, BOOT.launch, "state.json"), write_state(state))


def given(state: JobState, at: float = BEGUN + 60.0) -> State:
    return replace(READY, at=at, jobs={ORDER.id: state})


def seal(files: FolderFiles) -> None:
    files.write(job_key(ORDER.id, "artefacts.json"), b"{}")


def refused(call: Callable[[], object]) -> CrpbotError:
    with pytest.raises(CrpbotError) as caught:
        call()
    return caught.value


def hear(files: Wire, clock: HandClock, *, is_up: bool = True) -> Iterator[News]:
    return follow(files, BOOT, ORDER.id, is_up=lambda: is_up, clock=clock.time)


def test_a_job_lies_in_the_inbox_with_its_order(files: Wire) -> None:
    submit(files, BOOT, ORDER, clock=HandClock().time)
    assert read_order(files.read(job_key(ORDER.id, "order.json"), most=9_999).decode()) == ORDER
    assert f"clusters/crpbot/{BOOT.launch}/inbox/{ORDER.id}" in files.stamps()
    job = read_job(files, BOOT, ORDER.id)
    assert (job.state, job.given_at, job.sealed) == (JobState.WAITING, BEGUN, False)


@pytest.mark.parametrize("state", [None, JobState.WAITING, JobState.RUNNING])
def test_a_job_that_goes_on_is_not_given_twice(files: Wire, state: JobState | None) -> None:
    submit(files, BOOT, ORDER, clock=HandClock().time)
    if state is not None:
        say(files, given(state))
    before = files.stamps()
    error = refused(lambda: submit(files, BOOT, ORDER, clock=HandClock(BEGUN + 60.0).time))
    assert error.code is Code.ALREADY_EXISTS
    assert f"job {ORDER.id} was given to cluster crpbot at 2026-11-21 22:26 UTC, it is" in error.detail
    assert (state or JobState.WAITING) in error.detail
    assert f"`crpbot cluster logs {ORDER.id} --follow`" in error.detail
    assert {name for name, stamp in files.stamps().items() if before.get(name) != stamp} == {
        job_key(ORDER.id, "order.json")
    }, "the inbox is as it was"


def test_a_job_whose_models_are_ready_is_not_given_twice(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    say(files, given(JobState.FAILED))  # after its last line, which is the seal
    seal(files)
    assert "its models are ready" in refused(lambda: submit(files, BOOT, ORDER)).detail


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.STOPPED, JobState.SUCCEEDED])
def test_a_job_that_ended_without_models_may_be_given_again(files: Wire, state: JobState) -> None:
    inbox = cluster_key(BOOT.cluster, BOOT.launch, f"inbox/{ORDER.id}")
    submit(files, BOOT, ORDER, clock=HandClock().time)
    stop(files, BOOT, ORDER.id)
    say(files, given(state))
    before = files.stamps()[inbox]
    content = files.read(inbox, most=999)
    submit(files, BOOT, ORDER, clock=HandClock(BEGUN + 60.0).time)
    assert files.stamps()[inbox] != before, "the head sees that it is asked for anew"
    assert files.read(inbox, most=999) != content, "in a bucket too, where the stamp is of the content"
    assert not [name for name in files.stamps() if "/stop/" in name], "and not to stop it"
    files.given_at = BEGUN + 60.0
    assert read_job(files, BOOT, ORDER.id).state is JobState.WAITING, "what the head said is of the try before"
    say(files, given(state, BEGUN + 60.9))
    assert read_job(files, BOOT, ORDER.id).state is JobState.WAITING, "a bucket tells whole seconds"
    say(files, given(state, BEGUN + 61.0))
    assert read_job(files, BOOT, ORDER.id).state is state


def test_a_job_of_which_a_model_was_damaged_may_be_given_again(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    say(files, given(JobState.SUCCEEDED))
    seal(files)
    assert not read_job(files, BOOT, ORDER.id).may_be_given_again
    unseal(files, ORDER.id)
    assert read_job(files, BOOT, ORDER.id).may_be_given_again


def test_how_far_each_unit_is_is_read_without_a_cluster(files: Wire) -> None:
    assert read_units(files, ORDER.id) == {}
    units = {"lstm-BTC-USD": UnitProgress(words="cannot be trained", fault="too few candles", refused=True)}
    files.write(job_key(ORDER.id, "progress.json"), write_progress(units))
    assert read_units(files, ORDER.id) == units


def test_the_newest_launch_of_a_name_is_found(files: Wire) -> None:
    assert newest_launch(files, "crpbot") is None
    later = replace(BOOT, launch="20261122T080000Z-0000")
    other = replace(BOOT, cluster="crpbot-two", launch="20261201T080000Z-0000")
    for boot in (BOOT, later, other):
        files.write(cluster_key(boot.cluster, boot.launch, "boot.json"), write_boot(boot))
    assert newest_launch(files, "crpbot") == later
    submit(files, BOOT, ORDER)
    assert newest_launch(files, "crpbot", job=ORDER.id) == BOOT
    assert newest_launch(files, "crpbot", job="train-lstm-0000000000000000") is None


def test_each_change_is_told_once_and_the_end_ends_it(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    half = {"lstm-BTC-USD": UnitProgress(5, 10, "epoch 1", 100.0, 3.0)}
    clock = HandClock()

    def world(now: float) -> None:
        if now == BEGUN + 10.0:
            say(files, given(JobState.RUNNING, now))
        if now == BEGUN + 20.0:
            files.write(job_key(ORDER.id, "progress.json"), write_progress(half))
        if now == BEGUN + 40.0:
            seal(files)

    clock.then = world
    told = [news.job for news in hear(files, clock)]
    assert [job.state for job in told] == [JobState.WAITING, JobState.RUNNING, JobState.RUNNING, JobState.RUNNING]
    assert [job.units for job in told] == [{}, {}, half, half]
    assert [job.sealed for job in told] == [False, False, False, True]
    assert clock.waits == [5.0] * 8, "it is looked for as often as the place likes to be asked"


def test_a_job_that_failed_ends_the_following(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    say(files, given(JobState.FAILED))
    assert [(each.job.state, each.job.sealed) for each in hear(files, HandClock())] == [(JobState.FAILED, False)]


def test_a_lost_connection_is_waited_for_and_told_of(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    say(files, given(JobState.RUNNING))
    clock = HandClock()

    def world(now: float) -> None:
        files.is_cut = BEGUN + 30.0 <= now < BEGUN + 30.0 + OUTAGE_SECONDS
        if now == BEGUN + 30.0 + OUTAGE_SECONDS:
            say(files, given(JobState.SUCCEEDED, now))

    clock.then = world
    told = list(hear(files, clock))
    assert [each.trouble for each in told] == ["", "no connection, trying again: the bucket does not answer", ""]
    assert told[1].job == told[0].job, "what was known is still known"
    assert told[-1].job.state is JobState.SUCCEEDED


def test_a_connection_that_stays_lost_ends_with_what_the_cluster_will_do(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    clock = HandClock()
    clock.then = lambda now: setattr(files, "is_cut", now > BEGUN)
    error = refused(lambda: list(hear(files, clock)))
    assert (error.code, error.reason) == (Code.UNAVAILABLE, "CONNECTION_LOST")
    assert "no connection to the bucket for 10 minutes (the bucket does not answer)" in error.detail
    assert (
        "the cluster ends itself 10 minutes after its last job, at 2026-11-22 02:26 UTC at the latest" in error.detail
    )
    assert "run the same command again" in error.detail
    # it was seen once, failed five seconds later, and is given up at the first look behind the ten minutes
    assert sum(clock.waits) == files.look_seconds + OUTAGE_SECONDS + files.look_seconds, "ten minutes, and not for ever"


@pytest.mark.parametrize("before", [0.0, 300.0], ids=["while all was well", "in the middle of an outage"])
def test_a_laptop_that_was_closed_has_time_to_connect_when_it_wakes(files: Wire, before: float) -> None:
    submit(files, BOOT, ORDER)
    say(files, given(JobState.RUNNING))
    clock, nap = HandClock(), 1_800.0
    cut, wakes = BEGUN + 30.0, BEGUN + 30.0 + before + nap

    def world(now: float) -> None:
        files.is_cut = cut <= now < wakes + 60.0
        if now == cut + before:
            clock.close(nap)
            files.is_cut = True  # its first look, before the network is there again
        if now == wakes + 60.0:
            say(files, given(JobState.SUCCEEDED, now))

    clock.then = world
    assert list(hear(files, clock))[-1].job.state is JobState.SUCCEEDED


def test_a_connection_that_comes_and_goes_is_waited_for_each_time(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    say(files, given(JobState.RUNNING))
    clock = HandClock()

    def world(now: float) -> None:
        since = now - BEGUN
        files.is_cut = since % 500.0 >= 5.0  # one look in a hundred is answered
        if since == 2_000.0:
            say(files, given(JobState.SUCCEEDED, now))

    clock.then = world
    assert list(hear(files, clock))[-1].job.state is JobState.SUCCEEDED


def test_requests_that_are_too_many_are_made_again_later(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    clock = HandClock(BEGUN + BOOT_SECONDS + 5.0)  # so late that EC2 is asked whether there is a head
    asked: list[float] = []

    def is_up() -> bool:
        asked.append(clock.at)
        if len(asked) == 1:
            raise CrpbotError(Code.RESOURCE_EXHAUSTED, "too many", reason="TOO_MANY_REQUESTS")
        say(files, given(JobState.SUCCEEDED, clock.at))
        return True

    told = list(follow(files, BOOT, ORDER.id, is_up=is_up, clock=clock.time))
    assert told[0].trouble == "no connection, trying again: too many"
    assert told[-1].job.state is JobState.SUCCEEDED


def test_a_job_is_given_once_the_bucket_answers_again(files: Wire) -> None:
    clock, told = HandClock(), list[str]()
    files.is_cut = True
    clock.then = lambda now: setattr(files, "is_cut", now < BEGUN + OUTAGE_SECONDS)
    submit(files, BOOT, ORDER, tell=told.append, clock=clock.time)
    assert told == ["the job is not given yet, trying again: the bucket does not answer"], "once"
    assert read_job(files, BOOT, ORDER.id).state is JobState.WAITING


def test_a_job_whose_giving_nobody_confirmed_was_not_given_by_others(files: Wire) -> None:
    files.lost_answers = 1
    submit(files, BOOT, ORDER, clock=HandClock().time)
    assert refused(lambda: submit(files, BOOT, ORDER, clock=HandClock(BEGUN + 60.0).time)).reason == "JOB_TWICE"


def test_a_job_cannot_be_given_for_ever(files: Wire) -> None:
    clock = HandClock()
    files.is_cut = True
    assert refused(lambda: submit(files, BOOT, ORDER, clock=clock.time)).reason == "NO_LINE"
    assert sum(clock.waits) == OUTAGE_SECONDS + files.look_seconds


def test_whoever_does_not_leave_a_job_alone_says_what_he_does_when_the_connection_is_lost(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    files.is_cut = True
    followed = follow(
        files, BOOT, ORDER.id, is_up=lambda: True, when_lost="the cluster is ended", clock=HandClock().time
    )
    error = refused(lambda: list(followed))
    assert error.reason == "CONNECTION_LOST"
    assert error.detail.endswith("(the bucket does not answer); the cluster is ended")
    assert "goes on without this machine" not in error.detail


def test_what_is_wrong_with_the_bucket_is_no_lost_connection(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    files.write(job_key(ORDER.id, "progress.json"), bytes(5_000_001))
    assert refused(lambda: list(hear(files, HandClock()))).code is Code.FAILED_PRECONDITION


@pytest.mark.parametrize("state", [None, READY], ids=["never a word", "a first word"])
def test_a_cluster_that_is_no_more_ends_the_following(files: Wire, state: State | None) -> None:
    submit(files, BOOT, ORDER)
    if state is not None:
        say(files, state)
    clock = HandClock()
    error = refused(lambda: list(hear(files, clock, is_up=False)))
    assert (error.code, error.reason) == (Code.ABORTED, "CLUSTER_ENDED")
    assert "its head is no more" in error.detail
    assert "the job goes on from its last checkpoints" in error.detail
    assert sum(clock.waits) == (BOOT_SECONDS if state is None else SILENT_SECONDS) + 5.0


def test_a_silent_cluster_that_runs_is_told_of_until_its_lifetime_is_over(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    say(files, given(JobState.RUNNING))
    clock, short = HandClock(), replace(BOOT, ends_at=BEGUN + 600.0)
    told: list[str] = []

    def listen() -> None:
        told.extend(each.trouble for each in follow(files, short, ORDER.id, is_up=lambda: True, clock=clock.time))

    assert refused(listen).reason == "CLUSTER_ENDED"
    assert told[0] == ""
    assert told[1].startswith("nothing was heard of the cluster since 2026-11-21 22:27 UTC; the cluster ends itself")
    assert len(told) == 2
    assert clock.at == short.ends_at + 5.0


def test_a_cluster_that_ends_itself_says_why(files: Wire) -> None:
    submit(files, BOOT, ORDER)
    say(files, replace(given(JobState.RUNNING), phase="ending", ending="its lifetime of 4 hours is over"))
    assert "its lifetime of 4 hours is over" in refused(lambda: list(hear(files, HandClock()))).detail
    say(files, replace(given(JobState.SUCCEEDED), phase="ending", ending="idle"))
    assert [each.job.state for each in hear(files, HandClock())] == [JobState.SUCCEEDED], "a job that is done is done"
