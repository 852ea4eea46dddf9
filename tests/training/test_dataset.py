"""What a model learns from: windows without holes, labels that stay in their part, inputs that know no future."""

from __future__ import annotations

import asyncio
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from core.adapters.synthetic.market import SyntheticMarket
from core.errors import Code, CrpbotError
from core.features import FEATURES, WARM_UP, compute
from core.market import COLUMNS, Candles, milliseconds
from core.models.scaler import fit_scaler
from tests.documents import code_blocks
from training import dataset as dataset_module
from training.dataset import Dataset, build_dataset, gather, join
from training.label import label
from training.leak import can_be_searched, find_leaks
from training.split import SHARES, candles_needed, draw_borders, reach_of

MINUTE_MS = 60_000
NOW_MS = 1_767_225_600_000  # 2026-01-01
ORIGIN = "synthetic-7-edge"
WINDOW, HORIZON = 60, 15
NEEDED = 5_000  # (60 + 300 + 15) / 7.5 %


def ask(symbol: str = "BTC-USD", count: int = 12_000, *, now_ms: int = NOW_MS) -> Candles:
    return asyncio.run(SyntheticMarket(7, edge=True).latest([symbol], "1m", count, now_ms=now_ms))[0]


def part(candles: Candles, begin: int, end: int) -> Candles:
    return Candles(
        candles.symbol, candles.interval, *(getattr(candles, name)[begin:end] for name in ("open_times", *COLUMNS))
    )


def build(candles, **settings) -> Dataset:
    return build_dataset(candles, **{"origin": ORIGIN, "window": WINDOW, **settings})


@pytest.fixture(scope="module")
def candles() -> Candles:
    return ask()


@pytest.fixture(scope="module")
def dataset(candles: Candles) -> Dataset:
    return build(candles)


@pytest.fixture(scope="module")
def coins(dataset: Dataset) -> list[Dataset]:
    return [dataset, build(ask("DOGE-USD")), build(ask("ETH-USD"))]


class TestWindows:
    def test_a_window_is_the_rows_up_to_and_with_its_last_candle(self, dataset: Dataset) -> None:
        table = torch.from_numpy(dataset.features)
        rows = dataset.test.rows[[0, 5, 5, -1]]
        found = gather(table, torch.from_numpy(rows), WINDOW)
        assert found.shape == (4, WINDOW, len(FEATURES))
        assert found.is_contiguous()
        for window, row in zip(found.numpy(), rows, strict=True):
            np.testing.assert_array_equal(window, dataset.features[row - WINDOW + 1 : row + 1])

    def test_a_row_before_the_first_whole_window_or_after_the_last_is_refused(self, dataset: Dataset) -> None:
        table = torch.from_numpy(dataset.features)
        for row in (WINDOW - 2, len(table)):
            with pytest.raises(IndexError):
                gather(table, torch.tensor([row]), WINDOW)

    def test_a_window_is_scaled_as_it_will_be_when_served(self, candles: Candles, dataset: Dataset) -> None:
        """Five hundred candles fetched for one forecast give the bits that two years gave in training."""
        row = int(dataset.test.rows[100])
        place = row + WARM_UP
        served = dataset.scaler.apply(compute(part(candles, place - 499, place + 1))[-WINDOW:])
        np.testing.assert_allclose(served, dataset.features[row - WINDOW + 1 : row + 1], atol=1e-5)

    def test_it_travels_to_another_process(self, dataset: Dataset) -> None:
        found = pickle.loads(pickle.dumps(dataset))
        np.testing.assert_array_equal(found.features, dataset.features)
        assert (found.train.first, found.data_hash) == (dataset.train.first, dataset.data_hash)


