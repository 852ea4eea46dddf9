"""`crpbot data`: fetches history, says what may be trained on, makes features of it, and draws it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from cli.data.chart import Marks, draw
from cli.data.quality import GATE_HOLES, HOLES, Inspection, Verdict, inspect_file, list_files
from core.adapters.feature_file import feature_file, write_features
from core.adapters.history.download import Outcome, Source, Tell, download
from core.adapters.history.plan import Series
from core.adapters.history.raw_file import Title, read_title
from core.errors import Code, CrpbotError, invalid
from core.gate import MAX_FILLED, RawCandles, admit
from core.market import INTERVAL_SECONDS, SYMBOLS, Candles, Floats, Instants, interval_seconds, parse_symbol
from core.settings.declared import Settings

RAW_FOLDER: Final = Path("data/raw")
FEATURES_FOLDER: Final = Path("data/features")
CHARTS_FOLDER: Final = Path("data/charts")

# Found in most files, and nothing to look at.
NOT_DRAWN: Final = frozenset({"zero_volume", "out_of_order", "time_unit", "duplicate", "stale"})

Row = dict[str, Any]  # Any: what becomes JSON


@dataclass(frozen=True, slots=True)
class Order:
    """What to fetch. No symbols means all; no end means now."""

    symbols: tuple[str, ...]
    intervals: tuple[str, ...]
    start: str
    end: str | None = None
    output: Path = RAW_FOLDER
    again: bool = False


def now_ms() -> int:
    """This machine's clock."""
    return round(datetime.now(UTC).timestamp() * 1_000)


def fetch(order: Order, source: Source, tell: Tell, *, clock: Callable[[], int] = now_ms) -> list[Outcome]:
    """Downloads every symbol at every interval, and says what came of each."""
    symbols = [parse_symbol(symbol) for symbol in order.symbols] or list(SYMBOLS)
    for interval in order.intervals:
        interval_seconds(interval)
    begin, end = parse_instant(order.start, "start"), parse_instant(order.end, "end") if order.end else clock()
    wanted = [
        Series(symbol, interval, begin, end)
        for symbol in dict.fromkeys(symbols)
        for interval in dict.fromkeys(order.intervals)
    ]

    async def run() -> list[Outcome]:
        try:
            return await download(source, order.output, wanted, tell=tell, now_ms=clock, again=order.again)
        finally:
            close = getattr(source, "close", None)  # exchanges have connections, the synthetic market has none
            if close is not None:
                await close()

    return asyncio.run(run())


def build_source(provider: str) -> Source:
    """The provider's history, with the other settings as they are."""
    from serving.configuration import load
    from serving.sources import build_market

    settings: Settings = load({"DATA_PROVIDER": provider}).settings
    market, _ = build_market(settings)
    if provider == "synthetic":
        from core.adapters.synthetic.history import SyntheticHistory
        from core.adapters.synthetic.market import SyntheticMarket

        assert isinstance(market, SyntheticMarket)
        return SyntheticHistory(market)
    if not hasattr(market, "history"):
        raise invalid("provider", f"{provider} has no history to download; name coinbase or synthetic")
    return cast(Source, market)


def validate(place: Path) -> list[Verdict]:
    """What is wrong with each file, and whether it may be trained on."""
    now = now_ms()
    return [inspect_file(path, now_ms=now).verdict for path in _files(place)]


@dataclass(frozen=True, slots=True)
class Written:
    """A feature file, or why there is none."""

    symbol: str
    interval: str
    file: Path | None = None
    rows: int = 0
    stretches: int = 0
    candles: int = 0
    problem: str | None = None


def features(place: Path, output: Path = FEATURES_FOLDER, tell: Tell = lambda *_: None) -> list[Written]:
    """Makes the feature file of every series, one after the other; what must not be trained on gets none."""
    now = now_ms()
    series: dict[Title, list[Path]] = {}
    for path in _files(place):
        series.setdefault(read_title(path), []).append(path)
    written = []
    for done, paths in enumerate(series.values(), start=1):
        written.append(_make_features([inspect_file(path, now_ms=now) for path in paths], output))
        tell(done, len(series), f"{written[-1].symbol} {written[-1].interval}")
    return written


