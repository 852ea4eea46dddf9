"""The theories, one file each. A file dropped into this folder is found; nothing else is edited."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from types import ModuleType

from core.analysis import Columns, Field, Opinion, Reading, Theory, TheoryField, Values
from core.errors import unknown
from core.fitted import NOTHING_FITTED, Library, State, Unfitted, Wanted
from core.market import Candles, Windows

# Arrays of so many rows stay in the processor's cache, and fresh memory is not asked of the system for each batch.
CHUNK_ROWS = 64


@dataclass(frozen=True, slots=True)
class Learning:
    """What a fitted theory has besides: it learns a state from long history, offline, and is handed it back."""

    fit: Callable[[Candles], State]
    sample: Callable[[], State]
    state: Callable[..., State]
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Analyzer:
    """One theory as its file defines it."""

    name: str
    explanation: str
    fields: Mapping[str, Field]
    min_length: int
    undefined: str
    analyze: Callable[..., Columns]
    read: Callable[[Values], Opinion]
    variants: tuple[str, ...] = ()
    learning: Learning | None = None

    @property
    def headline(self) -> str:
        """The field that must have a value for a reading to exist: the first one declared."""
        return next(iter(self.fields))

    @property
    def spellings(self) -> tuple[str, ...]:
        """The names under which it can be asked for: its own, and those of its variants."""
        return self.name, *(f"{self.name}/{variant}" for variant in self.variants)

    def describe(self) -> Theory:
        """This theory as the catalogue lists it."""
        fields = tuple(TheoryField(name, field.meaning, field.low, field.high) for name, field in self.fields.items())
        summary = self.explanation.splitlines()[0]
        return Theory(self.name, summary, self.min_length, fields, self.spellings[1:], self.learning is not None)


@cache
def discover() -> Mapping[str, Analyzer]:
    """Every theory in this folder, by name, in alphabetical order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return {name: _load(name) for name in names}


def find(name: str) -> Analyzer:
    """A theory by its name, or by its name and the variant to compute: `monte_carlo/bootstrap`."""
    theory, _, variant = name.partition("/")
    analyzer = discover()[theory]
    if not variant:
        return analyzer
    return replace(analyzer, name=name, analyze=partial(analyzer.analyze, variant=variant))


def choose(names: tuple[str, ...]) -> tuple[str, ...]:
    """The theories asked for, in the catalogue's order; all of them when none is named; unknown ones are refused."""
    if not names:
        return tuple(discover())
    known = [spelling for analyzer in discover().values() for spelling in analyzer.spellings]
    for name in names:
        if name not in known:
            raise unknown("theories", "theory", name, known)
    return tuple(name for name in known if name in names)


def evaluate(analyzer: Analyzer, windows: Windows, library: Library = NOTHING_FITTED) -> list[Reading]:
    """The readings of every row. A row whose headline is undefined carries the problem instead of a number."""
    if windows.length < analyzer.min_length:
        problem = f"needs {analyzer.min_length} candles, the window has {windows.length}"
        return [_no_reading(analyzer, problem)] * len(windows)
    read = _read if analyzer.learning is None else _read_fitted
    if len(windows) <= CHUNK_ROWS:
        return read(analyzer, windows, library)
    chunks = [slice(start, start + CHUNK_ROWS) for start in range(0, len(windows), CHUNK_ROWS)]
    return [reading for chunk in chunks for reading in read(analyzer, windows.rows(chunk), library)]


def learners(names: Sequence[str] = ()) -> tuple[Analyzer, ...]:
    """The theories that are fitted before they can be read, all of them or those named."""
    return tuple(each for each in discover().values() if each.learning and (not names or each.name in names))


@cache
def code_hash(name: str) -> str:
    """Fingerprint of a theory's code: its own file and the shared kernels that it uses, directly or through others."""
    found: dict[str, Path] = {}
    _collect(f"{__name__}.{name}", found)
    return sha256(b"\0".join(found[module].read_bytes() for module in sorted(found))).hexdigest()[:16]


def _collect(name: str, found: dict[str, Path]) -> None:
    """Adds the file of a module and of the kernels that it imports."""
    module = importlib.import_module(name)
    found[name] = Path(str(module.__file__))
    owners = {getattr(value, "__module__", None) for value in vars(module).values()}
    for owner in owners - found.keys():
        if isinstance(owner, str) and owner.startswith("core.kernels."):
            _collect(owner, found)


def _read(analyzer: Analyzer, windows: Windows, _: Library) -> list[Reading]:
    return _read_rows(analyzer, analyzer.analyze(windows))


def _read_fitted(analyzer: Analyzer, windows: Windows, library: Library) -> list[Reading]:
    """Rows for whose market there is a fit are read with it, the others say what is missing."""
    origins = windows.origins or ("",) * len(windows)
    rows = zip(origins, windows.symbols, windows.as_of.tolist(), strict=True)
    states = [
        library.find(analyzer.name, Wanted(origin, windows.interval, symbol, as_of)) for origin, symbol, as_of in rows
    ]
    fitted = [row for row, state in enumerate(states) if not isinstance(state, Unfitted)]
    readings = {
        row: _no_reading(analyzer, state.problem) for row, state in enumerate(states) if isinstance(state, Unfitted)
    }
    if fitted:
        known = windows if len(fitted) == len(windows) else windows.rows(fitted)
        columns = analyzer.analyze(known, [states[row] for row in fitted])
        readings.update(zip(fitted, _read_rows(analyzer, columns), strict=True))
    return [readings[row] for row in range(len(windows))]


def _read_rows(analyzer: Analyzer, columns: Columns) -> list[Reading]:
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [_read_row(analyzer, dict(zip(columns, row, strict=True))) for row in rows]


def _read_row(analyzer: Analyzer, columns: dict[str, float]) -> Reading:
    values = {name: value for name, value in columns.items() if math.isfinite(value)}
    if analyzer.headline not in values:
        return _no_reading(analyzer, analyzer.undefined)
    opinion = analyzer.read(values)
    return Reading(analyzer.name, values, opinion.vote, opinion.words)


def _no_reading(analyzer: Analyzer, problem: str) -> Reading:
    return Reading(analyzer.name, {}, 0.0, "", problem)


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
        variants=getattr(module, "VARIANTS", ()),
        learning=_learning(module),
    )


def _learning(module: ModuleType) -> Learning | None:
    if not hasattr(module, "fit"):
        return None
    return Learning(module.fit, module.sample, module.Fitted, getattr(module, "FEATURES", ()))