class TestLabels:
    def test_each_label_is_what_the_formula_says(self) -> None:
        closes = np.array([100.0, 101.0, 99.0, 99.0, 103.0])
        found = label(closes, np.array([2.0, 1.0, 0.0, 0.5, 1.0]), 2)
        np.testing.assert_array_equal(found.up, [0.0, 0.0, 1.0, np.nan, np.nan])
        np.testing.assert_allclose(found.trend, [expit(-0.5), expit(-2.0), 1.0, np.nan, np.nan], rtol=1e-6)
        np.testing.assert_allclose(found.move[:3], np.log([0.99, 99 / 101, 103 / 99]))
        assert np.isnan(found.move[3:]).all()

    def test_a_market_that_stands_still_is_neither_up_nor_a_trend(self) -> None:
        found = label(np.full(9, 5.0), np.zeros(9), 3)
        assert found.up[:6].tolist() == [0.0] * 6
        assert found.trend[:6].tolist() == [0.5] * 6
        assert found.move[:6].tolist() == [0.0] * 6

    def test_a_horizon_longer_than_the_candles_leaves_no_label(self) -> None:
        assert np.isnan(label(np.arange(1.0, 4.0), np.ones(3), 3).move).all()

    def test_the_labels_stand_beside_the_candle_that_could_not_know_them(
        self, candles: Candles, dataset: Dataset
    ) -> None:
        row = int(dataset.train.rows[7])
        place = row + WARM_UP
        now, later = candles.close[place], candles.close[place + HORIZON]
        assert dataset.open_times[row] == candles.open_times[place]
        assert dataset.closes[row] == now
        assert dataset.move[row] == np.log(later / now)
        assert dataset.up[row] == (later > now)
        atr = compute(candles)[row, FEATURES.index("atr")]
        assert dataset.trend[row] == pytest.approx(expit((later - now) / atr), rel=1e-6)


