"""The laptop's side of the mail: gives a job to a cluster, reads how far it is, and waits for its end.

All of it goes through the bucket, so a laptop may be closed between any two lines here, and another one may go on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

from core.errors import Code, CrpbotError
from core.files import Files
from training.cluster.mail import (
    MOST_TEXT_BYTES,
    Boot,
    JobState,
    State,
    UnitProgress,
    cluster_key,
    job_key,
    read_boot,
    read_progress,
    read_state,
)
from training.cluster.order import JobOrder, write_order
from training.cluster.patience import OUTAGE_SECONDS, Outage, may_pass, persist

# A head writes every few seconds. One that was silent for so long has no way to the bucket, or is no more.
SILENT_SECONDS: Final = 180.0
BOOT_SECONDS: Final = 1_200.0  # from a launch to its first word: it boots, and installs what it runs
STAMP_SECONDS: Final = 1.0  # a bucket tells when a letter was written in whole seconds
# A bucket asks to be looked at twice a minute; whoever waits with machines that cost looks more often, which is a cent
# or two an hour.
LOOK_SECONDS: Final = 5.0


class Time(NamedTuple):
    """A clock: seconds since 1970, how one waits, and seconds that are not counted while the laptop sleeps."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    awake: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the bucket shows it."""

    id: str
    state: JobState | None  # None: it was not given to this cluster
    given_at: float | None = None
    units: dict[str, UnitProgress] = field(default_factory=dict)
    log: str = ""
    sealed: bool = False  # nothing of it is left to be made
    cluster: State | None = None  # how the cluster is; None before its head's first word

    @property
    def may_be_given_again(self) -> bool:
        """What ended and is not complete, or has a damaged model, may be tried again; what is whole stays."""
        return not self.sealed and (self.state is None or self.state.is_over)


class News(NamedTuple):
    """The job as it was seen last, and why nothing newer is known; empty when nothing is wrong."""

    job: Job
    trouble: str = ""


def submit(
    files: Files,
    boot: Boot,
    order: JobOrder,
    *,
    tell: Callable[[str], None] = lambda _: None,
    clock: Time = Time(),  # noqa: B008  # has no state
) -> None:
    """Gives the job to the cluster. The same job twice is ALREADY_EXISTS, unless it ended without its models.

    A connection that is lost is waited for; `tell` hears of it.
    """
    letter = json.dumps({"job": order.id, "at": clock.now()}).encode()  # another one each time: it is a new try
    persist(
        lambda: _give(files, boot, order, letter),
        Outage(now=clock.awake),
        lambda why: tell(f"the job is not given yet, trying again: {why}"),
        lambda: clock.sleep(min(files.look_seconds, LOOK_SECONDS)),
    )


def stop(files: Files, boot: Boot, job: str) -> None:
    """Asks the cluster to stop the job; what it reached is kept."""
    files.write(cluster_key(boot.cluster, boot.launch, f"stop/{job}"), b"")


def newest_launch(files: Files, cluster: str, *, job: str | None = None) -> Boot | None:
    """The launch of that name that began last; with a job, the last one that the job was given to."""
    under = f"clusters/{cluster}/"
    wanted = "boot.json" if job is None else f"inbox/{job}"
    launches = [name.split("/")[2] for name in files.stamps(under) if name.split("/", 3)[3:] == [wanted]]
    if not launches:
        return None
    return read_boot(files.read(cluster_key(cluster, max(launches), "boot.json"), most=MOST_TEXT_BYTES))


def read_job(files: Files, boot: Boot, job: str, *, with_log: bool = False) -> Job:
    """How the job is on that cluster, with what it printed where that is asked for.

    Its seal is looked for last: whatever is over with models has them sealed by then.
    """
    letter = files.changed(cluster_key(boot.cluster, boot.launch, f"inbox/{job}"))
    given = None if letter is None else letter.timestamp()
    state = read_cluster_state(files, boot)
    log = _read(files, job_key(job, "log.txt")) if with_log else None
    return Job(
        id=job,
        state=_state_of(job, state, given),
        given_at=given,
        units=read_units(files, job),
        log="" if log is None else log.decode(errors="replace"),
        sealed=is_sealed(files, job),
        cluster=state,
    )


def read_cluster_state(files: Files, boot: Boot) -> State | None:
    """What the head said last; None before its first word."""
    content = _read(files, cluster_key(boot.cluster, boot.launch, "state.json"))
    return None if content is None else read_state(content)


def is_sealed(files: Files, job: str) -> bool:
    """Whether nothing of the job is left to be made. Its models are checked when they are fetched."""
    name = job_key(job, "artefacts.json")
    return name in files.stamps(name)


def read_units(files: Files, job: str) -> dict[str, UnitProgress]:
    """How far each unit of the job is, or how it ended; nothing before its first word."""
    content = _read(files, job_key(job, "progress.json"))
    return {} if content is None else read_progress(content)


