"""Numbers that are wrong only together: what is found wherever it stands, and what real markets may do unhindered."""

from __future__ import annotations

import numpy as np
import pytest

from core.gate import RawCandles
from core.gate.prices import find_oddities, find_still, find_unit_flips
from core.market import Floats
from tests.core.market.test_gate import FOUR, MINUTE_MS, scaled, walk, with_values

COUNT = 500


def oddities(raw: RawCandles) -> tuple[list[int], list[int]]:
    spikes, jumps = find_oddities(raw.open_times, np.array(raw[1:5]), MINUTE_MS)
    return spikes.tolist(), jumps.tolist()


def block(raw: RawCandles) -> Floats:
    return np.array(raw[1:])


def moved(rows: slice, factor: float) -> RawCandles:
    """A walk whose level changes within the first of the rows: its open is still the old one."""
    raw = scaled(rows, factor, *FOUR)(walk(COUNT))
    opens, high, low = raw.open.copy(), raw.high.copy(), raw.low.copy()
    first = rows.start
    opens[first] /= factor
    high[first], low[first] = max(high[first], opens[first]), min(low[first], opens[first])
    return raw._replace(open=opens, high=high, low=low)


class TestSpikes:
    @pytest.mark.parametrize("factor", [0.01, 0.1, 0.5, 0.8, 1.25, 2.0, 10.0, 100.0])
    @pytest.mark.parametrize("rows", [slice(0, 1), slice(200, 201), slice(200, 203), slice(499, 500), slice(497, 500)])
    def test_prices_out_of_place_for_up_to_three_candles_are_spikes(self, rows: slice, factor: float) -> None:
        expected = list(range(rows.start, rows.stop))
        assert oddities(scaled(rows, factor, *FOUR)(walk(COUNT))) == (expected, [])

    @pytest.mark.parametrize("row", [0, 1, 250, 498, 499])
    @pytest.mark.parametrize(
        ("columns", "factor"),
        [(("low",), 0.05), (("low",), 0.5), (("high",), 2.0), (("close", "high"), 10.0), (("open", "low"), 0.1)],
    )
    def test_a_single_wrong_price_is_a_spike(self, row: int, columns: tuple[str, ...], factor: float) -> None:
        assert oddities(scaled(row, factor, *columns)(walk(COUNT))) == ([row], [])

    @pytest.mark.parametrize("length", [4, 20, 250])
    def test_what_lasts_longer_is_another_level_there_and_back(self, length: int) -> None:
        raw = scaled(slice(100, 100 + length), 3.0, *FOUR)(walk(COUNT))
        assert oddities(raw) == ([], [100, 100 + length])

    def test_a_spike_beside_a_jump_does_not_hide_it(self) -> None:
        raw = scaled(slice(300, None), 0.2, *FOUR)(scaled(100, 10.0, *FOUR)(walk(COUNT)))
        assert oddities(raw) == ([100], [300])

    def test_a_market_may_move_by_half_within_a_candle_and_stay(self) -> None:
        assert oddities(moved(slice(250, None), 1.5)) == ([], [])

    def test_a_market_may_move_by_a_fifth_and_come_back_at_once(self) -> None:
        raw = moved(slice(250, None), 1.2)
        back = scaled(slice(251, None), 1 / 1.2, *FOUR)(raw)
        opens, high = back.open.copy(), back.high.copy()
        opens[251] *= 1.2
        high[251] = max(high[251], opens[251])
        assert oddities(back._replace(open=opens, high=high)) == ([], [])

    def test_over_a_hole_prices_may_have_moved_further(self) -> None:
        raw = scaled(slice(250, None), 1.3, *FOUR)(walk(COUNT))
        assert oddities(raw) == ([], [250])
        times = raw.open_times + np.where(np.arange(COUNT) < 250, 0, 20 * MINUTE_MS)
        assert oddities(raw._replace(open_times=times)) == ([], [])

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
    def test_a_few_rows_are_no_trouble(self, count: int) -> None:
        assert oddities(walk(count)) == ([], [])

    def test_prices_that_never_move_have_no_spikes(self) -> None:
        assert oddities(RawCandles(walk(9).open_times, *(np.full(9, 5.0) for _ in range(5)))) == ([], [])


