"""How far long work has come: a bar with the time left on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from cli.render import console

Tell = Callable[[int, int, str], None]
"""Hears how much is done, of how much, and what was done last."""

# Of work that is counted in thousands, a line so often is enough for a log.
SECONDS_BETWEEN_LINES: Final = 10.0


@contextmanager
def bar(what: str, *, unit: str = "") -> Iterator[Tell]:
    """Gives the function to tell of each step. With a unit, the rate is shown: so many of them a second."""
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield _lines(unit)
        return
    columns: list[ProgressColumn] = [TextColumn(what), BarColumn(), MofNCompleteColumn()]
    columns += [_Rate(unit)] if unit else []
    columns += [TimeRemainingColumn(), TextColumn("{task.fields[last]}")]
    with Progress(*columns, console=terminal, transient=True, speed_estimate_period=120.0) as progress:
        task = progress.add_task(what, total=None, last="")
        yield lambda done, total, words: progress.update(task, completed=done, total=total, last=words)


class _Rate(ProgressColumn):
    """So many a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} {self._unit}/s" if task.speed else "", style="cyan")


def _lines(unit: str) -> Tell:
    """Every step, or of counted work now and then one, with rate and time left."""
    begun = told = time.monotonic()

    def tell(done: int, total: int, words: str) -> None:
        nonlocal told
        now = time.monotonic()
        if unit and done < total and now - told < SECONDS_BETWEEN_LINES:
            return
        told = now
        rate = done / max(now - begun, 1e-9)
        speed = f"; {rate:,.0f} {unit}/s, {clock((total - done) / rate)} left" if unit and rate else ""
        print(f"{done:,} of {total:,}: {words}{speed}", file=sys.stderr, flush=True)  # noqa: T201

    return tell


def clock(seconds: float) -> str:
    """As a clock has it.

    >>> [clock(seconds) for seconds in (7.2, 605.0, 7_384.0)]
    ['0:00:07', '0:10:05', '2:03:04']
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