def follow(
    files: Files,
    boot: Boot,
    job: str,
    *,
    is_up: Callable[[], bool],
    with_log: bool = False,
    when_lost: str = "",
    clock: Time = Time(),  # noqa: B008  # has no state
) -> Iterator[News]:
    """Says how the job is whenever that has changed, until it is over. `is_up` tells whether the head still runs.

    A connection that is lost is waited for, and UNAVAILABLE after that, with what the caller does `when_lost`, if it
    does not leave the job alone; ABORTED where the cluster ended before the job.
    """
    last: News | None = None
    seen, outage = Job(job, None), Outage(now=clock.awake)
    while True:
        try:
            seen = read_job(files, boot, job, with_log=with_log)
            is_over = seen.sealed or (seen.state is not None and seen.state.is_over)
            trouble = "" if is_over else _silence(seen, boot, is_up, now=clock.now())
            outage.end()
        except CrpbotError as error:
            if not may_pass(error):
                raise
            if not outage.is_borne(error):
                raise _lost(boot, job, error, when_lost) from error
            is_over, trouble = False, f"no connection, trying again: {error.detail}"
        news = News(seen, trouble)
        if news != last:
            last = news
            yield news
        if is_over:
            return
        clock.sleep(min(files.look_seconds, LOOK_SECONDS))


def ends_by_itself(boot: Boot) -> str:
    """What a cluster does whom nobody watches."""
    idle = f"{boot.idle_minutes:g} minutes after its last job"
    return f"the cluster ends itself {idle}, at {utc(boot.ends_at)} at the latest"


def utc(seconds: float) -> str:
    """An instant for people.

    >>> utc(0.0)
    '1970-01-01 00:00 UTC'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _give(files: Files, boot: Boot, order: JobOrder, letter: bytes) -> None:
    name = cluster_key(boot.cluster, boot.launch, f"inbox/{order.id}")
    files.write(job_key(order.id, "order.json"), write_order(order).encode())
    if files.create(name, letter) or files.read(name, most=MOST_TEXT_BYTES) == letter:  # it came, its answer did not
        return
    job = read_job(files, boot, order.id)
    if not job.may_be_given_again:
        raise _twice(boot, job)
    files.remove(cluster_key(boot.cluster, boot.launch, f"stop/{order.id}"))
    files.write(name, letter)


def _state_of(job: str, state: State | None, given: float | None) -> JobState | None:
    """What the head said before it read the letter is of the try before."""
    if state is None or (known := state.jobs.get(job)) is None:
        return None if given is None else JobState.WAITING
    is_older = given is not None and state.at < given + STAMP_SECONDS
    return JobState.WAITING if known.is_over and is_older else known


def _silence(job: Job, boot: Boot, is_up: Callable[[], bool], *, now: float) -> str:
    """Why the job may not go on. A cluster that is no more is an error; one that only says nothing is told of."""
    state = job.cluster
    if state is not None and state.phase == "ending":
        raise _ended(boot, job.id, state.ending or "it does not say why")
    spoke = boot.launched_at + BOOT_SECONDS if state is None else state.at + SILENT_SECONDS
    if now <= spoke:
        return ""
    since = utc(boot.launched_at if state is None else state.at)
    if now > boot.ends_at or not is_up():
        raise _ended(boot, job.id, f"its head is no more; nothing was heard of it since {since}")
    return f"nothing was heard of the cluster since {since}; {ends_by_itself(boot)}"


def _read(files: Files, name: str) -> bytes | None:
    try:
        return files.read(name, most=MOST_TEXT_BYTES)
    except CrpbotError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return None


def _twice(boot: Boot, job: Job) -> CrpbotError:
    when = "" if job.given_at is None else f" at {utc(job.given_at)}"
    how = "its models are ready" if job.sealed else f"it is {job.state}"
    remedy = f"follow it with `crpbot cluster logs {job.id} --follow`"
    return CrpbotError(
        Code.ALREADY_EXISTS,
        f"job {job.id} was given to cluster {boot.cluster}{when}, {how}; remedy: {remedy}, or give another order",
        reason="JOB_TWICE",
    )


def _lost(boot: Boot, job: str, error: CrpbotError, then: str) -> CrpbotError:
    lost = f"no connection to the bucket for {OUTAGE_SECONDS / 60.0:g} minutes ({error.detail})"
    alone = f"job {job} goes on without this machine, and {ends_by_itself(boot)}"
    remedy = "remedy: once connected, run the same command again: it finds the job"
    return CrpbotError(Code.UNAVAILABLE, f"{lost}; {then or f'{alone}; {remedy}'}", reason="CONNECTION_LOST")


def _ended(boot: Boot, job: str, why: str) -> CrpbotError:
    return CrpbotError(
        Code.ABORTED,
        f"cluster {boot.cluster} ended before job {job} was done: {why}; remedy: run the same command again, "
        "the job goes on from its last checkpoints",
        reason="CLUSTER_ENDED",
    )
