"""What a benchmark says: figures with their spread and their goal, as a table for people and as JSON for records."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Goal:
    """The limit that a median must keep."""

    limit: float
    is_upper: bool

    def is_met(self, median: float) -> bool:
        """Whether the median is on the right side; the limit itself is."""
        return median <= self.limit if self.is_upper else median >= self.limit

    def __str__(self) -> str:
        return f"{'<=' if self.is_upper else '>='} {self.limit:g}"


def at_most(limit: float) -> Goal:
    """Smaller is better."""
    return Goal(limit, is_upper=True)


def at_least(limit: float) -> Goal:
    """Larger is better."""
    return Goal(limit, is_upper=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity: a value for each round. `goal` is None for what is only told."""

    name: str
    unit: str
    values: tuple[float, ...]
    goal: Goal | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def as_json(self) -> dict[str, object]:
        """The figure for records."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.median,
            "lowest": min(self.values),
            "highest": max(self.values),
            "n": len(self.values),
            "goal": None if self.goal is None else str(self.goal),
            "met": None if self.goal is None else self.goal.is_met(self.median),
        }


def ratio(name: str, numerators: Iterable[float], denominators: Iterable[float], goal: Goal) -> Figure:
    """Round by round, so that a slow minute of the machine falls on both sides."""
    values = tuple(above / below for above, below in zip(numerators, denominators, strict=True))
    return Figure(name, "x", values, goal)


def print_figures(figures: Iterable[Figure], *, title: str) -> None:
    """The table for people."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", caption=describe_machine())
    table.add_column("Figure")
    for column in ("Median", "Min .. max", "n", "Goal"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in figures:
        spread = f"{shown(min(each.values))} .. {shown(max(each.values))}"
        median = f"{shown(each.median)} {each.unit}"
        table.add_row(each.name, median, spread, str(len(each.values)), _judged(each))
    Console(highlight=False).print(table)


def write_figures(figures: Iterable[Figure], file: Path) -> None:
    """The record for machines."""
    record = {"machine": describe_machine(), "figures": [each.as_json() for each in figures]}
    file.write_text(json.dumps(record, indent=2) + "\n")


def describe_machine() -> str:
    """Where the figures were taken: they mean nothing elsewhere."""
    return f"{len(os.sched_getaffinity(0))} cores, {_memory_gib():.0f} GiB, Python {platform.python_version()}"


def _judged(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"[{'green' if figure.goal.is_met(figure.median) else 'red'}]{figure.goal}[/]"


def shown(value: float) -> str:
    """Three significant digits, and no exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
