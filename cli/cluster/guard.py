"""What was begun is ended: after an error, Ctrl-C, SIGTERM and a closed terminal, and nothing interrupts the ending."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, Self

from cli.cluster.progress import say

SIGNALS: Final = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "the terminal was closed"}
OF_SIGNAL: Final = 128  # what shells add to the number of the signal that ended a program


class Asked(SystemExit):
    """Somebody wants this program to end."""


class Guard:
    """While it lasts the first signal raises `Asked` and any later one only says what is going on."""

    def __init__(self) -> None:
        self._asked: int | None = None
        self._is_raised = False
        self._holds = False
        self._ending = ""
        self._before: dict[int, Any] = {}  # Any: a handler, or one of the signal module's own

    def __enter__(self) -> Self:
        self._before = {each: signal.signal(each, self._hear) for each in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def check(self) -> None:
        """Raises what was held back, once: whoever ends what was begun is not interrupted by the same signal again."""
        if self._asked is not None and not self._ending and not self._is_raised:
            self._is_raised = True
            raise Asked(OF_SIGNAL + self._asked)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """While it lasts signals wait for `check`: what is begun in it is known by name when they are heard."""
        self._holds = True
        try:
            yield
        finally:
            self._holds = False
        self.check()

    @contextmanager
    def ending(self, words: str, end: Callable[[], object]) -> Iterator[None]:
        """Whatever happens inside, `end` is called once, and from then on no signal is followed."""
        try:
            try:
                yield
            finally:
                self._ending = words
        finally:
            self._ending = words
            end()

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if self._ending:
            say(f"{SIGNALS[signal.Signals(number)]}: {self._ending}")
            return
        if self._asked is not None:
            say("asked to end already: what was begun is being ended")
            return
        self._asked = number
        say(f"{SIGNALS[signal.Signals(number)]}: ending what was begun")
        if not self._holds:
            self._is_raised = True
            raise Asked(OF_SIGNAL + number)
