"""Whether a cluster that nobody needs any more ends itself: decided from what was seen, and from nothing else.

A head on its own costs more in a month than all trainings, and Ray never ends it. So it ends when it idles, when Ray
is silent, when no machine ever comes for its jobs, and at the end of its lifetime at the latest. Idleness is counted
on a clock that nobody can set: what the wall clock does is no reason to end a job, nor to live on.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# a worker without a job stays for what lies in its memory, which somebody may have forgotten: so much longer it may
FORGOTTEN: Final = 2.0
# what ends one boot ends the next as well, and each costs its minutes: as many as run side by side at once
MOST_FAILED_BOOTS: Final = 4
# a machine boots within 10 minutes, and Ray gives one up that has not joined after 15: two of those
MACHINE_SECONDS: Final = 1_800.0
# A Ray that computes hard, or whose dashboard starts anew, gives no answer for minutes, and a job that works is worth
# more than these: so long its silence ends nothing, however soon an idle machine is to end.
BUSY_SILENCE_SECONDS: Final = 600.0


class Rules(NamedTuple):
    """What a launch may cost, as time."""

    idle_seconds: float
    ends_at: float  # by the wall clock, seconds since 1970
    ends_at_steady: float  # the same instant by the steady clock, as it was when the machine began
    start_seconds: float  # Ray may be silent for so long at any time: it does while it starts


class Seen(NamedTuple):
    """One look at the cluster."""

    wall: float  # seconds since 1970
    steady: float  # seconds since some instant; nobody sets it, and time asleep counts
    jobs: int | None  # that run or wait; None: Ray does not answer
    workers: int  # machines besides the head, as Ray said last; without meaning while it is silent
    failed_boots: int = 0  # machines that left last words because they could not start
    boot_words: str = ""  # of the last of them
    refusal: str = ""  # why AWS gave no machine, the last time that it did not


class Watch(NamedTuple):
    """What is kept between two looks. Instants are of the steady clock."""

    idle_since: float | None = None  # neither a job nor a worker was seen
    jobless_since: float | None = None  # no job was seen, whatever else
    silent_since: float | None = None  # Ray gives no answer
    was_busy: bool = False  # its last answer told of a job
    has_answered: bool = False
    machineless_since: float | None = None  # there is a job, and not one worker ever joined
    has_joined: bool = False  # a worker, ever


def look(watch: Watch, seen: Seen, rules: Rules) -> tuple[Watch, str]:
    """What is to be kept, and why the machine ends; empty while it lives on.

    Silence proves no job, so it counts as idleness, unless a job ran when Ray was heard last: then it has a limit of
    its own.
    """
    is_silent = seen.jobs is None
    is_busy = watch.was_busy if is_silent else bool(seen.jobs)
    has_worker = not is_silent and seen.workers > 0
    has_answered = watch.has_answered or not is_silent  # until then Ray starts: no idleness
    has_joined = watch.has_joined or has_worker
    lacked = watch.machineless_since is not None  # a job that was seen still lacks its machine while Ray is silent
    watch = Watch(
        idle_since=_since(watch.idle_since, seen, is_so=has_answered and not is_busy and not has_worker),
        jobless_since=_since(watch.jobless_since, seen, is_so=has_answered and not is_busy),
        silent_since=_since(watch.silent_since, seen, is_so=is_silent),
        was_busy=is_busy,
        has_answered=has_answered,
        machineless_since=_since(
            watch.machineless_since, seen, is_so=not has_joined and (is_busy or (is_silent and lacked))
        ),
        has_joined=has_joined,
    )
    return watch, _reason(watch, seen, rules)


def _since(before: float | None, seen: Seen, *, is_so: bool) -> float | None:
    if not is_so:
        return None
    return seen.steady if before is None else min(before, seen.steady)


def _reason(watch: Watch, seen: Seen, rules: Rules) -> str:
    if seen.wall >= rules.ends_at or seen.steady >= rules.ends_at_steady:
        return "the lifetime of its launch is over"
    silence = max(rules.idle_seconds, rules.start_seconds, BUSY_SILENCE_SECONDS if watch.was_busy else 0.0)
    if _lasts(watch.silent_since, seen, silence):
        return f"Ray gave no answer for {minutes(silence)}"
    limit = rules.idle_seconds
    if _lasts(watch.idle_since, seen, limit):
        return f"no job and no worker for {minutes(limit)}"
    if _lasts(watch.jobless_since, seen, FORGOTTEN * limit):
        return f"no job for {minutes(FORGOTTEN * limit)}, though a worker is still there"
    return "" if watch.has_joined else _hopeless(watch, seen)


def _hopeless(watch: Watch, seen: Seen) -> str:
    """Why no worker will ever come."""
    if seen.failed_boots >= MOST_FAILED_BOOTS:
        return f"{seen.failed_boots} machines could not start and none ever joined; the last: {seen.boot_words}"
    if _lasts(watch.machineless_since, seen, MACHINE_SECONDS):
        why = seen.refusal or seen.boot_words or "nobody says why"
        return f"a job waited {minutes(MACHINE_SECONDS)} and no worker ever came: {why}"
    return ""


def _lasts(since: float | None, seen: Seen, limit: float) -> bool:
    return since is not None and seen.steady - since >= limit


def minutes(seconds: float) -> str:
    """A duration for people.

    >>> minutes(900.0), minutes(90.0)
    ('15 minutes', '1.5 minutes')
    """
    return f"{seconds / 60.0:.3g} minutes"
