"""What makes the ensemble's "70 % sure" come true: Platt's line for each set of models that may speak together.

One file a symbol keeps the lines of two and more models, each with the versions and weights that it was fitted for, so
that a line never meets another model or another mean; a single model's line stands in its own manifest. Lines of
earlier versions stay in the file: a way back finds its calibration again.

Reading is strict. A file that is damaged, changed by hand or of another symbol is a fault, and gives no line at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from core.canonical import read_canonical, write_canonical
from core.ensemble import Line
from core.errors import CrpbotError, invalid
from core.models.manifest import Manifest
from core.models.store import EVERY_COIN, Entry, Slot
from core.models.weighting import KINDS, Weights
from core.strictjson import parse_object

MOST_CHARACTERS: Final = 262_144
MOST_KEPT: Final = 100  # lines of one symbol, 1,000 characters each: three models have four
DIGEST: Final = "digest"


class Measured(NamedTuple):
    """A number, the bounds below and above which the truth lies with 95 % each, and of how many windows it is."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class Quality(NamedTuple):
    """How far what was said lay from what happened: mean squared distance, and the calibration error."""

    brier: Measured
    error: Measured


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A line through the log odds of the mean of just these models, and what it rests on.

    Fitted on `windows` of a span that none of the models learned from and none is judged on. `before` and `after` are
    measured by halves, each on the half of the span that the measured line was not fitted on.
    """

    kinds: tuple[str, ...]
    versions: tuple[str, ...]
    weights: Weights
    slope: float
    intercept: float
    origin: str
    first: datetime
    last: datetime
    windows: int
    before: Quality
    after: Quality
    at: datetime

    @property
    def line(self) -> Line:
        """What the ensemble needs of it."""
        return Line(self.kinds, self.slope, self.intercept)


@dataclass(frozen=True, slots=True)
class Sheet:
    """All lines of one symbol."""

    symbol: str
    calibrators: tuple[Calibrator, ...] = ()


class LineStore(Protocol):
    """A keeper of lines. All calls may block on a disk."""

    def lines(
        self, promoted: Mapping[Slot, Entry], weights: Weights
    ) -> tuple[dict[str, tuple[Line, ...]], tuple[str, ...]]:
        """The lines of each symbol for just these versions and weights, and what is wrong with any file of lines."""
        ...

    def sheet(self, symbol: str) -> Sheet:
        """All lines that are kept of a symbol; none where nothing was calibrated. Raises what is wrong."""
        ...

    def keep(self, symbol: str, fresh: Sequence[Calibrator]) -> None:
        """Adds lines; one for the same versions and weights takes the place of the earlier."""
        ...


def seated(promoted: Mapping[Slot, Entry], symbol: str) -> dict[str, Manifest]:
    """The models that speak of a symbol, by kind. A coin's own model goes before one of several coins."""
    found: dict[str, Manifest] = {}
    for slot, entry in sorted(promoted.items(), key=lambda each: each[0].subject != EVERY_COIN):
        if entry.manifest is not None and symbol in entry.manifest.symbols:
            found[slot.kind.value] = entry.manifest
    return {kind: found[kind] for kind in KINDS if kind in found}


def symbols_of(promoted: Mapping[Slot, Entry]) -> tuple[str, ...]:
    """Every symbol that any of the models knows."""
    known = (entry.manifest.symbols for entry in promoted.values() if entry.manifest is not None)
    return tuple(sorted({symbol for symbols in known for symbol in symbols}))


def own_lines(models: Mapping[str, Manifest]) -> tuple[Line, ...]:
    """Where one model speaks alone, its own line holds."""
    return tuple(
        Line((kind,), manifest.platt.slope, manifest.platt.intercept)
        for kind, manifest in models.items()
        if manifest.platt is not None
    )


def choose(sheet: Sheet, models: Mapping[str, Manifest], weights: Weights) -> tuple[Calibrator, ...]:
    """The kept lines that are for these versions with these weights, fitted on the market that each learned from."""
    known = {kind: (manifest.version, manifest.origin) for kind, manifest in models.items()}
    return tuple(
        each
        for each in sheet.calibrators
        if each.weights == weights
        and all(
            known.get(kind) == (version, each.origin) for kind, version in zip(each.kinds, each.versions, strict=True)
        )
    )


def merge(sheet: Sheet, fresh: Sequence[Calibrator]) -> Sheet:
    """The kept lines and the fresh ones; of the same versions and weights the fresh one, of too many the newest."""
    replaced = {(each.versions, each.weights) for each in fresh}
    kept = [each for each in sheet.calibrators if (each.versions, each.weights) not in replaced]
    return Sheet(sheet.symbol, (*kept, *fresh)[-MOST_KEPT:])


def write_sheet(sheet: Sheet) -> str:
    """Its text, for a file that people read too."""
    entries = {**json.loads(write_canonical(sheet)), DIGEST: _digest(sheet)}
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def read_sheet(text: str, symbol: str) -> Sheet:
    """The lines that were written for this symbol; refused where one number in them is not as it was written."""
    try:
        parse_object(text, most_characters=MOST_CHARACTERS)  # no key twice, no NaN
        entries = json.loads(text)
        vouched = entries.pop(DIGEST, None)
        plain = json.dumps(entries)
        found = read_canonical(plain, Sheet)
        same = json.loads(write_canonical(found)) == entries
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _refused(symbol, f"cannot be read ({type(error).__name__} {str(error)[:80]})") from None
    if not same or vouched != _digest(found):
        raise _refused(symbol, "are not as they were written: something was changed")
    if found.symbol != symbol:
        raise _refused(symbol, f"are those of {found.symbol[:80]}")
    for each in found.calibrators:
        _check(symbol, each)
    return found


def _check(symbol: str, found: Calibrator) -> None:
    """Refuse what the arithmetic would take and no line is."""
    if len(found.kinds) < 2 or found.kinds != tuple(kind for kind in KINDS if kind in found.kinds):
        raise _refused(symbol, f"name the models {', '.join(map(str, found.kinds))[:80]}")
    if len(found.versions) != len(found.kinds) or not all(isinstance(each, str) for each in found.versions):
        raise _refused(symbol, f"name {len(found.versions)} versions of {len(found.kinds)} models")
    measured = (*found.before, *found.after)
    numbers = (found.slope, found.intercept, *found.weights, *(number for each in measured for number in each[:3]))
    if not all(_is_number(number) for number in numbers if number is not None):
        raise _refused(symbol, "have something that is no number")
    if found.slope < 0.0 or min(found.weights) < 0.0 or not any(found.weights):
        raise _refused(symbol, "have a slope or a weight below 0")
    if any(each.tzinfo is None for each in (found.first, found.last, found.at)):
        raise _refused(symbol, "have an instant without a time zone")
    if not found.first < found.last:
        raise _refused(symbol, "were fitted on a span that ends before it begins")


def _is_number(value: object) -> bool:
    return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]  # looked at before


def _digest(sheet: Sheet) -> str:
    return sha256(write_canonical(sheet).encode()).hexdigest()


def _refused(symbol: str, detail: str) -> CrpbotError:
    return invalid(f"lines of {symbol}", f"{detail}; remedy: {calibration(symbol)}", reason="BAD_LINES")


def calibration(symbol: str) -> str:
    """The command that fits the lines of a symbol."""
    return f"crpbot calibrate --coin {symbol.partition('-')[0]}"
