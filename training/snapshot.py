"""A snapshot of candles under its hash, so that a laptop and a cluster learn from the same ones, to the last bit.

    data/<sha256 of the index>/<symbol>.bin     the five columns of a coin, packed
    data/<sha256 of the index>/index.json       written last: a snapshot without one does not exist

Columns are float64, their bytes sorted by significance before they are packed: neighbouring prices share the upper
ones, which halves the file. Instants need no bytes, candles of a stretch follow each other without a hole.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import numpy as np

from core.errors import Code, CrpbotError
from core.files import Files
from core.market import COLUMNS, INTERVAL_SECONDS, Candles, Floats
from training.history import History

INDEX: Final = "index.json"
MOST_INDEX_BYTES: Final = 5_000_000
MOST_COIN_BYTES: Final = 500_000_000  # twenty years of minutes
LEVEL: Final = 6  # zlib's own choice; 9 takes five times as long for a hundredth


def keep_snapshot(files: Files, histories: Sequence[History]) -> str:
    """Keeps the candles where they are not kept yet, and says the hash that names them."""
    packed = {f"{each.symbol}.bin": _pack(each) for each in histories}
    coins = [_describe(each, packed[f"{each.symbol}.bin"]) for each in histories]
    index = json.dumps(coins, indent=1).encode()
    name = sha256(index).hexdigest()
    if _key(name, INDEX) not in files.stamps(_key(name, "")):
        for piece, content in packed.items():
            files.write(_key(name, piece), content)
        files.write(_key(name, INDEX), index)
    return name


def read_snapshot(files: Files, name: str, symbols: Sequence[str] | None = None) -> tuple[History, ...]:
    """The candles of a snapshot, or those of some of its coins; only what hashes to its name is read."""
    index = _read_index(files, name)
    _check(_key(name, INDEX), index, name)
    coins = {each["symbol"]: each for each in json.loads(index)}
    wanted = list(coins) if symbols is None else list(symbols)
    for symbol in wanted:
        if symbol not in coins:
            detail = f"snapshot {name[:12]} holds {', '.join(coins)} and not {symbol}: order a snapshot that has it"
            raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="NOT_IN_SNAPSHOT")
    return tuple(_read_coin(files, name, coins[symbol]) for symbol in wanted)


def _read_index(files: Files, name: str) -> bytes:
    try:
        return files.read(_key(name, INDEX), most=MOST_INDEX_BYTES)
    except CrpbotError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        detail = (
            f"there are no candles {name[:12]} in {files.url} as this machine sees it; remedy: a place that all "
            "machines reach, --bucket s3://NAME/PREFIX or a shared folder, and the same command sends them again"
        )
        raise CrpbotError(Code.NOT_FOUND, detail, reason="NO_SNAPSHOT") from error


def _read_coin(files: Files, name: str, coin: dict[str, Any]) -> History:  # Any: JSON of our own
    key = _key(name, f"{coin['symbol']}.bin")
    content = files.read(key, most=MOST_COIN_BYTES)
    _check(key, content, coin["sha256"])
    counts = [count for _, count in coin["stretches"]]
    columns = _unpack(content, sum(counts))
    step = 1_000 * INTERVAL_SECONDS[coin["interval"]]
    stretches, row = [], 0
    for begin, count in coin["stretches"]:
        times = begin + step * np.arange(count, dtype=np.int64)
        open_, high, low, close, volume = (np.ascontiguousarray(each[row : row + count]) for each in columns)
        stretches.append(Candles(coin["symbol"], coin["interval"], times, open_, high, low, close, volume))
        row += count
    return History(coin["origin"], tuple(stretches))


def _describe(history: History, packed: bytes) -> dict[str, Any]:
    return {
        "symbol": history.symbol,
        "interval": history.stretches[0].interval,
        "origin": history.origin,
        "stretches": [[int(each.open_times[0]), len(each)] for each in history.stretches],
        "sha256": sha256(packed).hexdigest(),
    }


def _pack(history: History) -> bytes:
    rows = [[np.asarray(getattr(each, name), dtype="<f8") for each in history.stretches] for name in COLUMNS]
    block = np.stack([np.concatenate(row) for row in rows])
    return zlib.compress(np.ascontiguousarray(block.view(np.uint8).reshape(-1, 8).T).tobytes(), LEVEL)


def _unpack(content: bytes, count: int) -> Floats:
    """Shape: (5, count)"""
    flat = np.frombuffer(zlib.decompress(content), dtype=np.uint8).reshape(8, -1)
    return np.ascontiguousarray(flat.T).view("<f8").reshape(len(COLUMNS), count)


def _check(key: str, content: bytes, wanted: str) -> None:
    found = sha256(content).hexdigest()
    if found != wanted:
        detail = (
            f"{key} hashes to {found[:12]}, and {wanted[:12]} was kept: it was changed or is damaged; "
            "remove it and run the same command again"
        )
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="SNAPSHOT_DAMAGED")


def _key(name: str, piece: str) -> str:
    return f"data/{name}/{piece}"
