"""The gate of market data: every kind of defect has one case here, and clean rows pass untouched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Code, CrpbotError
from core.gate import (
    POLICIES,
    RULES,
    Admission,
    Defect,
    Harm,
    Policy,
    RawCandles,
    admit,
    examine,
    revised,
    revisions,
    sift,
)
from core.gate.rules import RECENT_CANDLES
from core.market import COLUMNS, Candles

START_MS = 1_735_689_600_000  # 2025-01-01
MINUTE_MS = 60_000
COUNT = 200
NOW_MS = START_MS + COUNT * MINUTE_MS
OLD, NEW = 50, 190  # a row that decisions no longer see, and one that they do

Change = Callable[[RawCandles], RawCandles]


def walk(count: int = COUNT, *, price: float = 50_000.0) -> RawCandles:
    """A quiet market: closed candles without a defect."""
    draw = np.random.default_rng(7)
    path = price * np.exp(np.cumsum(draw.normal(0.0, 0.001, count + 1)))
    opens, close = path[:-1].copy(), path[1:].copy()
    high = np.maximum(opens, close) * np.exp(np.abs(draw.normal(0.0, 0.0005, count)))
    low = np.minimum(opens, close) * np.exp(-np.abs(draw.normal(0.0, 0.0005, count)))
    times = START_MS + np.arange(count, dtype=np.int64) * MINUTE_MS
    return RawCandles(times, opens, high, low, close, draw.lognormal(1.0, 1.0, count))


def with_values(row: int | slice, **values: object) -> Change:
    """Other values in one row, or in several."""

    def change(raw: RawCandles) -> RawCandles:
        columns = {name: np.array(getattr(raw, name)) for name in values}
        for name, value in values.items():
            columns[name][row] = value
        return raw._replace(**columns)

    return change


def scaled(row: int | slice, factor: float, *columns: str) -> Change:
    """Some columns multiplied, in one row or in several."""

    def change(raw: RawCandles) -> RawCandles:
        changed = {name: np.array(getattr(raw, name)) for name in columns}
        for values in changed.values():
            values[row] *= factor
        return raw._replace(**changed)

    return change


def take(rows: object) -> Change:
    """Some rows, in the order given."""
    return lambda raw: RawCandles(*(column[rows] for column in raw))


def without(*rows: int) -> Change:
    return take(np.delete(np.arange(COUNT), rows))


def with_times(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda raw: raw._replace(open_times=change(raw.open_times))


def conflicting(raw: RawCandles) -> RawCandles:
    twice = take(np.insert(np.arange(COUNT), OLD, OLD))(raw)
    return scaled(OLD + 1, 1.001, "open", "high", "low", "close")(twice)


def half_a_day(raw: RawCandles) -> RawCandles:
    """Hourly candles whose afternoon hours are told as those of the morning."""
    hours = np.arange(COUNT)
    return raw._replace(open_times=START_MS + (hours // 24 * 24 + hours % 12) * 3_600_000)


def texts(raw: RawCandles) -> np.ndarray:
    """Times as people write them."""
    return np.array([str(np.datetime64(int(time), "s")) for time in raw.open_times // 1_000])


FOUR = ("open", "high", "low", "close")

# kind of defect -> what brings it about, and how often it is then found
CASES: dict[str, tuple[Change, int]] = {
    "unequal_columns": (lambda raw: raw._replace(low=raw.low[1:]), 1),
    "no_candles": (take(slice(0)), 1),
    "too_short": (take(slice(1)), 1),
    "mixed_time_units": (with_times(lambda times: np.where(times < times[100], times // 1_000, times)), COUNT),
    "twelve_hour_clock": (half_a_day, 96),
    "price_jump": (scaled(slice(100, None), 1.5, *FOUR), 1),
    "volume_unit_flip": (
        lambda raw: raw._replace(volume=raw.volume * np.where(np.arange(COUNT) < 90, 1, raw.close)),
        1,
    ),
    "unreadable_time": (lambda raw: raw._replace(open_times=np.where(np.arange(COUNT) == OLD, "soon", texts(raw))), 1),
    "future": (with_values(OLD, open_times=NOW_MS + 10 * 365 * 86_400_000), 1),
    "open_candle": (with_values(COUNT - 1, open_times=NOW_MS), 1),
    "off_grid": (with_values(OLD, open_times=START_MS + OLD * MINUTE_MS + 1), 1),
    "before_listing": (with_times(lambda times: times - 200 * 86_400_000), COUNT),
    "time_unit": (with_times(lambda times: times // 1_000), COUNT),
    "out_of_order": (take(np.r_[0:OLD, OLD + 1, OLD, OLD + 2 : COUNT]), 1),
    "duplicate": (take(np.insert(np.arange(COUNT), OLD, OLD)), 1),
    "conflict": (conflicting, 1),
    "not_finite": (with_values(OLD, close=np.nan), 1),
    "not_positive": (with_values(OLD, volume=-1.0), 1),
    "high_below_low": (lambda raw: raw._replace(high=raw.low, low=raw.high), COUNT),
    "outside_range": (scaled(OLD, 1.01, "close"), 1),
    "spike": (scaled(OLD, 10.0, *FOUR), 1),
    "missing": (without(OLD, OLD + 1, OLD + 2), 1),
    "gap": (without(OLD, OLD + 1, OLD + 2, OLD + 3), 1),
    "zero_volume": (with_values(OLD, volume=0.0), 1),
    "frozen": (lambda raw: with_values(slice(OLD, OLD + 12), **dict.fromkeys(FOUR, raw.close[OLD - 1]))(raw), 1),
    "constant_price": (with_values(slice(None), open=9.0, high=9.0, low=9.0, close=9.0), 1),
    "stale": (take(slice(COUNT - 3)), 1),
}


def ask(
    raw: RawCandles, *, symbol: str = "BTC-USD", interval: str = "1m", now_ms: int = NOW_MS, least: int = 1
) -> Admission:
    return admit(raw, symbol=symbol, interval=interval, now_ms=now_ms, least=least)


def look(raw: RawCandles, *, symbol: str = "BTC-USD", interval: str = "1m", now_ms: int = NOW_MS) -> dict[str, Defect]:
    found = examine(raw, symbol=symbol, interval=interval, now_ms=now_ms)
    by_kind = {defect.kind: defect for defect in found}
    assert len(by_kind) == len(found), "a kind told twice"
    return by_kind


def look_at_case(kind: str) -> dict[str, Defect]:
    change, _ = CASES[kind]
    if kind == "twelve_hour_clock":
        return look(change(walk()), interval="1h", now_ms=START_MS + COUNT * 3_600_000)
    return look(change(walk()), symbol="POL-USD" if kind == "before_listing" else "BTC-USD")


def refusal(raw: RawCandles, **how: object) -> CrpbotError:
    with pytest.raises(CrpbotError) as caught:
        ask(raw, **how)
    return caught.value


def same(candles: Candles, raw: RawCandles) -> bool:
    """Equal to the last bit."""
    found = (candles.open_times, *(getattr(candles, column) for column in COLUMNS))
    return all(one.tobytes() == other.tobytes() for one, other in zip(found, raw, strict=True))


class TestRules:
    def test_every_kind_of_defect_has_a_case_here(self) -> None:
        assert {*CASES, "revised"} == set(RULES)

    @pytest.mark.parametrize("kind", CASES)
    def test_a_defect_is_found_counted_and_treated_by_its_policy(self, kind: str) -> None:
        found = look_at_case(kind)[kind]
        assert (found.policy, found.count) == (POLICIES[kind], CASES[kind][1])
        assert found.example
        assert "nan" not in found.example or kind == "not_finite"
        assert len(found.times) == len(found.lengths)
        assert found.first == (int(found.times[0]) if len(found.times) else None)

    @pytest.mark.parametrize("kind", [kind for kind, policy in POLICIES.items() if policy is Policy.REFUSE])
    def test_what_is_refused_raises_with_symbol_kind_and_remedy(self, kind: str) -> None:
        change, _ = CASES[kind]
        interval, now_ms = ("1h", START_MS + COUNT * 3_600_000) if kind == "twelve_hour_clock" else ("1m", NOW_MS)
        problem = refusal(change(walk()), interval=interval, now_ms=now_ms, least=2)
        assert (problem.code, problem.reason) == (Code.FAILED_PRECONDITION, kind.upper())
        assert problem.detail.startswith(f"candles: BTC-USD {interval}")
        assert all(
            words in problem.detail for words in (kind.replace("_", " "), RULES[kind].reason, RULES[kind].remedy)
        )

    @pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
    def test_a_rule_has_one_line_of_reason_and_one_of_remedy(self, rule: object) -> None:
        assert all(3 < len(words) < 90 and "\n" not in words for words in rule[2:])

    def test_the_kinds_that_never_stop_a_decision(self) -> None:
        assert {kind for kind, rule in RULES.items() if rule.harm is Harm.NEVER} == {
            "open_candle",
            "time_unit",
            "out_of_order",
            "duplicate",
            "missing",
            "zero_volume",
        }

    def test_a_refusal_in_full(self) -> None:
        raw = scaled(slice(100, None), 1.5, *FOUR)(walk())
        assert refusal(without(7)(raw)).detail == (
            "candles: BTC-USD 1m from 2025-01-01T00:00:00Z to 2025-01-01T03:19:00Z: price jump: "
            f"2025-01-01T01:40:00Z: open {raw.open[100]:.10g}, high {raw.high[100]:.10g}, low {raw.low[100]:.10g}, "
            f"close {raw.close[100]:.10g}, volume {raw.volume[100]:.10g} after {raw.close[99]:.10g}; "
            "a jump that lasts is another market, or another unit; keep one source in a series; "
            "found besides: missing 1 (1 candles, at most 1 together, from 2025-01-01T00:07:00Z)"
        )


class TestCleanRows:
    def test_they_pass_untouched_and_without_a_word(self) -> None:
        admission = ask(walk())
        assert same(admission.candles, walk())
        assert (admission.defects, admission.degraded) == ((), False)

    @given(st.permutations(range(30)), st.lists(st.integers(0, 29), max_size=8))
    def test_any_order_and_any_repetition_give_the_same_candles_to_the_last_bit(
        self, order: list[int], again: list[int]
    ) -> None:
        now_ms = START_MS + 30 * MINUTE_MS
        admission = ask(take(order + again)(walk(30)), now_ms=now_ms)
        assert same(admission.candles, walk(30))
        assert not admission.degraded
        assert {defect.kind for defect in admission.defects} <= {"out_of_order", "duplicate"}

    def test_newest_first_with_the_open_candle_is_how_an_exchange_answers(self) -> None:
        admission = ask(take(slice(None, None, -1))(walk()), now_ms=NOW_MS - 1)
        assert same(admission.candles, take(slice(COUNT - 1))(walk()))
        assert [(defect.kind, defect.count) for defect in admission.defects] == [
            ("open_candle", 1),
            ("out_of_order", 198),
        ]
        assert not admission.degraded

    def test_rows_are_read_and_never_written(self) -> None:
        for change, _ in CASES.values():
            raw = change(walk())
            before = [column.tobytes() for column in raw]
            look(raw)
            assert [column.tobytes() for column in raw] == before

    @pytest.mark.parametrize("kind", [np.float32, np.int64, object, np.str_, np.bytes_])
    def test_numbers_of_any_type_are_read(self, kind: type) -> None:
        raw = walk()
        whole = RawCandles(
            raw.open_times,
            *(np.rint(column) + shift for column, shift in zip(raw[1:], (0, 1e3, -1e3, 0, 0), strict=True)),
        )
        plain = RawCandles(raw.open_times, *(column.astype(np.int64).astype(kind) for column in whole[1:]))
        assert same(ask(plain).candles, whole)


class TestTimes:
    @pytest.mark.parametrize(
        "told",
        [
            lambda times: times // 1_000,
            lambda times: times * 1_000,
            lambda times: times * 1_000_000,
            lambda times: times / 1_000,
            lambda times: times.astype("datetime64[ms]"),
            lambda times: times.astype("datetime64[ms]").astype("datetime64[ns]"),
            lambda times: (times // 1_000).astype(np.str_),
            lambda times: times.astype("datetime64[ms]").astype(np.str_),
            lambda times: np.array(
                [f"{text}+01:00" for text in (times + 3_600_000).astype("datetime64[ms]").astype(np.str_)]
            ),
            lambda times: np.array([datetime.fromtimestamp(time / 1_000, UTC) for time in times.tolist()]),
            lambda times: np.array(
                [datetime.fromtimestamp(time / 1_000, UTC).strftime("%Y-%m-%d %I:%M %p") for time in times.tolist()]
            ),
        ],
        ids=[
            "s",
            "us",
            "ns",
            "float s",
            "instants",
            "instants ns",
            "s text",
            "iso",
            "zone",
            "objects",
            "12-hour clock",
        ],
    )
    def test_a_time_told_in_another_way_is_the_same_time(self, told: Callable[[np.ndarray], np.ndarray]) -> None:
        admission = ask(with_times(told)(walk()))
        assert same(admission.candles, walk())
        assert not admission.degraded

    @pytest.mark.parametrize(("text", "hour"), [("12-AM", 0), ("01-AM", 1), ("12-PM", 12), ("11-PM", 23)])
    def test_noon_is_twelve_pm_and_midnight_twelve_am(self, text: str, hour: int) -> None:
        raw = take(slice(1))(walk())._replace(open_times=np.array([f"2025-01-01 {text}"]))
        assert (
            ask(raw, interval="1h", now_ms=START_MS + 24 * 3_600_000).candles.open_times[0]
            == START_MS + hour * 3_600_000
        )

    @pytest.mark.parametrize(
        "text", ["", "now", "13-PM", "2025-01-01 13-PM", "2025-13-01", "1e12", "nan", "12345", None, True]
    )
    def test_what_is_no_time_is_no_candle(self, text: object) -> None:
        found = look(walk()._replace(open_times=np.array([text, *texts(walk())[1:]], dtype=object)))
        assert found["unreadable_time"].example == f"row 0: {str(text)!r}"

    def test_a_candle_that_closes_now_has_closed_and_one_that_starts_now_has_not(self) -> None:
        assert ask(walk(), now_ms=NOW_MS).candles.as_of == NOW_MS
        assert ask(walk(), now_ms=NOW_MS - 1).candles.as_of == NOW_MS - MINUTE_MS
        assert look(walk(), now_ms=NOW_MS - MINUTE_MS - 1).keys() == {"future", "open_candle"}

    @given(st.integers(0, COUNT * MINUTE_MS))
    def test_nothing_of_a_later_close_ever_passes(self, before: int) -> None:
        now_ms = NOW_MS - before
        rows = COUNT - -(-before // MINUTE_MS)
        if rows == 0:
            assert refusal(walk(), now_ms=now_ms).reason == "NO_CANDLES"
        else:
            assert same(ask(walk(), now_ms=now_ms).candles, take(slice(rows))(walk()))

    def test_data_older_than_two_candles_are_stale(self) -> None:
        assert not ask(walk(), now_ms=NOW_MS + 2 * MINUTE_MS).degraded
        assert [defect.kind for defect in ask(walk(), now_ms=NOW_MS + 2 * MINUTE_MS + 1).defects] == ["stale"]
        assert ask(walk(), now_ms=NOW_MS + 2 * MINUTE_MS + 1).degraded

    def test_rows_of_a_former_name_are_told_by_the_symbol(self) -> None:
        raw = with_times(lambda times: times - 200 * 86_400_000)(walk())
        assert "before_listing" not in look(raw)
        assert refusal(raw, symbol="POL-USD").reason == "NO_CANDLES"


class TestHoles:
    @pytest.mark.parametrize("length", [1, 2, 3])
    def test_a_short_hole_is_filled_with_the_last_close_and_no_volume(self, length: int) -> None:
        rows = range(NEW, NEW + length)
        admission = ask(without(*rows)(walk()))
        assert len(admission.candles) == COUNT
        assert not admission.degraded
        for column in FOUR:
            assert (getattr(admission.candles, column)[NEW : NEW + length] == walk().close[NEW - 1]).all()
        assert (admission.candles.volume[NEW : NEW + length] == 0).all()
        assert [(defect.kind, defect.lengths.tolist()) for defect in admission.defects] == [("missing", [length])]

    def test_of_a_long_hole_only_what_follows_is_given(self) -> None:
        admission = ask(without(60, *range(100, 104), 150)(walk()))
        assert admission.candles.open_times[0] == START_MS + 104 * MINUTE_MS
        assert len(admission.candles) == COUNT - 104
        assert admission.degraded
        holes = {defect.kind: (defect.count, defect.times - START_MS, defect.lengths) for defect in admission.defects}
        assert holes["missing"][0] == 2
        assert (holes["missing"][1] // MINUTE_MS).tolist() == [60, 150]
        assert (holes["gap"][1] // MINUTE_MS).tolist() == [100]
        assert holes["gap"][2].tolist() == [4]

    def test_less_than_the_caller_needs_is_refused_with_both_counts(self) -> None:
        problem = refusal(without(*range(100, 104))(walk()), least=97)
        assert problem.reason == "TOO_SHORT"
        assert "too short: 96 in one stretch, 97 needed" in problem.detail
        assert "gap 1 (4 candles, at most 4 together, from 2025-01-01T01:40:00Z)" in problem.detail

    def test_what_is_sifted_keeps_its_holes_and_is_not_filled(self) -> None:
        rows = np.delete(np.arange(COUNT), [20, *range(100, 104)])
        assert (sift(take(rows)(walk()), interval="1m", now_ms=NOW_MS).open_times == walk().open_times[rows]).all()


class TestRows:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0])
    @pytest.mark.parametrize("column", COLUMNS)
    @pytest.mark.parametrize(("row", "degraded"), [(OLD, False), (NEW, True)])
    def test_a_number_that_cannot_be_costs_its_row_and_the_symbol_when_it_is_recent(
        self, column: str, value: float, row: int, degraded: bool
    ) -> None:
        admission = ask(with_values(row, **{column: value})(walk()))
        if column == "volume" and value == 0.0:
            assert [defect.kind for defect in admission.defects] == ["zero_volume"]
            assert not admission.degraded
            return
        kind = "not_positive" if np.isfinite(value) else "not_finite"
        assert [defect.kind for defect in admission.defects] == [kind, "missing"]
        assert admission.degraded is degraded
        assert len(admission.candles) == COUNT
        assert admission.candles.close[row] == walk().close[row - 1]

    def test_recent_is_one_of_the_newest_sixty(self) -> None:
        newest = COUNT - RECENT_CANDLES
        assert ask(with_values(newest, close=np.nan)(walk())).degraded
        assert not ask(with_values(newest - 1, close=np.nan)(walk())).degraded

    def test_a_row_with_several_faults_is_told_once(self) -> None:
        raw = with_values(OLD, open=np.nan, low=-1.0, high=0.5)(walk())
        assert look(raw).keys() == {"not_finite", "missing"}

    def test_numbers_in_text_are_read_and_words_are_not(self) -> None:
        close = walk().close.astype(object)
        close[[OLD, OLD + 1, OLD + 2]] = ["8,051.00", None, True]
        assert look(walk()._replace(close=close))["not_finite"].count == 3

    def test_of_two_answers_for_one_candle_the_first_stays_and_none_is_trusted(self) -> None:
        admission = ask(conflicting(walk()))
        assert same(admission.candles, walk())
        assert admission.degraded
        (conflict,) = admission.defects
        assert (conflict.kind, conflict.times.tolist()) == ("conflict", [START_MS + OLD * MINUTE_MS])
        assert " and open " in conflict.example

    def test_of_two_answers_one_of_which_cannot_be_the_other_is_true(self) -> None:
        raw = with_values(OLD + 1, high=np.nan)(take(np.insert(np.arange(COUNT), OLD, OLD))(walk()))
        assert same(ask(raw).candles, walk())
        assert look(raw).keys() == {"not_finite"}

    def test_nothing_left_is_told_with_what_was_dropped(self) -> None:
        problem = refusal(with_times(lambda times: times + 30_000)(walk()), now_ms=NOW_MS + MINUTE_MS)
        assert problem.reason == "NO_CANDLES"
        assert "not one of 200 rows can be used" in problem.detail
        assert "off_grid 200" in problem.detail

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 39),
                st.sampled_from(RawCandles._fields),
                st.sampled_from([0.0, -1.0, 1e-320, 1e308, 1.0, 5e4, 1.7e9, 1.7e12, np.nan, np.inf, -np.inf]),
            ),
            max_size=12,
        ),
        st.permutations(range(40)),
    )
    def test_whatever_comes_in_what_comes_out_are_closed_candles_or_words(
        self, blows: list[tuple[int, str, float]], order: list[int]
    ) -> None:
        raw = take(order)(walk(40))
        raw = raw._replace(open_times=raw.open_times.astype(np.float64))
        for row, column, value in blows:
            getattr(raw, column)[row] = value
        found = look(raw, now_ms=START_MS + 40 * MINUTE_MS)
        if any(defect.policy is Policy.REFUSE for defect in found.values() if defect.kind != "too_short"):
            assert refusal(raw, now_ms=START_MS + 40 * MINUTE_MS).reason.lower() in found
            return
        candles = ask(raw, now_ms=START_MS + 40 * MINUTE_MS).candles
        assert candles.as_of <= START_MS + 40 * MINUTE_MS
        assert set(candles.open_times.tolist()) <= set(walk(40).open_times.tolist())

    def test_two_years_of_good_minutes_have_no_defect(self) -> None:
        raw = walk(1_030_512)
        assert examine(raw, symbol="BTC-USD", interval="1m", now_ms=START_MS + 1_030_512 * MINUTE_MS) == ()


class TestRevisions:
    def test_a_candle_told_otherwise_is_named_with_both_answers(self) -> None:
        later = scaled(OLD, 1.0001, "high")(scaled(NEW, 2.0, "volume")(walk()))
        found = revisions(walk(), take(slice(20, None))(later))
        assert [revision.open_time for revision in found] == [START_MS + OLD * MINUTE_MS, START_MS + NEW * MINUTE_MS]
        assert found[0].stored == tuple(column[OLD] for column in walk()[1:])
        assert found[1].fresh[4] == 2.0 * found[1].stored[4]

    def test_equal_and_missing_candles_are_no_revisions(self) -> None:
        assert revisions(ask(walk()).candles, take(np.arange(30, 90))(walk())) == ()

    def test_revisions_are_told_as_a_defect_that_degrades(self) -> None:
        found = revisions(walk(), scaled(OLD, 1.5, "volume")(walk()))
        told = revised(found)
        assert (told.kind, told.policy, told.count, told.degrading) == ("revised", Policy.DROP, 1, True)
        assert told.example.startswith("2025-01-01T00:50:00Z: open ")
        assert " became open " in told.example