class TestStillness:
    def still(self, rows: slice, volume: float) -> RawCandles:
        price = walk(COUNT).close[rows.start - 1]
        return with_values(rows, open=price, high=price, low=price, close=price, volume=volume)(walk(COUNT))

    @pytest.mark.parametrize(("length", "found"), [(9, []), (10, [10]), (120, [120])])
    def test_ten_candles_at_one_price_are_a_frozen_feed(self, length: int, found: list[int]) -> None:
        begins, lengths = find_still(block(self.still(slice(100, 100 + length), 0.0)))
        assert lengths.tolist() == found
        assert begins.tolist() == [100] * len(found)

    @pytest.mark.parametrize(("copies", "found"), [(2, []), (3, [3]), (9, [9])])
    def test_one_row_given_again_and_again_is_a_frozen_feed(self, copies: int, found: list[int]) -> None:
        raw = walk(COUNT)
        again = with_values(slice(101, 101 + copies), **{name: getattr(raw, name)[100] for name in raw._fields[1:]})(
            raw
        )
        begins, lengths = find_still(block(again))
        assert (lengths.tolist(), begins.tolist()) == (found, [101] * len(found))

    def test_a_price_that_stands_while_it_is_traded_around_is_alive(self) -> None:
        raw = with_values(slice(100, 130), open=5e4, close=5e4, high=5.01e4, low=4.99e4)(walk(COUNT))
        assert len(find_still(block(raw)).begins) == 0


class TestUnitFlips:
    @pytest.mark.parametrize("price", [1e-3, 500.0, 9e4])
    @pytest.mark.parametrize("row", [10, 30, 250, 470, 490])
    @pytest.mark.parametrize("way", [1, -1])
    def test_volume_in_dollars_from_one_row_on_is_found_to_the_row(self, price: float, row: int, way: int) -> None:
        raw = walk(COUNT, price=price)
        volume = raw.volume * np.where(np.arange(COUNT) >= row, raw.close, 1.0) ** way
        assert find_unit_flips(raw.close, volume).tolist() == [row]

    def test_there_and_back_are_two(self) -> None:
        raw = walk(COUNT)
        inside = (np.arange(COUNT) >= 150) & (np.arange(COUNT) < 333)
        assert find_unit_flips(raw.close, raw.volume * np.where(inside, raw.close, 1.0)).tolist() == [150, 333]

    def test_candles_without_volume_do_not_hide_it(self) -> None:
        raw = walk(COUNT)
        volume = raw.volume * np.where(np.arange(COUNT) >= 250, raw.close, 1.0) * (np.arange(COUNT) % 3 > 0)
        assert find_unit_flips(raw.close, volume).tolist() == [250]

    @pytest.mark.parametrize("factor", [20.0, 400.0, 1e9])
    def test_a_market_that_wakes_up_is_no_other_unit(self, factor: float) -> None:
        raw = walk(COUNT)
        assert len(find_unit_flips(raw.close, raw.volume * np.where(np.arange(COUNT) >= 250, factor, 1.0))) == 0

    def test_near_a_price_of_one_nothing_is_claimed(self) -> None:
        raw = walk(COUNT, price=2.0)
        assert len(find_unit_flips(raw.close, raw.volume * np.where(np.arange(COUNT) >= 250, raw.close, 1.0))) == 0

    @pytest.mark.parametrize("count", [0, 1, 9, 25])
    def test_a_few_rows_and_none_with_volume_are_no_trouble(self, count: int) -> None:
        raw = walk(count)
        assert len(find_unit_flips(raw.close, raw.volume)) == 0
        assert len(find_unit_flips(raw.close, np.zeros(count))) == 0
