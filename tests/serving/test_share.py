"""Large requests are shared out among replicas, and their answers put together again in order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.analysis import Findings, Missing
from core.market import Windows
from serving.share import bring_together, share_out


def batch(name: str, rows: int) -> Windows:
    block = np.arange(5.0 * rows * 2).reshape(5, rows, 2)
    return Windows(tuple(f"{name}{row}" for row in range(rows)), "5m", np.zeros((rows, 2), np.int64), block)


def named(symbol: str) -> Findings:
    return Findings((), (Missing(symbol, "", ""),))


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4), replicas=st.integers(1, 5))
def test_every_row_comes_back_in_its_place(sizes: list[int], replicas: int) -> None:
    batches = [batch("abcd"[position], size) for position, size in enumerate(sizes)]
    shares = share_out(batches, replicas)
    assert 1 <= len(shares) <= replicas
    assert all(len(piece.windows) for share in shares for piece in share)
    answers = [[[named(symbol) for symbol in piece.windows.symbols] for piece in share] for share in shares]
    expected = [[named(symbol) for symbol in each.symbols] for each in batches]
    assert bring_together(len(batches), shares, answers) == expected


@pytest.mark.parametrize(
    ("rows", "replicas", "sizes"),
    [(1, 2, [1]), (3, 2, [3]), (4, 2, [2, 2]), (10, 2, [5, 5]), (10, 3, [3, 3, 4]), (10, 1, [10]), (64, 4, [16] * 4)],
)
def test_shares_are_about_equal_and_a_small_request_is_left_whole(rows: int, replicas: int, sizes: list[int]) -> None:
    shares = share_out([batch("a", rows)], replicas)
    assert [sum(len(piece.windows) for piece in share) for share in shares] == sizes


def test_a_share_holds_the_candles_of_its_rows() -> None:
    whole = batch("a", 5)
    pieces = [piece for share in share_out([whole], 2) for piece in share]
    np.testing.assert_array_equal(np.concatenate([piece.windows.block for piece in pieces], axis=1), whole.block)
