"""What is known of a series: nothing is asked for twice without need, nothing known is lost, memory has an end."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.adapters.coinbase.known_candles import MOST_CANDLES, NO_ROWS, READ_AGAIN, KnownCandles
from core.gate import RawCandles, sift

STEP = 300_000
ORIGIN = 1_760_000_100_000 // STEP * STEP
FAR = ORIGIN + 10**12


def candles(starts: range, *, holes: frozenset[int] = frozenset(), volume: float = 1.0) -> RawCandles:
    times = np.array([start for start in starts if start not in holes], dtype=np.int64)
    close = 100.0 + times / STEP % 7
    return RawCandles(times, close, close + 1.0, close - 1.0, close, np.full(len(times), volume))


def span(begin: int, end: int) -> range:
    return range(ORIGIN + begin * STEP, ORIGIN + end * STEP, STEP)


def tell(known: KnownCandles, wanted: range, *, holes: frozenset[int] = frozenset(), volume: float = 1.0) -> int:
    """Asks as the market does; the number of starts asked for."""
    asked = known.unknown(wanted)
    pages = [candles(each, holes=holes, volume=volume) for each in asked]
    fresh = RawCandles(*(np.concatenate(parts) for parts in zip(NO_ROWS, *pages, strict=True)))
    known.keep(asked, sift(fresh, interval="5m", now_ms=FAR))
    return sum(map(len, asked))


def test_only_what_closed_since_is_asked_for_and_the_newest_again() -> None:
    known = KnownCandles(STEP)
    assert tell(known, span(0, 500)) == 500
    assert known.unknown(span(0, 500)) == []
    assert known.unknown(span(1, 501)) == [span(500 - READ_AGAIN, 501)]
    assert known.unknown(span(-10, 500)) == [span(-10, 0)]
    assert known.unknown(span(-10, 501)) == [span(-10, 0), span(500 - READ_AGAIN, 501)]


def test_a_hole_of_the_exchange_is_not_asked_for_again() -> None:
    known = KnownCandles(STEP)
    tell(known, span(0, 500), holes=frozenset(span(100, 103)))
    assert known.unknown(span(0, 500)) == []
    assert len(known.with_fresh(span(0, 500), NO_ROWS).open_times) == 497


def test_a_newest_candle_that_was_not_told_is_asked_for_again() -> None:
    known = KnownCandles(STEP)
    tell(known, span(0, 500), holes=frozenset(span(499, 500)))
    assert known.unknown(span(0, 500)) == [span(499 - READ_AGAIN, 500)]


def test_after_a_long_pause_the_old_is_forgotten() -> None:
    known = KnownCandles(STEP)
    tell(known, span(0, 500))
    assert tell(known, span(900, 1_400)) == 500
    assert known.unknown(span(0, 500)) == [span(0, 500)]


def test_what_is_older_and_apart_does_not_push_out_the_new() -> None:
    known = KnownCandles(STEP)
    tell(known, span(900, 1_400))
    tell(known, span(0, 500))
    assert known.unknown(span(900, 1_400)) == []


def test_a_closed_candle_that_is_told_otherwise_stays_as_it_was_and_is_named() -> None:
    known = KnownCandles(STEP)
    tell(known, span(0, 500))
    (asked,) = known.unknown(span(1, 501))
    fresh = candles(asked, volume=2.0)
    sound = sift(fresh, interval="5m", now_ms=FAR)
    rows = known.with_fresh(span(1, 501), fresh, sound.open_times)
    assert len(rows.open_times) == len(set(rows.open_times.tolist())) == 500
    changed = known.keep([asked], sound)
    assert [each.open_time for each in changed] == list(span(498, 500))
    assert {(each.stored[4], each.fresh[4]) for each in changed} == {(1.0, 2.0)}
    assert known.with_fresh(span(498, 501), NO_ROWS).volume.tolist() == [1.0, 1.0, 2.0]


def test_a_revision_is_remembered_as_long_as_its_candle_is_wanted_and_known() -> None:
    known = KnownCandles(STEP)
    tell(known, span(0, 500))
    tell(known, span(1, 501), volume=2.0)
    tell(known, span(2, 502), volume=2.0)
    assert [each.open_time for each in known.revised(span(2, 502))] == list(span(498, 500))
    assert [each.open_time for each in known.revised(span(499, 999))] == list(span(499, 500))
    assert known.revised(span(500, 999)) == ()
    tell(known, span(2_000, 2_500))
    assert known.revised(span(0, 2_500)) == ()


def test_a_row_that_is_told_twice_or_cannot_be_a_candle_is_left_to_the_gate() -> None:
    known = KnownCandles(STEP)
    tell(known, span(0, 500))
    (asked,) = known.unknown(span(1, 501))
    fresh = candles(asked)
    twice = RawCandles(*(np.concatenate((column, column[:1])) for column in fresh))
    sound = sift(twice, interval="5m", now_ms=FAR).open_times
    assert len(known.with_fresh(span(1, 501), twice, sound).open_times) == 502
    fresh.close[0] = np.nan
    sound = sift(fresh, interval="5m", now_ms=FAR).open_times
    assert np.isnan(known.with_fresh(span(1, 501), fresh, sound).close).sum() == 1


def test_a_known_candle_that_is_not_told_again_stays() -> None:
    known = KnownCandles(STEP)
    tell(known, span(0, 500))
    tell(known, span(1, 501), holes=frozenset(span(498, 500)))
    assert len(known.with_fresh(span(0, 501), NO_ROWS).open_times) == 501


def test_memory_has_an_end_and_the_newest_stay() -> None:
    known = KnownCandles(STEP)
    tell(known, span(0, MOST_CANDLES + 700))
    assert known.unknown(span(700, MOST_CANDLES + 700)) == []
    assert known.unknown(span(699, MOST_CANDLES + 700)) == [span(699, 700)]


def test_a_single_known_candle_is_not_asked_for_twice_over() -> None:
    known = KnownCandles(STEP)
    tell(known, span(10, 11))
    assert known.unknown(span(5, 15)) == [span(5, 10), span(10, 15)]


@settings(max_examples=100, deadline=None)
@given(
    wanted=st.lists(st.tuples(st.integers(0, 120), st.integers(1, 60)), min_size=1, max_size=12),
    holes=st.frozensets(st.integers(0, 180), max_size=20),
)
def test_whatever_the_order_of_questions_the_answer_is_what_the_exchange_has(
    wanted: list[tuple[int, int]], holes: frozenset[int]
) -> None:
    known = KnownCandles(STEP)
    missing = frozenset(ORIGIN + hole * STEP for hole in holes)
    for begin, length in wanted:
        starts = span(begin, begin + length)
        asked = known.unknown(starts)
        assert sum(map(len, asked)) <= length + READ_AGAIN
        pages = [candles(each, holes=missing) for each in asked]
        fresh = RawCandles(*(np.concatenate(parts) for parts in zip(NO_ROWS, *pages, strict=True)))
        rows = known.with_fresh(starts, fresh, fresh.open_times)
        inside = (rows.open_times >= starts.start) & (rows.open_times < starts.stop)
        expected = candles(starts, holes=missing)
        order = np.argsort(rows.open_times[inside])
        np.testing.assert_array_equal(rows.open_times[inside][order], expected.open_times)
        np.testing.assert_array_equal(rows.close[inside][order], expected.close)
        assert known.keep(asked, sift(fresh, interval="5m", now_ms=FAR)) == ()
