"""One large request shared out among the replicas of a group, so that they work on it side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from core.analysis import Findings
from core.market import Windows

ROWS_A_SHARE: Final = 2  # a second call costs about as much as the cheapest theories on one window


class Piece(NamedTuple):
    """Some rows of one batch, and which batch it was."""

    batch: int
    windows: Windows


def share_out(batches: Sequence[Windows], replicas: int) -> list[list[Piece]]:
    """The batches cut into at most so many shares of about equal numbers of windows, in order."""
    rows = sum(len(batch) for batch in batches)
    shares = max(1, min(replicas, rows // ROWS_A_SHARE))
    if shares == 1:
        return [[Piece(position, batch) for position, batch in enumerate(batches)]]
    edges = [rows * share // shares for share in range(shares + 1)]
    return [_cut(batches, start, stop) for start, stop in pairwise(edges)]


def bring_together(
    batches: int, shares: Sequence[Sequence[Piece]], answers: Sequence[Sequence[Sequence[Findings]]]
) -> list[list[Findings]]:
    """The answers to the shares as one answer to the request, batch by batch."""
    found: list[list[Findings]] = [[] for _ in range(batches)]
    for share, answer in zip(shares, answers, strict=True):
        for piece, rows in zip(share, answer, strict=True):
            found[piece.batch].extend(rows)
    return found


def _cut(batches: Sequence[Windows], start: int, stop: int) -> list[Piece]:
    """The rows from start to stop, counted over all batches."""
    pieces = []
    first = 0
    for position, batch in enumerate(batches):
        low, high = max(start - first, 0), min(stop - first, len(batch))
        if low < high:
            pieces.append(Piece(position, batch.rows(slice(low, high))))
        first += len(batch)
    return pieces
