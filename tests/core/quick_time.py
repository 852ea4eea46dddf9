"""Time that passes at once: tests of waiting wait for nothing, and a slow machine changes none of their outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from selectors import DefaultSelector, SelectorKey
from typing import Any, ParamSpec

P = ParamSpec("P")


def in_quick_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """For tests whose work is all done by the event loop: a thread would be given no time at all."""

    @wraps(test)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=_QuickLoop) as runner:
            runner.run(test(*arguments, **options))

    return run


class _QuickSelector(DefaultSelector):
    """Where nothing is left to do but wait, that time has passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        assert timeout is not None, "nobody will ever go on"
        self.now += timeout
        return super().select(0.0)


class _QuickLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _QuickSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now
