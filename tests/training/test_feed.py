"""Every window comes when it should, to the worker that it should, and is what the table says."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from core.errors import CrpbotError
from core.features import FEATURES
from core.models.lstm import Config, Lstm
from tests.training.made_up import WINDOW, make_dataset
from training.feed import Feed, resident, score
from training.runs import Here, Job


class Order(NamedTuple):
    batch: int = 8
    stride: int = 5
    seed: int = 1
    level_noise: float = 0.0


USUAL = Order()


class Place(Here):
    """A place in a group that does not exist."""

    def __init__(self, rank: int, workers: int) -> None:
        super().__init__(Job("none", "", Path()), torch.device("cpu"))
        self.rank, self.workers = rank, workers  # type: ignore[misc]


def feed(order: Order = USUAL, *, rank: int = 0, workers: int = 1) -> Feed:
    dataset = make_dataset()
    return Feed(dataset, dataset.up, order, Place(rank, workers))


def epoch(each: Feed, number: int) -> np.ndarray:
    return torch.cat([each.batch(number, step).rows for step in range(each.steps)]).numpy()


def test_an_epoch_takes_every_fifth_window_and_five_epochs_take_all() -> None:
    order, train = Order(), make_dataset().train.rows
    mine = feed(order)
    seen = [epoch(mine, number) for number in range(5)]
    for number, rows in enumerate(seen):
        assert len(set(rows)) == len(rows) == mine.steps * order.batch
        assert set(rows) <= set(train[number :: order.stride])
    left = len(train) - sum(map(len, seen))
    assert 0 <= left < order.stride * order.batch, "only the last batch of an epoch, where it is incomplete, is left"


def test_an_order_comes_from_seed_and_epoch_alone() -> None:
    first, second = feed(), feed()
    np.testing.assert_array_equal(epoch(first, 3), epoch(second, 3))
    assert not np.array_equal(epoch(first, 0), epoch(feed(Order(seed=2)), 0))
    assert not np.array_equal(np.sort(epoch(first, 0)), np.sort(epoch(first, 1)))


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_each_batch(workers: int) -> None:
    whole = feed()
    shares = [feed(rank=rank, workers=workers) for rank in range(workers)]
    for step in (0, whole.steps - 1):
        together = torch.cat([each.batch(2, step).rows for each in shares])
        assert sorted(together.tolist()) == sorted(whole.batch(2, step).rows.tolist())
        assert len(shares[0].batch(2, step).rows) == Order().batch // workers


def test_a_window_ends_with_its_row() -> None:
    dataset, mine = make_dataset(), feed()
    batch = mine.batch(0, 0)
    for row, window in zip(batch.rows.tolist(), mine.windows(batch), strict=True):
        np.testing.assert_array_equal(window.numpy(), dataset.features[row - WINDOW + 1 : row + 1])
        assert mine.labels[row] == dataset.up[row]


def test_noise_moves_the_prices_of_a_window_together_and_nothing_else() -> None:
    dataset, mine = make_dataset(), feed(Order(level_noise=3.0))
    batch = mine.batch(0, 0)
    is_level = np.array([name.startswith("sma_") or name in ("bb_high", "bb_low") for name in FEATURES])
    for row, shift, window in zip(batch.rows.tolist(), batch.shifts.numpy(), mine.windows(batch).numpy(), strict=True):
        moved = window - dataset.features[row - WINDOW + 1 : row + 1]
        np.testing.assert_allclose(moved[:, is_level], shift, rtol=0, atol=1e-5)
        assert not moved[:, ~is_level].any()
    assert 1.0 < np.std([mine.batch(0, step).shifts.numpy() for step in range(20)]) / 2.0 < 2.0


def test_workers_share_the_noise_of_each_batch() -> None:
    noisy = Order(level_noise=3.0)
    whole = feed(noisy).batch(1, 4).shifts
    shares = [feed(noisy, rank=rank, workers=2).batch(1, 4).shifts for rank in range(2)]
    assert sorted(torch.cat(shares).tolist()) == sorted(whole.tolist())


def test_the_table_is_not_copied_on_a_processor() -> None:
    dataset = make_dataset()
    assert resident(dataset.features, torch.device("cpu")).data_ptr() == dataset.features.ctypes.data


def test_a_read_only_table_is_taken_without_a_warning() -> None:
    table = make_dataset().features
    table.setflags(write=False)
    assert resident(table, torch.device("cpu")).shape == table.shape


def test_a_batch_that_workers_cannot_share_is_refused() -> None:
    with pytest.raises(CrpbotError, match="8 windows cannot be shared by 3 workers"):
        feed(workers=3)


def test_too_few_windows_are_refused_with_how_many_are_needed() -> None:
    with pytest.raises(CrpbotError, match=r"2,790 windows to learn from.*needs 4,000"):
        feed(Order(batch=800))


def test_a_score_does_not_see_the_others() -> None:
    torch.manual_seed(0)
    network, dataset = Lstm(Config(hidden=8, head=8)), make_dataset()
    table = resident(dataset.features, torch.device("cpu"))
    rows = dataset.test.rows
    many = score(network, table, np.tile(rows, 3), WINDOW)
    alone = torch.cat([score(network, table, rows[place : place + 1], WINDOW) for place in (0, 7)])
    torch.testing.assert_close(many[[0, 7]], alone, rtol=0, atol=1e-5)
    assert many.shape == (3 * len(rows),)
