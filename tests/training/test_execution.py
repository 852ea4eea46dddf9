"""What an account earns and when it ends, against sums that a person can do and a slow account in plain Python."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CrpbotError
from core.market import milliseconds
from core.models.observation import OBSERVATIONS
from core.risk.pack import find_pack
from tests.training.planted import BEGIN, TERMS, make_course, plant_course
from training.execution import Execution, Step, Terms, lay_course, number_days, terms_of

SHORT, FLAT, LONG = 0, 1, 2
FREE = Terms(cost=0.0, daily_loss=0.05, time_zone="UTC")
MINUTE = 60_000


def walk(closes: list[float], actions: list[int], terms: Terms = TERMS) -> list[Step]:
    """One account through all of these closes."""
    execution = Execution(make_course(np.array(closes), length=len(closes) - 1), terms, 1, rng=np.random.default_rng(1))
    execution.reset()
    return [execution.step(np.array([action])) for action in actions]


def rewards(steps: list[Step]) -> list[float]:
    return [float(step.reward[0]) for step in steps]


def slow_result(closes: list[float], actions: list[int], terms: Terms) -> float:
    """What these actions earn in thousandths of the capital: one trade after the other, cash in, cash out."""
    cash, side, entry = 0.0, 0, 0.0
    for price, action in zip(closes, [*actions, FLAT], strict=True):
        if action - 1 != side:
            if side:
                cash += terms.exposure * (side * (price - entry) - terms.cost * price) / entry
            side, entry = action - 1, price
            cash -= terms.exposure * terms.cost * abs(side)
    return 1_000 * cash


def test_a_long_trade_earns_the_move_less_both_sides() -> None:
    told = rewards(walk([100.0, 101.0, 102.0, 102.0], [LONG, LONG, FLAT]))

    assert told == pytest.approx([10.0 - 0.5, 10.0, -0.5 * 1.02])


def test_a_short_trade_earns_when_the_price_falls() -> None:
    assert rewards(walk([100.0, 99.0, 99.0], [SHORT, FLAT], FREE)) == pytest.approx([10.0, 0.0])


def test_turning_round_pays_two_sides() -> None:
    assert rewards(walk([100.0, 100.0, 100.0, 100.0], [LONG, SHORT, SHORT])) == pytest.approx([-0.5, -1.0, -0.5])


def test_doing_nothing_earns_and_costs_nothing() -> None:
    steps = walk([100.0, 150.0, 80.0], [FLAT, FLAT])

    assert rewards(steps) == [0.0, 0.0]
    assert steps[-1].is_truncated[0]


def test_twice_the_exposure_earns_and_pays_twice() -> None:
    closes, actions = [100.0, 101.0, 100.5, 99.0], [LONG, SHORT, FLAT]

    double = walk(closes, actions, TERMS._replace(exposure=2.0))

    assert rewards(double) == pytest.approx([2 * each for each in rewards(walk(closes, actions))])


@given(
    moves=st.lists(st.floats(-0.004, 0.004), min_size=2, max_size=40),
    actions=st.lists(st.sampled_from([SHORT, FLAT, LONG]), min_size=40, max_size=40),
)
def test_rewards_add_up_to_the_cash_of_a_slow_account(moves: list[float], actions: list[int]) -> None:
    terms = TERMS._replace(daily_loss=0.99)
    closes = [100.0, *(100.0 * np.exp(np.cumsum(moves))).tolist()]
    taken = actions[: len(moves)]

    total = sum(rewards(walk(closes, taken, terms)))

    assert total == pytest.approx(slow_result(closes, taken, terms), abs=1e-9)


def test_the_end_of_the_stretch_closes_the_trade_and_cuts_the_episode_off() -> None:
    last = walk([100.0, 100.0, 101.0], [LONG, LONG])[-1]

    assert (bool(last.is_truncated[0]), bool(last.is_terminated[0])) == (True, False)
    assert last.reward[0] == pytest.approx(10.0 - 0.5 * 1.01)
    assert last.final[0, 31] == 0.0


def test_the_daily_limit_closes_the_account_for_good() -> None:
    steps = walk([100.0, 97.0, 94.9, 100.0, 100.0], [LONG, LONG])

    assert [bool(step.is_terminated[0]) for step in steps] == [False, True]
    assert steps[-1].final[0, 31:].tolist() == pytest.approx(
        [0.0, 0.0, 1.0 - (0.051 + 0.0005 * 1.949) / 0.05], abs=1e-5
    )


def test_costs_count_towards_the_daily_limit() -> None:
    assert walk([100.0, 95.04, 95.0], [LONG])[0].is_terminated[0]
    assert not walk([100.0, 95.04, 95.0], [LONG], FREE)[0].is_terminated[0]


def test_a_new_day_has_its_loss_anew_below_the_balance_of_midnight() -> None:
    # 3 % realised before midnight and 3 % after it: 6 % in all, but no day lost 5
    closes = np.array([100.0, 97.0, 97.0, 97.0, 94.09, 94.09])
    last_minutes = milliseconds(datetime(2025, 1, 14, 22, 57, tzinfo=UTC))  # in Prague it is an hour later
    course = make_course(closes, length=5, begin=last_minutes)
    same_day = make_course(closes, length=5, begin=last_minutes - 3_600_000)
    ended = []
    for each in (course, same_day):
        execution = Execution(each, TERMS, 1, rng=np.random.default_rng(1))
        execution.reset()
        ended.append([bool(execution.step(np.array([a])).is_terminated[0]) for a in (LONG, FLAT, FLAT, LONG, FLAT)][:4])

    assert ended == [[False, False, False, False], [False, False, False, True]]


def test_an_open_loss_is_carried_into_the_new_day() -> None:
    """The firm counts from the balance at midnight: what is open and lost then still counts against the new day."""
    begin = milliseconds(datetime(2025, 1, 14, 22, 58, tzinfo=UTC))
    course = make_course(np.array([100.0, 97.0, 96.9, 94.9, 94.9]), length=4, begin=begin)
    execution = Execution(course, TERMS, 1, rng=np.random.default_rng(1))
    execution.reset()

    ended = [bool(execution.step(np.array([LONG])).is_terminated[0]) for _ in range(3)]

    assert ended == [False, False, True]


@pytest.mark.parametrize(
    ("day", "hours"), [((2025, 3, 29), 23), ((2025, 10, 25), 25), ((2025, 6, 1), 24)], ids=["spring", "autumn", "june"]
)
def test_the_firms_days_have_as_many_hours_as_the_clock_there_says(day: tuple[int, int, int], hours: int) -> None:
    begin = milliseconds(datetime(*day, 12, tzinfo=UTC))
    numbers = number_days(begin + 3_600_000 * np.arange(49), "Europe/Prague")

    borders = np.flatnonzero(np.diff(numbers))

    assert np.diff(borders)[0] == hours


def test_an_account_does_not_see_the_others() -> None:
    course = plant_course(seed=3, size=500, length=50)
    starts = course.starts[[5, 300, 77]]
    actions = np.random.default_rng(4).integers(0, 3, (49, 3))
    together = Execution(course, TERMS, 3, rng=np.random.default_rng(1))
    together.reset(starts)
    many = [together.step(each) for each in actions]

    for place, start in enumerate(starts):
        alone = Execution(course, TERMS, 1, rng=np.random.default_rng(1))
        alone.reset(np.array([start]))
        for taken, step in zip(actions, many, strict=True):
            single = alone.step(taken[place : place + 1])
            assert single.reward[0] == step.reward[place]
            assert np.array_equal(single.observation[0], step.observation[place])


def test_nothing_is_seen_before_it_happened() -> None:
    course = plant_course(seed=3, size=100, length=60)
    later = course.closes.copy()
    later[41:] *= 1.01
    features = course.features.copy()
    features[41:] += 1.0
    seen = []
    for each in (course, course._replace(closes=later, features=features)):
        execution = Execution(each, TERMS, 1, rng=np.random.default_rng(1))
        execution.reset(np.array([0]))
        seen.append([execution.step(np.array([LONG])).observation[0] for _ in range(41)])

    assert np.array_equal(seen[0][:40], seen[1][:40])
    assert not np.array_equal(seen[0][40], seen[1][40])


def test_no_episode_crosses_a_hole() -> None:
    times = BEGIN + MINUTE * np.delete(np.arange(31), 20)
    features, closes = np.zeros((30, 31), dtype=np.float32), np.full(30, 100.0)

    course = lay_course(features, closes, times, rows=np.arange(30), interval="1m", length=9, zone="UTC")

    assert course.starts.tolist() == [*range(11), 20]


def test_candles_without_a_long_enough_stretch_are_refused_with_what_is_missing() -> None:
    with pytest.raises(CrpbotError, match=r"has 10 candles, an episode needs 13; fetch 3 more"):
        make_course(np.full(10, 100.0), length=12)


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(CrpbotError, match="the part is empty"):
        make_course(np.empty(0), length=12)


def test_an_interrupted_run_goes_on_where_it_stood() -> None:
    course = plant_course(seed=5, size=2_000, length=20)
    actions = np.random.default_rng(6).integers(0, 3, (60, 8))
    whole = Execution(course, TERMS, 8, rng=np.random.default_rng(1))
    whole.reset()
    for each in actions[:30]:
        whole.step(each)
    again = Execution(course, TERMS, 8, rng=np.random.default_rng(99))
    seen = again.restore(whole.state())
    whole.rng, again.rng = np.random.default_rng(7), np.random.default_rng(7)

    assert seen.shape == (8, OBSERVATIONS)
    for each in actions[30:]:
        one, other = whole.step(each), again.step(each)
        assert np.array_equal(one.reward, other.reward)
        assert np.array_equal(one.observation, other.observation)


def test_the_house_pays_its_own_spread_and_slippage_and_the_firms_commission() -> None:
    terms = terms_of(find_pack("ftmo-2step-challenge"))

    assert terms == Terms(cost=pytest.approx(0.000525), daily_loss=0.05, time_zone="Europe/Prague", exposure=1.0)


@pytest.mark.parametrize("exposure", [0.0, -1.0, 3.4, float("nan")])
def test_an_exposure_that_the_firm_does_not_lend_is_refused(exposure: float) -> None:
    with pytest.raises(CrpbotError, match=r"at most the leverage 3\.3 of ftmo-2step-challenge"):
        terms_of(find_pack("ftmo-2step-challenge"), exposure=exposure)