class TestSplit:
    @settings(max_examples=40, deadline=None)
    @given(
        window=st.integers(1, 200),
        horizon=st.integers(1, 120),
        spare=st.integers(0, 30_000),
        begin=st.integers(0, 10**6),
    )
    def test_no_candle_is_seen_by_two_parts(self, window: int, horizon: int, spare: int, begin: int) -> None:
        """Neither as look-back, nor in the window, nor as the label's future."""
        reach = reach_of(window, horizon)
        count = candles_needed(reach) + spare
        borders = draw_borders(begin, begin + count, step=1)
        assert borders[-1] - borders[0] == count
        for before, after in pairwise(borders):
            assert after - before >= reach.candles
        shares = np.diff(borders) / count
        np.testing.assert_allclose(shares, list(SHARES.values()), atol=1.5 / count)

    def test_the_parts_stand_in_order_with_a_horizon_and_a_look_back_between_them(self, dataset: Dataset) -> None:
        gap = HORIZON + WINDOW - 1 + WARM_UP
        for before, after in pairwise(dataset.parts):
            assert after.rows[0] - before.rows[-1] > gap
            assert after.rows[0] - before.rows[-1] <= gap + 1
        assert [each.name for each in dataset.parts] == ["train", "stop", "calibrate", "test"]
        for each in dataset.parts:
            assert milliseconds(each.first) == dataset.open_times[each.rows[0]]
            assert milliseconds(each.last) == dataset.open_times[each.rows[-1]]

    def test_every_window_that_fits_is_used(self, candles: Candles, dataset: Dataset) -> None:
        found = np.array([len(each.rows) for each in dataset.parts])
        expected = np.array(list(SHARES.values())) * len(candles) - (WINDOW - 1 + WARM_UP + HORIZON)
        np.testing.assert_allclose(found, expected, atol=1)

    def test_the_instants_are_logged(self, candles: Candles, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO", logger="training.dataset")
        dataset = build(candles)
        assert f"BTC-USD test: {len(dataset.test.rows)} windows, {dataset.test.first} to {dataset.test.last}" in (
            caplog.messages
        )

    def test_borders_given_take_the_place_of_the_usual_ones(self, candles: Candles) -> None:
        begin = int(candles.open_times[0])
        borders = [begin + 60_000 * place for place in (0, 3_000, 6_000, 9_000, 12_000)]
        dataset = build(candles, borders=borders)
        assert dataset.borders == tuple(borders)
        assert len({len(each.rows) for each in dataset.parts}) == 1

    @pytest.mark.parametrize("borders", [[0, 1, 2, 3], [0, 1, 1, 2, 3], [3, 2, 1, 0, -1]])
    def test_borders_that_do_not_rise_are_refused(self, candles: Candles, borders: list[int]) -> None:
        with pytest.raises(CrpbotError, match="are not 5 rising instants"):
            build(candles, borders=borders)


class TestScaler:
    def test_the_rows_to_learn_from_have_mean_0_and_deviation_1(self, dataset: Dataset) -> None:
        learned = dataset.features[dataset.train.rows[0] - WINDOW + 1 : dataset.train.rows[-1] + 1].astype(np.float64)
        np.testing.assert_allclose(learned.mean(axis=0), 0.0, atol=1e-5)
        np.testing.assert_allclose(learned.std(axis=0), 1.0, atol=1e-4)

    def test_it_knows_nothing_of_what_comes_after_the_training_part(self, candles: Candles, dataset: Dataset) -> None:
        cut = int(dataset.train.rows[-1]) + 1 + WARM_UP + HORIZON
        columns = [getattr(candles, name).copy() for name in COLUMNS]
        for column in columns:
            column[cut:] *= 3.0
        other = build(Candles(candles.symbol, "1m", candles.open_times, *columns))
        np.testing.assert_array_equal(other.scaler.mean, dataset.scaler.mean)
        np.testing.assert_array_equal(other.scaler.scale, dataset.scaler.scale)
        seen = dataset.train.rows[-1] + 1
        for name in ("features", "up", "trend", "move"):
            np.testing.assert_array_equal(getattr(other, name)[:seen], getattr(dataset, name)[:seen])
        assert not np.array_equal(other.features, dataset.features)

    def test_it_is_the_mean_and_the_deviation(self) -> None:
        table = np.random.default_rng(1).normal(50.0, 3.0, (200_000, 4)).astype(np.float32)
        scaler = fit_scaler(table)
        np.testing.assert_allclose(scaler.mean, table.astype(np.float64).mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(scaler.scale, table.astype(np.float64).std(axis=0), rtol=1e-12)

    def test_a_column_that_stands_still_becomes_0(self) -> None:
        table = np.full((70_000, 2), 0.1, dtype=np.float32)
        table[:, 1] = np.arange(70_000)
        assert not fit_scaler(table).apply(table)[:, 0].any()

    def test_a_row_does_not_see_its_batch(self, dataset: Dataset) -> None:
        table = dataset.features * np.float32(7.0)
        whole = dataset.scaler.apply(table)
        for begin, end in ((0, 1), (17, 400), (5_000, 5_003)):
            np.testing.assert_array_equal(dataset.scaler.apply(table[begin:end]), whole[begin:end])


class TestHoles:
    def test_no_window_and_no_label_crosses_a_hole(self, candles: Candles) -> None:
        ends = (0, 3_100, 3_105, 7_777, 8_000, 12_000)  # 3,105 to 7,777 is long, 7,777 to 8,000 is lost to the warm-up
        pieces = [part(candles, begin, end) for begin, end in pairwise(ends)]
        dataset = build([pieces[0], pieces[2], pieces[4]])
        assert len(dataset.open_times) == sum(len(pieces[place]) - WARM_UP for place in (0, 2, 4))
        rows = np.concatenate([each.rows for each in dataset.parts])
        times = dataset.open_times
        closes = dict(zip(candles.open_times.tolist(), candles.close.tolist(), strict=True))
        for row in rows:
            assert times[row] - times[row - WINDOW + 1] == (WINDOW - 1) * MINUTE_MS
            later = closes[int(times[row]) + HORIZON * MINUTE_MS]
            assert dataset.move[row] == np.log(later / dataset.closes[row])
        # each stretch warms up for itself
        np.testing.assert_array_equal(times[: 3_100 - WARM_UP], candles.open_times[WARM_UP:3_100])
        assert times[3_100 - WARM_UP] == candles.open_times[3_105 + WARM_UP]

    def test_a_stretch_within_the_warm_up_gives_no_row(self, candles: Candles) -> None:
        with_crumb = build([part(candles, 0, WARM_UP), part(candles, WARM_UP + 1, 12_000)])
        assert with_crumb.open_times[0] == candles.open_times[2 * WARM_UP + 1]

    def test_stretches_out_of_order_or_of_another_coin_are_refused(self, candles: Candles) -> None:
        early, late = part(candles, 0, 6_000), part(candles, 6_001, 12_000)
        for wrong in ([late, early], [early, early], [early, ask("ETH-USD")]):
            with pytest.raises(CrpbotError, match="does not continue"):
                build(wrong)

    def test_a_part_that_is_one_hole_is_refused_by_name(self, candles: Candles) -> None:
        with pytest.raises(CrpbotError, match=r"the part 'stop', 2025-12-.* holds no 375 candles without a hole"):
            build([part(candles, 0, 8_500), part(candles, 9_100, 12_000)])


class TestShortData:
    def test_the_number_of_candles_missing_is_told(self, candles: Candles) -> None:
        with pytest.raises(CrpbotError, match=r"has 4000 candles of 1m.*need 5000.* 1000 are missing") as refusal:
            build(part(candles, 0, 4_000))
        assert (refusal.value.code, refusal.value.reason) == (Code.INVALID_ARGUMENT, "TOO_FEW_CANDLES")

    def test_that_many_are_enough_and_one_less_is_not(self, candles: Candles) -> None:
        dataset = build(part(candles, 0, NEEDED))
        assert min(len(each.rows) for each in dataset.parts) == 1
        with pytest.raises(CrpbotError, match="1 are missing"):
            build(part(candles, 0, NEEDED - 1))

    @pytest.mark.parametrize("wrong", [{"window": 0}, {"horizon": 0}])
    def test_nothing_to_look_at_is_refused(self, candles: Candles, wrong: dict[str, int]) -> None:
        with pytest.raises(CrpbotError, match="0 is below 1"):
            build(candles, **wrong)

    def test_no_candles_at_all_are_refused(self) -> None:
        with pytest.raises(CrpbotError, match="candles: 0 is below 1"):
            build([])


class TestFile:
    def test_a_mapped_table_is_the_table_in_memory(self, candles: Candles, dataset: Dataset, tmp_path: Path) -> None:
        mapped = build(candles, folder=tmp_path / "new")
        assert isinstance(mapped.features, np.memmap)
        np.testing.assert_array_equal(mapped.features, dataset.features)
        assert mapped.data_hash == dataset.data_hash
        assert [each.suffix for each in (tmp_path / "new").iterdir()] == [".npy"]
        torch.from_numpy(mapped.features)  # without a warning that it cannot be written

    def test_what_is_written_into_it_never_reaches_the_file(self, candles: Candles, tmp_path: Path) -> None:
        mapped = build(candles, folder=tmp_path)
        mapped.features[:] = 0.0
        assert build(candles, folder=tmp_path).features.any()

    def test_a_folder_that_takes_nothing_is_an_error_with_its_remedy(self, candles: Candles, tmp_path: Path) -> None:
        (tmp_path / "full").write_text("not a folder")
        with pytest.raises(CrpbotError, match=r"takes no table of .* bytes.*free space there"):
            build(candles, folder=tmp_path / "full")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
    def test_a_full_disk_leaves_no_half_of_a_table(self, candles: Candles, tmp_path: Path, monkeypatch) -> None:
        open_any = Path.open
        monkeypatch.setattr(Path, "open", lambda self, mode: open_any(Path("/dev/full"), mode))
        with pytest.raises(CrpbotError, match="No space left on device"):
            build(candles, folder=tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_the_hash_is_of_every_candle_and_of_the_market(self, candles: Candles, dataset: Dataset) -> None:
        assert build(candles).data_hash == dataset.data_hash
        volume = candles.volume.copy()
        volume[-1] += 0.0001
        other = Candles("BTC-USD", "1m", candles.open_times, *(getattr(candles, name) for name in COLUMNS[:4]), volume)
        hashes = {dataset.data_hash, build(other).data_hash, build(candles, origin="synthetic-7").data_hash}
        assert len(hashes) == 3


def test_the_example_of_the_document_runs() -> None:
    (example,) = code_blocks("docs/dataset.md", "python")
    exec(example, {})


class TestSeveralCoins:
    def test_every_window_stays_within_its_coin(self, coins: list[Dataset]) -> None:
        whole = join(coins)
        assert (whole.symbol, whole.symbols) == ("multi", ("BTC-USD", "DOGE-USD", "ETH-USD"))
        table = torch.from_numpy(whole.features)
        for place, each in enumerate(whole.parts):
            begin = 0
            for coin, (first, last) in zip(coins, pairwise(whole.starts), strict=True):
                own = coin.parts[place]
                rows = each.rows[begin : begin + len(own.rows)]
                begin += len(own.rows)
                assert first + WINDOW - 1 <= rows[0]
                assert rows[-1] < last
                np.testing.assert_array_equal(rows - first, own.rows)
                np.testing.assert_array_equal(whole.move[rows], coin.move[own.rows])
                found = gather(table, torch.from_numpy(rows[[0, -1]]), WINDOW)
                alone = gather(torch.from_numpy(coin.features), torch.from_numpy(own.rows[[0, -1]]), WINDOW)
                assert torch.equal(found, alone)
            assert begin == len(each.rows)

    def test_each_keeps_its_scaler(self, coins: list[Dataset]) -> None:
        whole = join(coins)
        assert whole.scaler.mean.shape == (3, len(FEATURES))
        for place, coin in enumerate(coins):
            np.testing.assert_array_equal(whole.scaler.coin(place).mean, coin.scaler.mean)
            np.testing.assert_array_equal(whole.scaler.coin(place).scale, coin.scaler.scale)

    def test_a_joined_table_can_be_mapped_too(self, coins: list[Dataset], tmp_path: Path) -> None:
        mapped = join(coins, folder=tmp_path)
        assert isinstance(mapped.features, np.memmap)
        np.testing.assert_array_equal(mapped.features, join(coins).features)

    def test_coins_of_other_spans_are_refused(self, coins: list[Dataset]) -> None:
        """Coins move together: one coin's past must not be what another is judged on."""
        later = build(ask("ETH-USD", now_ms=NOW_MS + 86_400_000))
        with pytest.raises(CrpbotError, match=r"borders: ETH-USD has .*, BTC-USD has .*; join only what agrees"):
            join([coins[0], later])

    def test_other_windows_are_refused(self, coins: list[Dataset]) -> None:
        with pytest.raises(CrpbotError, match="window: ETH-USD has 30, BTC-USD has 60"):
            join([coins[0], build(ask("ETH-USD"), window=30)])


class TestLeaks:
    def test_no_input_changes_when_the_future_does(self, candles: Candles) -> None:
        assert find_leaks(candles) == ()

    @pytest.mark.parametrize("ahead", [1, 15])
    @pytest.mark.parametrize("name", ["price_sma_7_ratio", "volume_ma", "rsi"])
    def test_a_column_that_is_shown_the_future_is_named(self, candles: Candles, name: str, ahead: int) -> None:
        def describe(stretch: Candles) -> np.ndarray:
            table = compute(stretch)
            column = table[:, FEATURES.index(name)]
            column[:-ahead] = column[ahead:].copy()
            return table

        assert find_leaks(candles, describe) == (name,)

    def test_a_scale_over_all_candles_is_a_leak_of_every_column_that_moves(self, candles: Candles) -> None:
        def describe(stretch: Candles) -> np.ndarray:
            table = compute(stretch)
            return fit_scaler(table).apply(table)

        assert {"volume_ma", "atr", "sma_7", "rsi"} <= set(find_leaks(candles, describe))

    @pytest.mark.parametrize("ahead", [1, 15])
    def test_no_data_set_is_made_of_an_input_that_knows_the_future(
        self, candles: Candles, monkeypatch: pytest.MonkeyPatch, ahead: int
    ) -> None:
        def describe(stretch: Candles) -> np.ndarray:
            table = compute(stretch)
            column = table[:, FEATURES.index("rsi")]
            column[:-ahead] = column[ahead:].copy()
            return table

        monkeypatch.setattr(dataset_module, "compute", describe)
        with pytest.raises(CrpbotError, match=r"inputs of BTC-USD change when only later candles do: rsi\. "):
            build(candles)

    def test_whether_leaks_were_looked_for_is_seen_by_the_rows(self, candles: Candles) -> None:
        times = candles.open_times[:300]
        assert can_be_searched(times, MINUTE_MS)
        assert not can_be_searched(times[:299], MINUTE_MS)
        holed = np.concatenate([times[:200], times[200:] + MINUTE_MS])
        assert not can_be_searched(holed, MINUTE_MS)
        assert can_be_searched(np.concatenate([holed, candles.open_times[1_000:1_300]]), MINUTE_MS)

    def test_too_few_candles_to_look_for_leaks_are_refused(self, candles: Candles) -> None:
        with pytest.raises(CrpbotError, match="599 are too few to look for leaks, 600 are needed"):
            find_leaks(part(candles, 0, 599))
