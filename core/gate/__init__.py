"""The one gate through which market data enters: every defect is found, named and treated by a fixed policy.

Live feeds, replay and files pass the same examination. Rows that cannot be closed candles are dropped, small holes are
filled, what nobody can put right is refused, and whatever is done is told (`core.gate.rules` has the policies and their
reasons). Only candles that a caller sends with a request take another way: they are never repaired, and refused with
row and value by `core.market.check_candles`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import numpy as np

from core.errors import Code, CrpbotError, Violation
from core.gate.columns import Raw, read_numbers, read_times
from core.gate.prices import STILL_CANDLES, find_oddities, find_still, find_unit_flips
from core.gate.rows import keep_closed, keep_possible, sort_rows
from core.gate.rules import NOWHERE, POLICIES, RULES, Book, Defect, Harm, Policy, example, utc, words_of
from core.market import COLUMNS, RENAMED, Candles, Floats, Instants, interval_seconds

__all__ = [
    "MAX_AGE_CANDLES",
    "MAX_FILLED",
    "POLICIES",
    "RULES",
    "Admission",
    "Defect",
    "Harm",
    "Policy",
    "RawCandles",
    "Revision",
    "Sifted",
    "admit",
    "examine",
    "revised",
    "revisions",
    "sift",
    "utc",
]

# A hole of so many candles is filled: exchanges leave out minutes without a trade. A longer one is an outage.
MAX_FILLED = 3
# Data older than so many candles are no basis of a decision.
MAX_AGE_CANDLES = 2
# Before its coin had this name. POL took over from MATIC on 2024-09-04, one for one, as a market of its own.
LISTED_SINCE_MS = dict(RENAMED.values())


class RawCandles(NamedTuple):
    """Rows as a source gave them: any order, any defect.

    Times are milliseconds since 1970 (UTC) where they are right. Numbers, `datetime64` and text are read; anything
    else in a column is a defect of its row.
    """

    open_times: Raw
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw


class Sifted(NamedTuple):
    """Closed candles, oldest first, each once; there may be holes. And everything that was found on the way."""

    open_times: Instants
    block: Floats  # (5, N) open, high, low, close, volume
    defects: tuple[Defect, ...]


class Admission(NamedTuple):
    """What came through the gate, the newest stretch without a hole, and what was wrong with its source."""

    candles: Candles
    defects: tuple[Defect, ...]

    @property
    def degraded(self) -> bool:
        """True when no decision may be made on these candles."""
        return any(defect.degrading for defect in self.defects)


class Revision(NamedTuple):
    """A closed candle that a later download tells otherwise: open, high, low, close, volume, then and now."""

    open_time: int
    stored: tuple[float, ...]
    fresh: tuple[float, ...]


def admit(
    raw: RawCandles, *, symbol: str, interval: str, now_ms: int, least: int = 1, source: str = "candles"
) -> Admission:
    """The newest stretch of closed candles without a hole. An error names source, symbol, span, defect and remedy.

    `least` is how many candles the caller cannot do without.
    """
    sifted = sift(raw, symbol=symbol, interval=interval, now_ms=now_ms)
    for defect in sifted.defects:
        if defect.policy is Policy.REFUSE:
            _refuse(defect, sifted, f"{source}: {symbol} {interval}")
    times, block = _newest_stretch(sifted.open_times, sifted.block, 1_000 * interval_seconds(interval))
    if len(times) < least:
        _refuse(_too_short(len(times), least), sifted, f"{source}: {symbol} {interval}")
    return Admission(Candles(symbol, interval, times, *block), sifted.defects)


def examine(raw: RawCandles, *, symbol: str, interval: str, now_ms: int, least: int = 2) -> tuple[Defect, ...]:
    """Everything that is wrong with the rows, refused or not. One candle alone has no move: it is too short."""
    sifted = sift(raw, symbol=symbol, interval=interval, now_ms=now_ms)
    count = len(sifted.open_times)
    return (*sifted.defects, _too_short(count, least)) if 0 < count < least else sifted.defects


def sift(raw: RawCandles, *, interval: str, now_ms: int, symbol: str = "") -> Sifted:
    """What is left when every row that is no closed candle is gone. Nothing is filled, cut or refused here."""
    step = 1_000 * interval_seconds(interval)
    book = Book(step)
    lengths = [len(column) for column in raw]
    if min(lengths) != max(lengths):
        words = ", ".join(f"{count} {name}" for name, count in zip(raw._fields, lengths, strict=True))
        book.note("unequal_columns", example=words)
        return Sifted(NOWHERE, np.empty((5, 0)), book.close(None))
    if lengths[0] == 0:
        book.note("no_candles", example="no rows")
        return Sifted(NOWHERE, np.empty((5, 0)), book.close(None))
    times, block = read_times(raw.open_times, book), read_numbers(raw[1:])
    times, block = keep_closed(times, block, book, step=step, now_ms=now_ms, since_ms=LISTED_SINCE_MS.get(symbol, 0))
    times, block = keep_possible(times, block, book)
    times, block = sort_rows(times, block, book)
    times, block = _keep_confirmed(times, block, book, step=step)
    if len(times) == 0:
        book.note("no_candles", example=f"not one of {lengths[0]} rows can be used")
        return Sifted(times, block, book.close(None))
    _note_volumes(times, block, book)
    _note_still(times, block, book)
    _note_holes(times, book, step=step)
    age = (now_ms - int(times[-1]) - step) / step
    if age > MAX_AGE_CANDLES:
        book.note("stale", times[-1:], example=f"the last one closed at {utc(times[-1] + step)}, {age:.0f} candles ago")
    return Sifted(times, block, book.close(int(times[-1])))


def revisions(stored: Candles | RawCandles, fresh: Candles | RawCandles) -> tuple[Revision, ...]:
    """Candles of both that differ in any number, oldest first. Times are milliseconds; of a time given twice the first.

    What is in one alone is no revision: `admit` tells holes.
    """
    times, mine, theirs = np.intersect1d(stored.open_times, fresh.open_times, return_indices=True)
    old = np.array([getattr(stored, column)[mine] for column in COLUMNS])
    new = np.array([getattr(fresh, column)[theirs] for column in COLUMNS])
    changed = np.flatnonzero(((old != new) & ~(np.isnan(old) & np.isnan(new))).any(axis=0)).tolist()
    return tuple(Revision(int(times[row]), tuple(old[:, row].tolist()), tuple(new[:, row].tolist())) for row in changed)


def revised(found: Sequence[Revision]) -> Defect:
    """Revisions as a defect, to be told with those of the gate."""
    times = np.array([revision.open_time for revision in found], dtype=np.int64)
    first = found[0]
    words = f"{utc(first.open_time)}: {words_of(first.stored)} became {words_of(first.fresh)}"
    ones = np.ones(len(found), dtype=np.int64)
    return Defect("revised", POLICIES["revised"], len(found), first.open_time, words, True, times, ones)


def _too_short(count: int, least: int) -> Defect:
    words = f"{count} in one stretch, {least} needed"
    return Defect("too_short", POLICIES["too_short"], 1, None, words, True, NOWHERE, NOWHERE)


def _refuse(flaw: Defect, sifted: Sifted, whose: str) -> NoReturn:
    times = sifted.open_times
    span = f" from {utc(times[0])} to {utc(times[-1])}" if len(times) else ""
    rule = RULES[flaw.kind]
    others = [f"{defect.kind} {defect.count} ({defect.example})" for defect in sifted.defects if defect is not flaw]
    also = f"; found besides: {', '.join(others)}" if others else ""
    raise CrpbotError(
        Code.FAILED_PRECONDITION,
        f"{whose}{span}: {flaw.kind.replace('_', ' ')}: {flaw.example}; {rule.reason}; {rule.remedy}{also}",
        reason=flaw.kind.upper(),
        violations=(Violation(whose, f"{flaw.kind}: {flaw.example}"),),
    )


def _keep_confirmed(times: Instants, block: Floats, book: Book, *, step: int) -> tuple[Instants, Floats]:
    spikes, jumps = find_oddities(times, block[:4], step)
    if len(spikes):
        book.note("spike", times[spikes], example=example(times, block, spikes[0]))
    if len(jumps):
        row = int(jumps[0])
        before = np.setdiff1d(np.arange(row), spikes)
        words = f" after {block[3, before[-1]]:.10g}" if len(before) else ""
        book.note("price_jump", times[jumps], example=example(times, block, row) + words)
    return (np.delete(times, spikes), np.delete(block, spikes, axis=1)) if len(spikes) else (times, block)


def _note_volumes(times: Instants, block: Floats, book: Book) -> None:
    silent = np.flatnonzero(block[4] == 0)
    if len(silent):
        book.note("zero_volume", times[silent], example=utc(times[silent[0]]))
    flips = find_unit_flips(block[3], block[4])
    if len(flips):
        row = int(flips[0])
        words = (
            f"{utc(times[row])}: volume {block[4, row]:g} at a price of {block[3, row]:g}, {block[4, row - 1]:g} before"
        )
        book.note("volume_unit_flip", times[flips], example=words)


def _note_still(times: Instants, block: Floats, book: Book) -> None:
    if len(times) >= STILL_CANDLES and block[1].max() == block[2].min():
        words = f"{len(times)} candles at {block[3, 0]:g}"
        book.note("constant_price", times[:1], lengths=np.array([len(times)]), example=words)
        return
    begins, lengths = find_still(block)
    if len(begins):
        row = begins[np.argmax(lengths)]
        words = f"{lengths.max()} candles at {block[3, row]:g} from {utc(times[row])}"
        book.note("frozen", times[begins], lengths=lengths, example=words)


def _note_holes(times: Instants, book: Book, *, step: int) -> None:
    missing = np.diff(times) // step - 1
    if not missing.any():
        return
    for kind, rows in (
        ("missing", np.flatnonzero((missing > 0) & (missing <= MAX_FILLED))),
        ("gap", np.flatnonzero(missing > MAX_FILLED)),
    ):
        if len(rows):
            longest = rows[np.argmax(missing[rows])]
            words = (
                f"{missing[rows].sum()} candles, at most {missing[longest]} together, from {utc(times[longest] + step)}"
            )
            book.note(kind, times[rows] + step, lengths=missing[rows], example=words)


def _newest_stretch(times: Instants, block: Floats, step: int) -> tuple[Instants, Floats]:
    """What lies behind the last long hole, with the short ones filled: last close, no volume."""
    if len(times) == 0 or times[-1] - times[0] == (len(times) - 1) * step:
        return times, block
    long = np.flatnonzero(np.diff(times) > (MAX_FILLED + 1) * step)
    begin = int(long[-1]) + 1 if len(long) else 0
    times, block = times[begin:], block[:, begin:]
    whole = np.arange(times[0], times[-1] + step, step)
    sources = np.searchsorted(times, whole, side="right") - 1
    made = times[sources] != whole
    filled = block[:, sources]
    filled[:3, made] = filled[3, made]
    filled[4, made] = 0.0
    return whole, filled
