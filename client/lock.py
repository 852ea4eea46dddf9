"""One scheduler on a machine: a lock that ends with its process, and the last slot it scanned."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

FILE_NAME: Final = "scheduler.lock"


class LastScan(NamedTuple):
    """The newest slot that a scheduler of this folder began, and the length of its slots."""

    slot: int
    interval_seconds: int


class HeldError(Exception):
    """Another scheduler works from the same folder."""

    def __init__(self, file: Path, pid: str) -> None:
        super().__init__(
            f"a scheduler already works from {file.parent} (pid {pid}); end it, or wait for its end with --stand-by"
        )
        self.pid = pid


class SchedulerLock:
    """The lock of a state folder. However its holder ends, the kernel gives it free."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def __enter__(self) -> Self:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = self._path.open("a+b", buffering=0)  # a full disk must leave nothing to write at the end
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def take(self) -> LastScan | None:
        """Makes us the one scheduler, and gives what the one before us scanned last. Raises HeldError."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldError(self._path, (self._lines() or ["unknown"])[0]) from None
        last = self._last()
        self._write(last)
        return last

    def wait(self, pause: Callable[[], None]) -> LastScan | None:
        """The same, with a pause before each further try."""
        while True:
            try:
                return self.take()
            except HeldError:
                pause()

    def note(self, scan: LastScan) -> None:
        """A slot is begun."""
        self._write(scan)

    def _write(self, scan: LastScan | None) -> None:
        told = "" if scan is None else f"{scan.slot} {scan.interval_seconds}\n"
        with suppress(OSError):  # on a full disk the lock still holds; only the memory of the last slot is lost
            self._file.truncate(0)
            self._file.write(f"{os.getpid()}\n{told}".encode())

    def _last(self) -> LastScan | None:
        """What the holder before us noted; a file that a full disk cut says nothing."""
        try:
            slot, interval = self._lines()[1].split()
            return LastScan(int(slot), int(interval))
        except (IndexError, ValueError):
            return None

    def _lines(self) -> list[str]:
        self._file.seek(0)
        return self._file.read().decode("ascii", "replace").splitlines()
