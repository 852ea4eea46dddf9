"""A question that has no answer yet is asked again, for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, ParamSpec, Protocol, TypeVar

PAUSE_SECONDS: Final = 0.1

Told = ParamSpec("Told")
Answer = TypeVar("Answer")


class Clock(Protocol):
    """What the module `time` has."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


def again(
    ask: Callable[Told, Answer], not_yet: type[Exception], *, seconds: float, clock: Clock
) -> Callable[Told, Answer]:
    """The same question, which takes `not_yet` for no answer until that many seconds after it was asked."""

    def asked(*told: Told.args, **named: Told.kwargs) -> Answer:
        ends = clock.monotonic() + seconds
        while True:
            try:
                return ask(*told, **named)
            except not_yet:
                if clock.monotonic() >= ends:
                    raise
                clock.sleep(PAUSE_SECONDS)

    return asked
