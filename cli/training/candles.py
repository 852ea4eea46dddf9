"""The candles that a model learns from: of the synthetic market with a planted edge, or of Parquet files."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from cli.data.quality import Inspection, inspect_file, list_files
from cli.data.work import cut_at_holes
from core.adapters.history.raw_file import read_title
from core.adapters.synthetic.market import SyntheticMarket
from core.errors import Code, CrpbotError
from core.market import INTERVAL_SECONDS, SYMBOLS, parse_symbol
from training.history import History, cut

INTERVAL: Final = "1m"  # what the models read
DAY_MS: Final = 86_400_000
# The synthetic history ends on this day, so that the same command learns from the same candles whenever it is run.
END: Final = datetime(2026, 1, 1, tzinfo=UTC)
EVERY: Final = "all"
PLANTED: Final = re.compile(r"synthetic-(?P<seed>\d+)(?P<edge>-edge)?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where candles come from: a folder of files, or the synthetic market of a seed."""

    folder: Path | None
    days: int | None
    seed: int
    edge: bool = True


def read_coins(coin: str, place: Place, *, most_days: int) -> tuple[History, ...]:
    """Each coin that is asked for; of `all` those that the folder has, or the whole ten of the synthetic market."""
    if coin.strip().lower() != EVERY:
        return (read_coin(parse_coin(coin), place, most_days=most_days),)
    symbols: Iterable[str] = SYMBOLS
    if place.folder is not None:
        titles = {read_title(path) for path in list_files(place.folder)}
        symbols = [symbol for symbol in SYMBOLS if any((symbol, INTERVAL) == title for title in titles)]
        if not symbols:
            raise _nothing(place.folder, "any coin")
    return tuple(read_coin(symbol, place, most_days=most_days) for symbol in symbols)


def read_coin(symbol: str, place: Place, *, most_days: int) -> History:
    """One symbol's candles: `days` of them where that is said, else at most `most_days`; of files the newest."""
    if place.folder is not None:
        history = read_files(place.folder, symbol)
        end = history.stretches[-1].as_of
        return history if place.days is None else cut(history, end - place.days * DAY_MS, end)
    end = round(END.timestamp() * 1_000)
    return read_synthetic(place.seed, edge=place.edge, symbol=symbol, begin=end - (place.days or most_days) * DAY_MS)


def read_synthetic(seed: int, *, edge: bool, symbol: str, begin: int, end: int | None = None) -> History:
    """Minutes of the synthetic market from one instant (ms) to another."""
    market = SyntheticMarket(seed, edge=edge)
    end = round(END.timestamp() * 1_000) if end is None else end
    count = (end - begin) // (1_000 * INTERVAL_SECONDS[INTERVAL])
    return History(market.identity, tuple(asyncio.run(market.latest([symbol], INTERVAL, count, now_ms=end))))


def read_files(folder: Path, symbol: str) -> History:
    """Every file of the symbol's minutes. What `crpbot data validate` refuses is refused here too."""
    now = round(datetime.now(UTC).timestamp() * 1_000)
    paths = [path for path in list_files(folder) if read_title(path) == (symbol, INTERVAL)]
    if not paths:
        raise _nothing(folder, symbol)
    files = [inspect_file(path, now_ms=now) for path in paths]
    for each in files:
        if each.verdict.reasons:
            raise _refused(f"{each.verdict.file.name} must not be trained on: {each.verdict.reasons[0]}")
    parts = sorted((each.sifted for each in files if each.sifted), key=lambda part: int(part.open_times[0]))
    times = np.concatenate([part.open_times for part in parts])
    if (np.diff(times) <= 0).any():
        raise _refused(
            f"the files of {symbol} in {folder} overlap: keep one of {', '.join(path.name for path in paths)}"
        )
    block = np.concatenate([part.block for part in parts], axis=1)
    return History(_origin(files, folder), tuple(cut_at_holes(symbol, INTERVAL, times, block)))


def read_again(origin: str, symbol: str, folder: Path | None, *, begin: int, end: int) -> History:
    """The candles of the market that a model learned on, from one instant (ms) to another."""
    planted = PLANTED.fullmatch(origin)
    if planted and folder is None:
        edge = planted["edge"] is not None
        return read_synthetic(int(planted["seed"]), edge=edge, symbol=symbol, begin=begin, end=end)
    if folder is None:
        raise _refused(f"the model learned on {origin}: name the folder of its files with --data")
    history = read_files(folder, symbol)
    if history.origin != origin:
        raise _refused(f"the model learned on {origin}, the files in {folder} are of {history.origin}: name its own")
    return cut(history, begin, end)


def parse_coin(text: str) -> str:
    """`BTC` is BTC-USD.

    >>> parse_coin("btc"), parse_coin("ETH/USD")
    ('BTC-USD', 'ETH-USD')
    """
    coin = text.strip().upper()
    return parse_symbol(coin if {"-", "/"} & set(coin) else f"{coin}-USD", field="coin")


def _origin(files: Iterable[Inspection], folder: Path) -> str:
    """The source that their downloads name, or the name that a replay of the folder has."""
    sources = {each.verdict.source for each in files}
    if len(sources) > 1:
        names = ", ".join(sorted(str(source) for source in sources))
        raise _refused(f"the files in {folder} are of several sources: {names}; train on one of them")
    name = (folder if folder.is_dir() else folder.parent).resolve().name
    return sources.pop() or f"replay-{re.sub('[^A-Za-z0-9]+', '-', name)}"


def _nothing(folder: Path, what: str) -> CrpbotError:
    detail = (
        f"{folder} holds no {INTERVAL} Parquet file of {what}; fetch one with "
        f"`crpbot data fetch --symbol BTC-USD --interval {INTERVAL} --start 2024-11-21`"
    )
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="NO_RECORDINGS")


def _refused(detail: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="CANDLES_NOT_USABLE")
