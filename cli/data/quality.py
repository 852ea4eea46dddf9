"""Whether a file of candles may be trained on: what the gate finds in it, and what its download knows of its holes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.adapters.history.file import Damage, Memo, check_file
from core.adapters.history.raw_file import guess_interval, read_raw, read_title
from core.errors import CrpbotError
from core.gate import RULES, Defect, Policy, RawCandles, Sifted, examine, revised, sift, utc
from core.market import INTERVAL_SECONDS, Instants, instant

# Of the candles that a file should have, so many may be lost, dropped or frozen. Real downloads had 0.3 % at most.
MOST_SPOILT: Final = 0.01
# Short holes are minutes without a trade as long as a real market could have so many: the thinnest coin lacked 25 %.
MOST_FILLED: Final = 0.33

# Of these nobody can say which rows are true, however few they are.
NEVER_TRAINED_ON: Final = frozenset({"conflict", "future", "unreadable_time", "constant_price", "lost", "added"})
# Rows that are dropped without a loss.
NO_LOSS: Final = frozenset({"duplicate", "open_candle", "revised", "before_listing"})
# A file is old by its nature.
NOT_OF_FILES: Final = frozenset({"stale"})
# What a file's own download knows better than the gate.
GATE_HOLES: Final = frozenset({"missing", "gap"})

# What a download knows: candles that the exchange has not, that came to nobody, that were in the file once, or never.
HOLES: Final[Mapping[str, tuple[Policy, str]]] = {
    "not_traded": (Policy.ACCEPT, "the exchange was asked and has no such candles: nothing is to be done"),
    "not_told": (Policy.DROP, "fetch this span again: the exchange told no usable candle"),
    "lost": (Policy.REFUSE, "move the file away and fetch it again: these candles were in it"),
    "added": (Policy.REFUSE, "move the file away and fetch it again: no download brought these candles"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of defect: how many rows or holes, how many candles they concern, and what to do."""

    kind: str
    policy: str
    count: int
    candles: int
    example: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A file. `reasons` say why it must not be trained on; there are none when it may be."""

    file: Path
    symbol: str
    interval: str | None
    source: str | None  # of a download
    rows: int
    candles: int
    first: datetime | None
    last: datetime | None
    findings: tuple[Finding, ...] = ()
    reasons: tuple[str, ...] = ()


class Inspection(NamedTuple):
    """A file's usable candles, its defects, and what its download knows."""

    verdict: Verdict
    sifted: Sifted | None
    holes: tuple[Defect, ...]  # of the kinds in HOLES
    memo: Memo | None


def list_files(place: Path) -> list[Path]:
    """A file, or every Parquet file of a folder."""
    return sorted(place.glob("*.parquet")) if place.is_dir() else [place]


def inspect_file(path: Path, *, now_ms: int) -> Inspection:
    """Everything that is wrong with a file. One that cannot be read is a verdict too."""
    title = read_title(path)
    interval = title.interval
    try:
        memo = check_file(path)
        raw = read_raw(path)
    except (CrpbotError, Damage, OSError) as error:
        words = error.detail if isinstance(error, CrpbotError) else str(error)
        verdict = Verdict(path, title.symbol, interval, None, 0, 0, None, None, reasons=(words,))
        return Inspection(verdict, None, (), None)
    if interval is None:
        interval = guess_interval(sift(raw, interval="1m", now_ms=now_ms).open_times)
    if interval is None:
        words = f"its name does not say which candles it holds; call it {title.symbol}_1m_FIRST_LAST.parquet"
        verdict = Verdict(path, title.symbol, None, None, len(raw.open), 0, None, None, reasons=(words,))
        return Inspection(verdict, None, (), memo)
    sifted = sift(raw, symbol=title.symbol, interval=interval, now_ms=now_ms)
    defects = examine(raw, symbol=title.symbol, interval=interval, now_ms=now_ms)
    step = 1_000 * INTERVAL_SECONDS[interval]
    better = NOT_OF_FILES | (GATE_HOLES if memo else frozenset())
    holes = _explain_holes(raw, memo) if memo else ()
    found = [*(defect for defect in defects if defect.kind not in better), *holes]
    found += [revised(memo.revisions)] if memo and memo.revisions else []
    times = sifted.open_times
    verdict = Verdict(
        file=path,
        symbol=title.symbol,
        interval=interval,
        source=memo.source if memo else None,
        rows=len(raw.open),
        candles=len(times),
        first=instant(int(times[0])) if len(times) else None,
        last=instant(int(times[-1])) if len(times) else None,
        findings=tuple(_finding(defect) for defect in found),
        reasons=tuple(_reasons(found, times, step)),
    )
    return Inspection(verdict, sifted, holes, memo)


