"""Every dataclass of the contract becomes its message and comes back unchanged."""

from __future__ import annotations

import asyncio
import math
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.wire import PIECE, from_message, to_message, write_message
from core.analysis import Analysis, AnalyzeRequest, Reading, TheoryField
from core.errors import CrpbotError
from core.risk.account import Account
from core.risk.report import CheckTradeRequest
from core.signals.requests import ListSignalsResponse
from protos import crpbot_pb2
from tests.core.decisions import decision
from tests.operations import MESSAGE_SHAPES

FIRST, LAST = datetime(1, 1, 1), datetime(9999, 12, 31)  # noqa: DTZ001  # hypothesis wants its bounds without a zone
LEAVES: dict[type, st.SearchStrategy[Any]] = {
    str: st.text(),
    bool: st.booleans(),
    int: st.integers(-(2**31), 2**31 - 1),
    float: st.floats(allow_nan=False),
    Decimal: st.decimals(-(10**20), 10**20, places=8),
    datetime: st.datetimes(FIRST, LAST, timezones=st.just(UTC)),
}


def strategy(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type."""
    if hint in LEAVES:
        return LEAVES[hint]
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{field.name: strategy(hints[field.name]) for field in fields(hint)})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    arguments = get_args(hint)
    if get_origin(hint) is tuple:
        return st.lists(strategy(arguments[0]), max_size=3).map(tuple)
    if get_origin(hint) is dict:
        return st.dictionaries(strategy(arguments[0]), strategy(arguments[1]), max_size=3)
    assert arguments[1] is type(None), hint
    return st.none() | strategy(arguments[0])


@pytest.mark.parametrize("name", MESSAGE_SHAPES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_message_holds_its_dataclass(name: str, data: st.DataObject) -> None:
    value = data.draw(strategy(MESSAGE_SHAPES[name]))
    message_type = getattr(crpbot_pb2, name)
    message = to_message(value, message_type)
    assert from_message(message_type.FromString(message.SerializeToString()), MESSAGE_SHAPES[name]) == value


def test_none_is_absent_and_a_value_like_the_default_is_present() -> None:
    bounds = to_message(TheoryField("hurst", "meaning", None, 0.0), crpbot_pb2.TheoryField)
    assert (bounds.HasField("low"), bounds.HasField("high")) == (False, True)
    assert from_message(crpbot_pb2.TheoryField(), TheoryField) == TheoryField("", "", None, None)
    assert from_message(crpbot_pb2.AnalyzeRequest(symbol=""), AnalyzeRequest).symbol == ""


def analysis_of(*, price: Decimal = Decimal(1), as_of: datetime = datetime(2026, 3, 2, tzinfo=UTC)) -> Analysis:
    return Analysis("BTC-USD", "5m", 500, as_of, price, "fake", True, (), (), 0.0)


@pytest.mark.parametrize(
    ("price", "text"),
    [("1E-8", "0.00000001"), ("1e+22", "10000000000000000000000"), ("104000.10", "104000.10"), ("-0.0", "-0.0")],
)
def test_a_decimal_is_written_without_an_exponent(price: str, text: str) -> None:
    assert to_message(analysis_of(price=Decimal(price)), crpbot_pb2.Analysis).price == text


def test_an_instant_is_utc_whatever_zone_it_came_in() -> None:
    prague = datetime(2026, 3, 2, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    back = from_message(to_message(analysis_of(as_of=prague), crpbot_pb2.Analysis), Analysis).as_of
    assert back == prague
    assert back.utcoffset() == timedelta(0)


def test_values_that_json_cannot_carry_pass_unchanged() -> None:
    reading = Reading("kalman_filter", {"nan": math.nan, "inf": -math.inf}, 0.0, "")
    values = from_message(to_message(reading, crpbot_pb2.Reading), Reading).values
    assert math.isnan(values["nan"])
    assert values["inf"] == -math.inf


UNKNOWN = b"\xa0\x06\x01"  # field 100, which no message of ours has


@pytest.mark.parametrize("name", MESSAGE_SHAPES)
def test_a_field_number_the_contract_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(CrpbotError, match=f"{name}: unknown field number 100") as caught:
        from_message(getattr(crpbot_pb2, name).FromString(UNKNOWN), MESSAGE_SHAPES[name])
    assert caught.value.reason == "UNKNOWN_FIELD"


def test_an_unknown_field_deep_inside_is_refused_with_its_place() -> None:
    candles = crpbot_pb2.CandleColumns.FromString(UNKNOWN * 1_000)
    request = crpbot_pb2.AnalyzeRequest(candles=[crpbot_pb2.CandleColumns(), candles])
    with pytest.raises(CrpbotError) as caught:
        from_message(request, AnalyzeRequest)
    assert caught.value.detail == "candles.1: unknown field number 100"


def test_a_ccxt_row_holds_numbers_only() -> None:
    rows = [[1.0], [2.0, "3.0"]]
    request = crpbot_pb2.AnalyzeRequest(ccxt=[crpbot_pb2.CcxtCandles(rows=rows)])
    with pytest.raises(CrpbotError) as caught:
        from_message(request, AnalyzeRequest)
    assert caught.value.detail == "ccxt.0.rows.1.1: is not a number"


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-sNaN", "ten", "", " 1", "1_0", "1e999", "１"])
def test_a_text_that_is_no_decimal_is_refused_by_name(text: str) -> None:
    message = crpbot_pb2.CheckTradeRequest(symbol="BTC-USD", direction=crpbot_pb2.DIRECTION_BUY, stop_loss=text)
    with pytest.raises(CrpbotError, match="stop_loss"):
        from_message(message, CheckTradeRequest)


def test_a_nested_message_that_must_be_there_is_missed_by_name() -> None:
    with pytest.raises(CrpbotError, match="created_at: is not given"):
        from_message(
            crpbot_pb2.Account(kind=crpbot_pb2.ACCOUNT_KIND_PAPER, book=crpbot_pb2.BOOK_PRIMARY, initial_capital="1"),
            Account,
        )


async def test_a_long_list_is_written_in_pieces_between_which_others_run() -> None:
    signals = tuple(decision(number) for number in range(3 * PIECE + 1))
    page = ListSignalsResponse(signals, next_cursor=7)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(count_turns())
    written = await write_message(page, crpbot_pb2.ListSignalsResponse)
    other.cancel()
    assert crpbot_pb2.ListSignalsResponse.FromString(written) == to_message(page, crpbot_pb2.ListSignalsResponse)
    assert turns >= 3
