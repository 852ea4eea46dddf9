"""Whatever is wrong with a request, both faces refuse it with the same reason, field and words."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import grpc
import pytest

from api.errors import TABLE
from core.errors import Code
from tests.api.bodies import OWN, ROWS, Json, message
from tests.api.gateways import Running, refusal_of_grpc, refusal_of_rest

STEP_MS = 300_000


def candles(**edits: Callable[[list[float]], list[float]]) -> Json:
    """A request with the caller's own candles, some columns of which are changed."""
    return {"candles": [{**OWN, **{name: edit(list(OWN[name])) for name, edit in edits.items()}}]}


def ccxt(edit: Callable[[list[list[float]]], object]) -> Json:
    """A request with ccxt rows, changed in place."""
    rows = [list(row) for row in ROWS["rows"]]
    edit(rows)
    return {"ccxt": [{**ROWS, "rows": rows}]}


def put(row: int, value: float) -> Callable[[list[float]], list[float]]:
    """An edit: another value in one row."""
    return lambda column: [*column[:row], value, *column[row + 1 :]]


def times(edit: Callable[[list[float]], list[float]]) -> Json:
    """A request whose open times are changed."""
    return candles(open_times_ms=edit)


class Mistake(NamedTuple):
    """A request that both faces refuse: why, at which field, and what the words must show."""

    body: Json
    code: Code
    reason: str
    field: str
    shown: str


