"""A clock that nobody can set back: it goes on through changes of the wall clock, restarts and reboots.

Every process of a machine reads the same: milliseconds since the machine's start plus an anchor in a small file, which
one of them wrote once. The anchor begins near the wall clock, so that machines agree as far as their wall clocks did;
afterwards the wall clock is only a label.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from core.errors import Code, CrpbotError
from core.risk.account import Moment

FILE_NAME: Final = "steady_clock.json"
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

WallClock = Callable[[], datetime]
SinceBoot = Callable[[], int]
"""Milliseconds since the machine's start, time asleep included."""


def wall_clock() -> datetime:
    """Now, as the machine's clock says."""
    return datetime.now(UTC)


def milliseconds_since_boot() -> int:
    """Counts while the machine sleeps too, unlike the monotonic clock; where there is no such clock, that one."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


def boot_id() -> str:
    """Names this run of the machine; where the system gives no name, the minute in which it must have started."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"started-{(time.time_ns() // 1_000_000 - milliseconds_since_boot()) // 60_000}"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where time comes from; tests give their own."""

    wall: WallClock = wall_clock
    since_boot: SinceBoot = milliseconds_since_boot
    boot: str = field(default_factory=boot_id)


@dataclass(frozen=True, slots=True)
class SteadyClock:
    """Calling it tells now: `at` from the wall, `steady_ms` from the start of the machine and the anchor."""

    sources: Sources
    anchor_ms: int

    def __call__(self) -> Moment:
        """Now."""
        return Moment(self.sources.wall(), self.sources.since_boot() + self.anchor_ms)


def open_clock(folder: Path, *, newest_ms: int = 0, sources: Sources | None = None) -> SteadyClock:
    """The machine's clock, anchored in `folder`; the first process after a start of the machine writes the anchor.

    It never stands before `newest_ms`, the newest instant that the ledger holds: a wall clock that is wrong after a
    reboot would else put all that was counted into the future.
    """
    sources = sources or Sources()
    file = folder / FILE_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # the lock is on a file of its own: the anchor is replaced, and a lock on what was replaced holds nobody
        descriptor = os.open(folder / f"{FILE_NAME}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            return SteadyClock(sources, _anchor(file, newest_ms, sources))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"{file}: the clock's anchor cannot be kept: {error.strerror}; choose a writable state folder",
            reason="CLOCK_NOT_WRITABLE",
        ) from error


def _anchor(file: Path, newest_ms: int, sources: Sources) -> int:
    """The anchor of this run of the machine. Once written it stays, so that all processes read the same clock."""
    kept = _read(file)
    if kept is not None and kept[0] == sources.boot:
        return kept[1]
    wall_ms = int(sources.wall().timestamp() * 1_000)
    anchor = max(wall_ms, newest_ms) - sources.since_boot()
    _write(file, sources.boot, anchor)
    return anchor


def _read(file: Path) -> tuple[str, int] | None:
    """The boot it was written in and its milliseconds; None when there is none that can be read."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        boot, anchor = content["boot"], content["anchor_ms"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # a damaged anchor is made anew, not before the newest stored instant
        return None
    return (boot, anchor) if isinstance(boot, str) and type(anchor) is int else None


def _write(file: Path, boot: str, anchor_ms: int) -> None:
    """Whole or not at all, also when the machine stops in the middle."""
    new = file.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, json.dumps({"boot": boot, "anchor_ms": anchor_ms}).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(file)
