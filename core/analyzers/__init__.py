"""The theories, one file each. A file dropped into this folder is found; nothing else is edited."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from core.analysis import Columns, Field, Opinion, Reading, Theory, TheoryField, Values
from core.errors import unknown
from core.market import Windows


@dataclass(frozen=True, slots=True)
class Analyzer:
    """One theory as its file defines it."""

    name: str
    explanation: str
    fields: Mapping[str, Field]
    min_length: int
    undefined: str
    analyze: Callable[[Windows], Columns]
    read: Callable[[Values], Opinion]

    @property
    def headline(self) -> str:
        """The field that must have a value for a reading to exist: the first one declared."""
        return next(iter(self.fields))

    def describe(self) -> Theory:
        """This theory as the catalogue lists it."""
        fields = tuple(TheoryField(name, field.meaning, field.low, field.high) for name, field in self.fields.items())
        return Theory(self.name, self.explanation.splitlines()[0], self.min_length, fields)


@cache
def discover() -> Mapping[str, Analyzer]:
    """Every theory in this folder, by name, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return {name: _load(name) for name in names}


def choose(names: tuple[str, ...]) -> tuple[str, ...]:
    """The theories asked for, in the catalogue's order; all of them when none is named; unknown ones are refused."""
    known = discover()
    for name in names:
        if name not in known:
            raise unknown("theories", "theory", name, known)
    return tuple(name for name in known if not names or name in names)


def evaluate(analyzer: Analyzer, windows: Windows) -> list[Reading]:
    """The readings of every row. A row whose headline is undefined carries the problem instead of a number."""
    if windows.length < analyzer.min_length:
        problem = f"needs {analyzer.min_length} candles, the window has {windows.length}"
        return [Reading(analyzer.name, {}, 0.0, "", problem)] * len(windows)
    columns = analyzer.analyze(windows)
    return [_read_row(analyzer, columns, row) for row in range(len(windows))]


def _read_row(analyzer: Analyzer, columns: Columns, row: int) -> Reading:
    values = {name: float(column[row]) for name, column in columns.items()}
    values = {name: value for name, value in values.items() if math.isfinite(value)}
    if analyzer.headline not in values:
        return Reading(analyzer.name, {}, 0.0, "", analyzer.undefined)
    opinion = analyzer.read(values)
    return Reading(analyzer.name, values, opinion.vote, opinion.words)


def _load(name: str) -> Analyzer:
    module = importlib.import_module(f"{__name__}.{name}")
    return Analyzer(
        name=name,
        explanation=inspect.getdoc(module) or "",
        fields=module.FIELDS,
        min_length=module.MIN_LENGTH,
        undefined=module.UNDEFINED,
        analyze=module.analyze,
        read=module.read,
    )
