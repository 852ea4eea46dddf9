"""How far a job on a cluster is: a bar for each of its trainings on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from cli.progress import SECONDS_BETWEEN_LINES, clock
from cli.render import console

if TYPE_CHECKING:
    from training.cluster.mail import UnitProgress
    from training.cluster.post import News

Hear = Callable[["News"], None]


def say(words: str) -> None:
    """A line for people on standard error, if there still is somebody: ending a cluster must not depend on that."""
    with suppress(OSError):
        print(words, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def unit_bars(names: Iterable[str]) -> Iterator[Hear]:
    """Gives the function that hears of each change; every training has a line of its own."""
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield _Lines().hear
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=terminal) as progress:
        tasks = {name: progress.add_task(name, total=None, words="waits for a machine") for name in names}
        told = ""

        def hear(news: News) -> None:
            nonlocal told
            for name, unit in news.job.units.items():
                if name in tasks:
                    progress.update(tasks[name], completed=unit.done, total=unit.total or None, words=words_of(unit))
            trouble = _trouble(news)
            if trouble and trouble != told:
                terminal.print(Text(trouble, style="yellow"))
            told = trouble

        yield hear


def words_of(unit: UnitProgress) -> str:
    """What a training does, how fast, and how long it will take; or why it is none."""
    if unit.fault:
        return f"not trained: {unit.fault}"
    rate = f", {unit.rate:,.0f}/s" if unit.rate else ""
    left = f", {clock(unit.seconds_left)} left" if unit.seconds_left else ""
    return f"{unit.words}{rate}{left}"


class _Lines:
    """For a log: a line of each training now and then, at its end, and whenever something is wrong."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, UnitProgress]] = {}
        self._trouble = ""

    def hear(self, news: News) -> None:
        for name, unit in news.job.units.items():
            at, before = self._told.get(name, (float("-inf"), None))
            is_end = bool(unit.fault) or (unit.total > 0 and unit.done >= unit.total)
            if unit == before or not (is_end or time.monotonic() - at >= SECONDS_BETWEEN_LINES):
                continue
            self._told[name] = (time.monotonic(), unit)
            far = f"{unit.done:,} of {unit.total:,}, " if unit.total else ""
            say(f"{name}: {far}{words_of(unit)}")
        trouble = _trouble(news)
        if trouble and trouble != self._trouble:
            say(trouble)
        self._trouble = trouble


def _trouble(news: News) -> str:
    """What is wrong: with the connection, or with the machines."""
    if news.trouble or news.job.cluster is None or not news.job.cluster.problems:
        return news.trouble
    return f"machines: {news.job.cluster.problems[-1]}"