INVALID, UNFOUND = Code.INVALID_ARGUMENT, Code.NOT_FOUND
MISTAKES = {
    "nothing asked": Mistake({}, INVALID, "NOTHING_ASKED", "symbol", "give symbol, symbols, candles or ccxt"),
    "unknown symbol": Mistake({"symbol": "BTC-EUR"}, UNFOUND, "UNKNOWN_SYMBOL", "symbol", "'BTC-EUR'; known are BTC"),
    "empty symbol": Mistake({"symbol": ""}, UNFOUND, "UNKNOWN_SYMBOL", "symbol", "''"),
    "unknown among symbols": Mistake(
        {"symbols": ["BTC-USD", "X" * 200]}, UNFOUND, "UNKNOWN_SYMBOL", "symbols.1", f"'{'X' * 64}'"
    ),
    "endless among symbols": Mistake(
        {"symbols": ["BTC-USD", "X" * 5_000]}, INVALID, "INVALID_FIELD", "symbols.1", "256"
    ),
    "symbol twice": Mistake(
        {"symbol": "BTC-USD", "symbols": ["btc/usd"]}, INVALID, "INVALID_FIELD", "symbols.0", "BTC-USD is asked"
    ),
    "unknown theory": Mistake(
        {"symbol": "BTC-USD", "theories": ["astrology"]}, UNFOUND, "UNKNOWN_THEORY", "theories", "'astrology'; known"
    ),
    "unknown interval": Mistake(
        {"symbol": "BTC-USD", "interval": "7m"}, INVALID, "UNKNOWN_INTERVAL", "interval", "'7m'; allowed are 1m, 5m"
    ),
    "interval without symbols": Mistake(
        {"candles": [OWN], "interval": "5m"}, INVALID, "INVALID_FIELD", "interval", "symbol and symbols only"
    ),
    "window too small": Mistake(
        {"symbol": "BTC-USD", "window": 199}, INVALID, "INVALID_FIELD", "window", "199 is not between 200 and 2000"
    ),
    "window too large": Mistake(
        {"symbol": "BTC-USD", "window": 2_001}, INVALID, "INVALID_FIELD", "window", "2001 is not between"
    ),
    "negative window": Mistake(
        {"symbol": "BTC-USD", "window": -1}, INVALID, "INVALID_FIELD", "window", "-1 is not between 200 and 2000"
    ),
    "65 windows": Mistake(
        {"candles": [{**OWN, "open_times_ms": []}] * 65}, INVALID, "INVALID_FIELD", "symbols", "65 windows in one call"
    ),
    "too few candles": Mistake(
        candles(**{name: lambda column: column[:199] for name in OWN if isinstance(OWN[name], tuple)}),
        INVALID,
        "TOO_FEW_CANDLES",
        "candles.0",
        "has 199 candles, 200 are needed",
    ),
    "fewer than the window": Mistake(
        {"candles": [OWN], "window": 300}, INVALID, "TOO_FEW_CANDLES", "candles.0", "has 210 candles, 300 are needed"
    ),
    "no candles": Mistake(
        candles(**{name: lambda column: [] for name in OWN if isinstance(OWN[name], tuple)}),
        INVALID,
        "NO_CANDLES",
        "candles.0",
        "at least one is needed",
    ),
    "unsorted": Mistake(
        times(lambda column: column[::-1]), INVALID, "UNSORTED_CANDLES", "candles.0.open_times_ms", "row 1: "
    ),
    "the same candle twice": Mistake(
        times(lambda column: [column[0], *column[:-1]]),
        INVALID,
        "DUPLICATE_CANDLE",
        "candles.0.open_times_ms",
        "row 1: ",
    ),
    "a hole": Mistake(
        times(lambda column: [column[0] - 2 * STEP_MS, *column[1:]]),
        INVALID,
        "GAP_IN_CANDLES",
        "candles.0.open_times_ms",
        "2 candle(s) missing",
    ),
    "off the grid": Mistake(
        times(lambda column: [time + 1 for time in column]),
        INVALID,
        "OFF_GRID",
        "candles.0.open_times_ms",
        "grid of 300000",
    ),
    "one off the grid": Mistake(
        times(put(3, OWN["open_times_ms"][3] + 7)), INVALID, "OFF_GRID", "candles.0.open_times_ms", "row 3: "
    ),
    "before 1970": Mistake(
        times(put(0, -STEP_MS)), INVALID, "INVALID_FIELD", "candles.0.open_times_ms", "not between 1970 and 2100"
    ),
    "a candle still open": Mistake(
        times(lambda column: [time + STEP_MS for time in column]),
        INVALID,
        "CANDLE_NOT_CLOSED",
        "candles.0.open_times_ms",
        "2026-03-02T12:05:00+00:00, after the server's clock 2026-03-02T12:02:30",
    ),
    "columns of two lengths": Mistake(
        candles(close=lambda column: column[1:]), INVALID, "INVALID_FIELD", "candles.0.close", "has 209 values"
    ),
    "high below low": Mistake(
        candles(high=put(7, 1e-3)), INVALID, "INVALID_FIELD", "candles.0.high", "row 7: high 0.001 is below low"
    ),
    "close outside": Mistake(
        candles(close=put(7, 1e6)), INVALID, "INVALID_FIELD", "candles.0", "close 1000000.0 lies outside"
    ),
    "price of zero": Mistake(
        candles(low=put(9, 0.0)), INVALID, "INVALID_FIELD", "candles.0.low", "row 9: 0.0 must be above 0"
    ),
    "negative price": Mistake(
        candles(open=put(9, -5.0)), INVALID, "INVALID_FIELD", "candles.0.open", "row 9: -5.0 must be above 0"
    ),
    "negative volume": Mistake(
        candles(volume=put(2, -1.0)), INVALID, "INVALID_FIELD", "candles.0.volume", "row 2: -1.0 must be 0 or more"
    ),
    "unknown symbol of candles": Mistake(
        {"candles": [OWN, {**OWN, "symbol": "?"}]}, UNFOUND, "UNKNOWN_SYMBOL", "candles.1.symbol", "'?'"
    ),
    "unknown interval of ccxt": Mistake(
        {"ccxt": [{**ROWS, "interval": "1w"}]}, INVALID, "UNKNOWN_INTERVAL", "ccxt.0.interval", "'1w'"
    ),
    "ccxt row of five": Mistake(
        ccxt(lambda rows: rows[4].pop()), INVALID, "INVALID_FIELD", "ccxt.0.rows.4", "has 5 numbers, [ms, open"
    ),
    "ccxt half a millisecond": Mistake(
        ccxt(lambda rows: rows[4].__setitem__(0, 0.5)),
        INVALID,
        "INVALID_FIELD",
        "ccxt.0.rows.4.0",
        "0.5 is not a whole",
    ),
    "ccxt hole": Mistake(ccxt(lambda rows: rows.pop(5)), INVALID, "GAP_IN_CANDLES", "ccxt.0.open_times_ms", "row 5: "),
    "ccxt nothing": Mistake(ccxt(lambda rows: rows.clear()), INVALID, "NO_CANDLES", "ccxt.0", "no candles"),
    "ccxt time of a distant age": Mistake(
        ccxt(lambda rows: rows[0].__setitem__(0, 1e300)), INVALID, "INVALID_FIELD", "ccxt.0.open_times_ms", "1e+300"
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_both_faces_refuse_a_mistake_in_the_same_words(running: Running, mistake: Mistake) -> None:
    rest = refusal_of_rest(running.rest.post("/v1/analyze", json=mistake.body))
    with pytest.raises(grpc.RpcError) as caught:
        running.analyze(message(mistake.body))
    over_grpc = refusal_of_grpc(caught.value)
    http_status, grpc_status = TABLE[mistake.code]
    assert (rest.status, caught.value.code()) == (http_status, grpc_status)
    for refusal in (rest, over_grpc):
        assert (refusal.code, refusal.reason) == (mistake.code.value, mistake.reason)
        assert refusal.detail.startswith(f"{mistake.field}: ")
        assert mistake.shown in refusal.detail
        assert refusal.fields in ((), (mistake.field,))
        assert refusal.request_id
    assert (rest.detail, rest.fields) == (over_grpc.detail, over_grpc.fields)
    running.assert_alive()