def plot(path: Path, output: Path | None = None, *, start: str | None = None, end: str | None = None) -> Path:
    """Draws a file, or a span of it, with its holes and defects: a page of its own (.html), or a picture (.svg)."""
    target = output or CHARTS_FOLDER / f"{path.stem}.html"
    if target.suffix not in {".html", ".svg"}:
        raise invalid("output", f"{target.name} is neither .html nor .svg")
    found = inspect_file(path, now_ms=now_ms())
    verdict, sifted = found.verdict, found.sifted
    if sifted is None or verdict.interval is None:
        raise CrpbotError(Code.FAILED_PRECONDITION, verdict.reasons[0], reason="BROKEN_RECORDING")
    first = parse_instant(start, "start") if start else -(2**62)
    last = parse_instant(end, "end") if end else 2**62
    inside = slice(*np.searchsorted(sifted.open_times, (first, last)))
    times, block = sifted.open_times[inside], sifted.block[:, inside]
    if not len(times):
        raise invalid("start", f"{path.name} has no usable candle from {start or 'its start'} to {end or 'its end'}")
    step = 1_000 * INTERVAL_SECONDS[verdict.interval]
    title = f"{verdict.symbol} {verdict.interval}" + (f" of {verdict.source}" if verdict.source else "")
    picture = draw(title, times, block, step_ms=step, marks=_marks(found, int(times[0]), int(times[-1]), step))
    target.parent.mkdir(parents=True, exist_ok=True)
    page = f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title><body style="margin:0">{picture}</body>'
    target.write_text(page if target.suffix == ".html" else picture, encoding="utf-8")
    return target


def parse_instant(text: str, field: str) -> int:
    """A day, or an instant, as ISO 8601 has them; UTC where no zone is named.

    >>> parse_instant("2024-11-21", "start")
    1732147200000
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(field, f"{text[:40]!r} is no date; write it as 2024-11-21 or 2024-11-21T09:30") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)


def cut_at_holes(symbol: str, interval: str, times: Instants, block: Floats) -> Iterator[Candles]:
    """Every stretch of usable candles without a long hole, oldest first; short ones are filled by the gate."""
    step = 1_000 * INTERVAL_SECONDS[interval]
    edges = np.flatnonzero(np.diff(times) > (MAX_FILLED + 1) * step) + 1
    for rows in np.split(np.arange(len(times)), edges):
        newest_first = []
        while len(rows):
            raw = RawCandles(times[rows], *block[:, rows])
            end = int(times[rows[-1]]) + step
            newest_first.append(admit(raw, symbol=symbol, interval=interval, now_ms=end).candles)
            rows = rows[times[rows] < newest_first[-1].open_times[0]]  # noqa: PLW2901 - what the gate cut off
        yield from reversed(newest_first)


def _files(place: Path) -> list[Path]:
    files = list_files(place)
    if not files:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"{place} holds no Parquet file; fetch one with `crpbot data fetch --symbol BTC-USD --start 2024-11-21`",
            reason="NO_RECORDINGS",
        )
    return files


def _marks(found: Inspection, first: int, last: int, step: int) -> list[Marks]:
    """What is worth a look in the span that is drawn. A file's own download explains its holes."""
    assert found.sifted is not None
    explained = found.memo is not None
    defects = [each for each in found.sifted.defects if not (explained and each.kind in GATE_HOLES)]
    marks = []
    for each in (*defects, *found.holes):
        shown = (each.times + each.lengths * step > first) & (each.times <= last)
        if each.kind not in NOT_DRAWN and shown.any():
            is_hole = each.kind in GATE_HOLES or each.kind in HOLES
            marks.append(Marks(each.kind, each.times[shown], each.lengths[shown] * step, is_hole))
    return marks


def _make_features(files: Sequence[Inspection], output: Path) -> Written:
    """One series; its files, where there are several, follow one another."""
    symbol, interval = files[0].verdict.symbol, files[0].verdict.interval or "?"
    reasons = [f"{each.verdict.file.name}: {reason}" for each in files for reason in each.verdict.reasons]
    if reasons:
        return Written(symbol, interval, problem=reasons[0])
    parts = sorted((each.sifted for each in files if each.sifted), key=lambda part: int(part.open_times[0]))
    times = np.concatenate([part.open_times for part in parts])
    sources = {each.verdict.source for each in files}
    if len(sources) > 1 or (np.diff(times) <= 0).any():
        names = ", ".join(each.verdict.file.name for each in files)
        return Written(symbol, interval, problem=f"{names}: are of several sources or overlap; name one with --input")
    block = np.concatenate([part.block for part in parts], axis=1)
    stretches = list(cut_at_holes(symbol, interval, times, block))
    path = feature_file(output, symbol, interval)
    facts = {
        "symbol": symbol,
        "interval": interval,
        "source": sources.pop(),
        "files": [each.verdict.file.name for each in files],
        "first": int(times[0]),
        "last": int(times[-1]),
    }
    rows = write_features(path, stretches, facts)
    candles = sum(len(stretch) for stretch in stretches)
    return Written(symbol, interval, path, rows, len(stretches), candles)


def plain(found: Iterable[Any]) -> list[Row]:  # Any: any of the dataclasses above
    """As JSON has it."""
    return [{name: _plain(value) for name, value in asdict(each).items()} for each in found]


def _plain(value: Any) -> Any:  # Any: a field of a dataclass
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return str(value) if isinstance(value, Path) else value