def _explain_holes(raw: RawCandles, memo: Memo) -> tuple[Defect, ...]:
    """Candle for candle: what the download was told, against what the file holds."""
    begin, end = memo.span
    step = memo.step_ms
    is_there = np.zeros((end - begin) // step, dtype=bool)
    times = np.asarray(raw.open_times).astype("datetime64[ms]").astype(np.int64)
    inside = (times >= begin) & (times < end)
    is_there[(times[inside] - begin) // step] = True
    covered = _mark(np.array(memo.covered, dtype=np.int64), begin, step, len(is_there))
    has_not = _mark(memo.holes, begin, step, len(is_there))
    kinds = {
        "not_traded": has_not & ~is_there,
        "not_told": ~covered & ~is_there,
        "lost": covered & ~has_not & ~is_there,
        "added": has_not & is_there,
    }
    found = [_hole(kind, marked, begin, step) for kind, marked in kinds.items() if marked.any()]
    if not inside.all():
        found.append(_hole("added", np.ones(np.count_nonzero(~inside), dtype=bool), int(times[~inside][0]), step))
    return tuple(found)


def _mark(stretches: Instants, begin: int, step: int, count: int) -> NDArray[np.bool_]:
    """Which of `count` candles from `begin` on lie in one of the stretches, which do not overlap."""
    edges = np.zeros(count + 1, dtype=np.int64)
    for sign, column in ((1, stretches[:, 0]), (-1, stretches[:, 1])):
        np.add.at(edges, (column - begin) // step, sign)
    return np.cumsum(edges[:-1]) > 0


def _hole(kind: str, marked: NDArray[np.bool_], begin: int, step: int) -> Defect:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False]))))
    times, lengths = begin + edges[::2] * step, edges[1::2] - edges[::2]
    longest = int(lengths.argmax())
    words = f"{lengths.sum()} candles; the longest hole has {lengths[longest]} from {utc(int(times[longest]))}"
    return Defect(kind, HOLES[kind][0], len(times), int(times[0]), words, kind in NEVER_TRAINED_ON, times, lengths)


def _finding(defect: Defect) -> Finding:
    remedy = HOLES[defect.kind][1] if defect.kind in HOLES else RULES[defect.kind].remedy
    candles = int(defect.lengths.sum()) or defect.count
    return Finding(defect.kind, str(defect.policy), defect.count, candles, defect.example, remedy)


def _reasons(found: Sequence[Defect], times: Instants, step: int) -> Iterable[str]:
    """Why the candles must not be trained on."""
    for defect in found:
        if defect.policy is Policy.REFUSE or defect.kind in NEVER_TRAINED_ON:
            yield f"{defect.kind}: {defect.example}"
    if not len(times):
        return
    expected = int(times[-1] - times[0]) // step + 1
    spoilt = {
        defect.kind: int(defect.lengths.sum())
        for defect in found
        if (defect.policy is Policy.DROP and defect.kind not in NO_LOSS) or defect.kind == "frozen"
    }
    if sum(spoilt.values()) > MOST_SPOILT * expected:
        share = sum(spoilt.values()) / expected
        words = ", ".join(f"{count} {kind}" for kind, count in spoilt.items())
        yield f"{share:.1%} of {expected} candles are spoilt ({words}); {MOST_SPOILT:.0%} may be"
    filled = sum(int(defect.lengths.sum()) for defect in found if defect.kind == "missing")
    if filled > MOST_FILLED * expected:
        yield f"{filled / expected:.0%} of {expected} candles are missing one by one; {MOST_FILLED:.0%} may be"
