"""What the faces show of an account's risk: the report, the check of one trade, the packs; all within strict shapes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import TypeAdapter

from core.errors import Code, CrpbotError
from core.risk.account import AccountFacts, Emission
from core.risk.pack import RiskPack, discover_packs
from core.risk.report import CheckTradeRequest, ListRulePacksResponse, RiskReport, TradeCheck
from core.risk.rule import Rule
from core.risk.show import check_trade, list_packs, report
from core.risk.size import Step
from core.risk.state import Standing
from core.trade import Direction
from tests.core.risk_facts import NOON, PLAIN, TODAY, TWO_STEP, facts, judged, moment, quotes, trade, usd

ASKED = CheckTradeRequest("BTC-USD", Direction.BUY, usd(49_000))
STEP = Step(usd("0.00000001"), usd("0.00001"))


def answered(request: CheckTradeRequest, known: AccountFacts | None = None, *, pack: RiskPack = TWO_STEP) -> TradeCheck:
    """The check at noon, with Bitcoin at 50,000."""
    return check_trade(request, known or facts(), pack, quotes(), now=moment(), limits=PLAIN, step=STEP)


def test_a_report_shows_every_limit_in_money() -> None:
    known = replace(
        facts({TODAY: -1000}, [trade(-600)]), emissions=(Emission(moment().steady_ms - 60_000, high_confidence=True),)
    )
    shown = report(known, judged(known), moment(), limits=PLAIN)
    assert (shown.state, shown.balance, shown.equity, shown.floating) == (Standing.OK, 99_000, 98_400, -600)
    daily, total = shown.headroom
    assert (daily.rule, daily.used_usd, daily.used_percent, daily.left_usd, daily.guard_left_usd) == (
        Rule.DAILY_LOSS,
        1600,
        32,
        3400,
        2900,
    )
    assert (total.rule, total.floor, total.left_usd) == (Rule.TOTAL_LOSS, 90_000, 8400)
    assert (shown.day, shown.day_ends_at - shown.day_starts_at) == ("2026-11-18", timedelta(hours=24))
    (window,) = shown.windows
    assert (window.used, window.limit, window.free_at) == (1, 3, None)
    assert shown.fresh


def test_a_trade_without_a_size_is_sized_at_the_quote_of_now() -> None:
    found = answered(ASKED)
    assert (found.allowed, found.entry, found.quantity, found.binding) == (True, 50_000, 1, Rule.RISK_PER_TRADE)
    assert not found.vetoes


def test_a_refused_trade_names_the_rule_and_still_says_what_would_fit() -> None:
    found = answered(replace(ASKED, quantity=usd(3)))
    assert (found.allowed, found.binding, found.quantity, found.sizing.quantity) == (False, Rule.RISK_PER_TRADE, 3, 1)


def test_where_nothing_fits_the_answer_is_no() -> None:
    found = answered(ASKED, facts({TODAY: "-4499.999"}))
    assert not found.allowed
    assert (found.quantity, found.vetoes[0].rule) == (0, Rule.MINIMUM)


def test_a_symbol_for_paper_and_a_lot_of_unknown_size_are_noted() -> None:
    told = replace(ASKED, entry=usd(50_000))
    assert [note.rule for note in answered(replace(told, symbol="POL-USD")).notes] == [Rule.NOT_TRADABLE]
    assert "SOLUSD" in answered(replace(told, symbol="SOL-USD")).notes[0].detail


def test_without_entry_and_quote_the_question_cannot_be_answered() -> None:
    with pytest.raises(CrpbotError, match="no quote") as error:
        answered(replace(ASKED, symbol="ETH-USD"))
    assert (error.value.code, error.value.reason) == (Code.UNAVAILABLE, "STALE_QUOTE")


@pytest.mark.parametrize(
    "change",
    [{"stop_loss": usd(50_000)}, {"stop_loss": Decimal("NaN")}, {"quantity": usd(0)}, {"risk_percent": usd(3)}],
)
def test_bad_input_is_refused_by_field(change: dict[str, Decimal]) -> None:
    with pytest.raises(CrpbotError, match=next(iter(change))):
        answered(replace(ASKED, **change))


def test_every_pack_is_listed_with_its_sources() -> None:
    listed = list_packs(discover_packs().values())
    assert listed.default in {pack.id for pack in listed.packs}
    funded = next(pack for pack in listed.packs if pack.id == "ftmo-2step-funded")
    assert funded.weekend_closing == "Friday 23:00 to Monday 00:00"
    assert {source.label for source in funded.sources} == {"official", "secondary", "guess", "house"}


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (RiskReport, report(facts({}, [trade()]), judged(facts({}, [trade()])), moment(), limits=PLAIN)),
        (TradeCheck, answered(replace(ASKED, quantity=usd(3)))),
        (ListRulePacksResponse, list_packs(discover_packs().values())),
    ],
)
def test_what_is_shown_survives_its_strict_shape(shape: type[object], value: object) -> None:
    adapter = TypeAdapter(shape)
    assert adapter.validate_json(adapter.dump_json(value, warnings="error")) == value


def test_a_request_takes_no_field_more_and_no_number_that_is_none() -> None:
    adapter = TypeAdapter(CheckTradeRequest)
    body = '{"symbol": "BTC-USD", "direction": "BUY", "stop_loss": "49000"%s}'
    assert adapter.validate_json(body % "") == ASKED
    for wrong in (', "size": 1', ', "entry": "NaN"', ', "entry": true'):
        with pytest.raises(ValueError, match="validation error"):
            adapter.validate_json(body % wrong)


def test_noon_is_in_the_day_that_the_report_names() -> None:
    shown = report(facts(), judged(facts()), moment(), limits=PLAIN)
    assert shown.day_starts_at <= NOON < shown.day_ends_at
