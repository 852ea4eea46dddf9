"""How far long work has come: a bar with the time left on a terminal, a line for each step elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.render import console


@contextmanager
def bar(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Gives the function to tell of each step: how many are done, of how many, and the last one's name."""
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield lambda done, total, words: print(f"{done} of {total}: {words}", file=sys.stderr, flush=True)  # noqa: T201
        return
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=terminal, transient=True) as progress:
        task = progress.add_task(what, total=None, last="")
        yield lambda done, total, words: progress.update(task, completed=done, total=total, last=words)
