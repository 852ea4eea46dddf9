"""Entry, stop and target: on the right side, near enough, far enough, and on the price grid, whoever made them."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analyzers import evaluate, find
from core.deciding.levels import (
    Yardstick,
    chance_of_stop_first,
    check_levels,
    measure,
    price_step,
    round_levels,
    rule_levels,
)
from core.llm.reply import parse_reply
from core.market import Candles, stack_windows
from core.signal import Verdict
from core.trade import Direction, Levels
from tests.core.cases import YARDSTICK
from tests.fakes import walk_candles

BUY, SELL, HOLD = Direction.BUY, Direction.SELL, Direction.HOLD
PRICES = st.decimals(Decimal("0.00001"), Decimal(200_000), allow_nan=False, allow_infinity=False)
ANY = st.decimals(allow_nan=True, allow_infinity=True) | PRICES


def levels(entry: object, stop: object, target: object) -> Levels:
    """Levels from numbers as written."""
    return Levels(*(Decimal(str(price)) for price in (entry, stop, target)))


def broken(direction: Direction, found: Levels) -> list[str]:
    """The rules that these levels break at 50,000 and an ATR of 100."""
    return [veto.rule for veto in check_levels(direction, found, YARDSTICK)]


def test_the_rule_puts_the_stop_1_5_and_the_target_2_25_ranges_away() -> None:
    assert rule_levels(BUY, YARDSTICK) == levels(50000, 49850, 50225)
    assert rule_levels(SELL, YARDSTICK) == levels(50000, 50150, 49775)
    assert rule_levels(HOLD, YARDSTICK) is None


def test_the_range_is_the_mean_of_14_true_ranges() -> None:
    candles = walk_candles(count=60)
    before = candles.close[-15:-1]
    ranges = [
        max(high - low, abs(high - last), abs(low - last))
        for high, low, last in zip(candles.high[-14:], candles.low[-14:], before, strict=True)
    ]
    found = measure(candles)
    assert found.close == Decimal(repr(float(candles.close[-1])))
    assert float(found.atr) == pytest.approx(sum(ranges) / 14, rel=1e-12)


@pytest.mark.parametrize(
    ("direction", "found", "rules"),
    [
        (BUY, levels(50000, 49850, 50225), []),
        (SELL, levels(50000, 50150, 49775), []),
        (BUY, levels(50000, 50150, 50225), ["level_side"]),
        (BUY, levels(50000, 49850, 49775), ["level_side"]),
        (BUY, levels(50000, 50000, 50225), ["level_side"]),
        (SELL, levels(50000, 49850, 50225), ["level_side"]),
        (SELL, levels(50000, 50150, 50000), ["level_side"]),
        (BUY, levels(51000, 50850, 51225), []),
        (BUY, levels("51000.1", 50850, 51225), ["entry_distance"]),
        (SELL, levels("48999.9", 49150, 48775), ["entry_distance"]),
        (BUY, levels(50000, 49950, 50100), []),
        (BUY, levels(50000, "49950.1", 50100), ["stop_distance"]),
        (BUY, levels(50000, 49500, 50500), []),
        (BUY, levels(50000, "49499.9", 50600), ["stop_distance"]),
        (BUY, levels(50000, 49850, "50149.9"), ["reward_to_risk"]),
        (BUY, levels(50000, 49900, 50600), []),
        (BUY, levels(50000, 49900, "50600.1"), ["reward_to_risk"]),
        (BUY, levels(50000, 49800, 51000), []),
        (BUY, levels(50000, 49800, "51000.1"), ["target_distance"]),
        (BUY, levels(0, 49850, 50225), ["level_range"]),
        (BUY, levels(50000, -1, 50225), ["level_range"]),
        (BUY, levels(50000, 49850, "NaN"), ["level_range"]),
        (BUY, levels(50000, 49850, "Infinity"), ["level_range"]),
        (
            BUY,
            levels("1e300", "1e299", "1e301"),
            ["entry_distance", "stop_distance", "target_distance", "reward_to_risk"],
        ),
        (BUY, levels(50000, 1, 99999), ["stop_distance", "target_distance"]),
    ],
)
def test_each_bound_is_held_to_the_last_step(direction: Direction, found: Levels, rules: list[str]) -> None:
    assert broken(direction, found) == rules


def test_a_veto_says_value_and_limit() -> None:
    (veto,) = check_levels(BUY, levels(50000, "49950.1", 50100), YARDSTICK)
    assert (veto.value, veto.limit) == ("0.4990", "0.5 to 5")
    assert "ATR between entry and stop" in veto.detail


def test_a_market_that_stands_still_has_no_levels() -> None:
    still = Yardstick(Decimal(50000), Decimal(0))
    found = rule_levels(BUY, still)
    assert found is not None
    assert [veto.rule for veto in check_levels(BUY, found, still)] == ["level_range"]


@pytest.mark.parametrize("price", ["104738.92", "0.1432", "0.00001234", "1", "999999.9"])
def test_a_price_step_is_at_most_a_hundredth_of_a_basis_point(price: str) -> None:
    step = price_step(Decimal(price))
    assert step / Decimal(price) <= Decimal("0.000001")
    assert step == Decimal(1).scaleb(step.adjusted())


def test_a_price_has_one_spelling() -> None:
    found = round_levels(levels("50000.000", "49850.004", "5.0225E+4"), YARDSTICK)
    assert [str(price) for price in (found.entry, found.stop_loss, found.take_profit)] == ["50000", "49850", "50225"]
    micro = Yardstick(Decimal("0.00001234"), Decimal("1e-7"))
    tiny = round_levels(levels("0.00001234", "0.000012", "0.00001300"), micro)
    assert [str(price) for price in (tiny.entry, tiny.stop_loss)] == ["0.00001234", "0.000012"]


@settings(deadline=None)
@given(st.sampled_from([BUY, SELL]), PRICES, st.decimals(Decimal("0.0001"), Decimal("0.1")))
def test_the_rule_passes_its_own_gate_in_every_market_that_moves(
    direction: Direction, close: Decimal, fraction: Decimal
) -> None:
    yardstick = Yardstick(close, close * fraction)
    found = rule_levels(direction, yardstick)
    assert found is not None
    assert check_levels(direction, found, yardstick) == ()


@settings(deadline=None)
@given(st.sampled_from([BUY, SELL]), ANY, ANY, ANY)
def test_what_passes_the_gate_is_on_the_right_side_near_and_finite(
    direction: Direction, entry: Decimal, stop: Decimal, target: Decimal
) -> None:
    found = round_levels(Levels(entry, stop, target), YARDSTICK)
    if check_levels(direction, found, YARDSTICK):
        return
    ordered = (found.stop_loss, found.entry, found.take_profit)
    assert all(price.is_finite() and price > 0 for price in ordered)
    assert list(ordered) == sorted(ordered, reverse=direction is SELL)
    assert len(set(ordered)) == 3
    assert abs(found.entry - 50000) <= 1000


@settings(deadline=None)
@given(st.floats(49_000, 51_000), st.floats(1, 600), st.floats(1, 2_000), st.sampled_from([BUY, SELL]))
def test_most_levels_near_the_price_are_judged_by_their_distances_alone(
    entry: float, risk: float, reward: float, direction: Direction
) -> None:
    side = 1 if direction is BUY else -1
    found = round_levels(levels(entry, entry - side * risk, entry + side * reward), YARDSTICK)
    stop, gain = abs(found.entry - found.stop_loss), abs(found.take_profit - found.entry)
    fair = 50 <= stop <= 500 and gain <= 1_000 and stop <= gain <= 6 * stop
    assert bool(check_levels(direction, found, YARDSTICK)) is not fair


def test_absurd_prices_of_a_reply_reach_the_gate_and_end_there() -> None:
    text = json.dumps(
        {"signal": "BUY", "confidence": 0.9, "reasoning": "x", "entry": 1e12, "stop_loss": 1e-12, "take_profit": 1e12}
    )
    found = parse_reply(text)
    assert isinstance(found, Verdict)
    assert found.levels is not None
    assert check_levels(BUY, round_levels(found.levels, YARDSTICK), YARDSTICK)


@pytest.fixture(scope="module")
def walk() -> Candles:
    """Five hundred candles of a random walk."""
    return walk_candles(count=500)


@pytest.mark.parametrize("direction", [BUY, SELL])
def test_the_chance_of_the_stop_at_the_rules_levels_is_the_theorys_own(walk: Candles, direction: Direction) -> None:
    window = stack_windows([walk], 500)
    close, atr = measure(walk)
    side = 1 if direction is BUY else -1
    exact = Levels(close, close - side * Decimal("1.5") * atr, close + side * Decimal("2.25") * atr)
    (reading,) = evaluate(find("monte_carlo"), window)
    name = "long_stop_first" if direction is BUY else "short_stop_first"
    assert chance_of_stop_first(window, direction, exact) == pytest.approx(reading.values[name], abs=2e-4)


def test_a_nearer_stop_is_met_more_often_and_a_hold_has_none(walk: Candles) -> None:
    window = stack_windows([walk], 500)
    close, atr = measure(walk)
    chances = [
        chance_of_stop_first(window, BUY, Levels(close, close - Decimal(near) * atr, close + 2 * atr))
        for near in ("0.5", "1", "2", "4")
    ]
    assert chances == sorted(chances, reverse=True)
    assert len(set(chances)) == 4
    assert chance_of_stop_first(window, HOLD, Levels(close, close, close)) is None
    assert chances[1] == chance_of_stop_first(window, BUY, Levels(close, close - atr, close + 2 * atr))
