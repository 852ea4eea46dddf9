"""What SIGINT and SIGTERM ask of the supervisor: the end, and the second time at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):  # noqa: N818  # an order, not an error
    """Somebody asked for the end while something was still starting."""


class Orders:
    """The first signal asks for the end, Ctrl-C after it for the end at once."""

    def __init__(self) -> None:
        self._first: int | None = None
        self.at_once = False

    @property
    def end(self) -> bool:
        """Whether the end was asked for."""
        return self._first is not None

    @property
    def from_keyboard(self) -> bool:
        """Whether it was Ctrl-C: somebody waits in front of the terminal."""
        return self._first == signal.SIGINT

    def raise_if_end(self) -> None:
        """Leaves a start that nobody wants any more."""
        if self.end:
            raise Stopped

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Within the block signals are orders. A terminal that closes is one too, unless `nohup` says otherwise."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._first is None:
            self._first = number
        elif number == signal.SIGINT:
            self.at_once = True
