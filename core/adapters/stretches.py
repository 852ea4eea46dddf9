"""Stretches of time: joined, taken from one another, cut. In milliseconds since 1970 (UTC), the end excluded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from core.market import Instants


class Stretch(NamedTuple):
    """From `begin` to just before `end`."""

    begin: int
    end: int


def join_stretches(stretches: Iterable[Stretch], *, bridge: int = 0) -> tuple[Stretch, ...]:
    """The same time as few stretches as possible, oldest first; what lies at most `bridge` apart becomes one.

    >>> join_stretches([Stretch(5, 7), Stretch(0, 2), Stretch(2, 4)])
    (Stretch(begin=0, end=4), Stretch(begin=5, end=7))
    >>> join_stretches([Stretch(5, 7), Stretch(0, 4)], bridge=1)
    (Stretch(begin=0, end=7),)
    """
    joined: list[Stretch] = []
    for stretch in sorted(stretch for stretch in stretches if stretch.begin < stretch.end):
        if joined and stretch.begin <= joined[-1].end + bridge:
            joined[-1] = Stretch(joined[-1].begin, max(joined[-1].end, stretch.end))
        else:
            joined.append(stretch)
    return tuple(joined)


def subtract_stretches(whole: Iterable[Stretch], taken: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """What of `whole` does not lie in `taken`.

    >>> subtract_stretches([Stretch(0, 10)], [Stretch(2, 4), Stretch(9, 12)])
    (Stretch(begin=0, end=2), Stretch(begin=4, end=9))
    """
    gone = join_stretches(taken)
    left: list[Stretch] = []
    for begin, end in join_stretches(whole):
        at = begin
        for hole in gone:
            if hole.end > at and hole.begin < end:
                left.append(Stretch(at, hole.begin))
                at = hole.end
        left.append(Stretch(at, end))
    return join_stretches(left)


def cut_stretches(stretches: Iterable[Stretch], size: int) -> list[Stretch]:
    """Pieces that begin and end on multiples of `size`, the outermost ones excepted.

    >>> cut_stretches([Stretch(7, 21)], 10)
    [Stretch(begin=7, end=10), Stretch(begin=10, end=20), Stretch(begin=20, end=21)]
    """
    return [
        Stretch(max(begin, edge), min(end, edge + size))
        for begin, end in stretches
        for edge in range(begin // size * size, end, size)
    ]


def find_holes(times: Instants, covered: Iterable[Stretch], step: int) -> Instants:
    """(H, 2) begin and end of every run of candles that `covered` has and `times`, sorted, has not.

    >>> find_holes(np.array([0, 20, 30]), [Stretch(0, 60)], 10).tolist()
    [[10, 20], [40, 60]]
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    for begin, end in covered:
        inside = times[slice(*np.searchsorted(times, (begin, end)))]
        ends = np.append(inside, end)
        begins = np.insert(inside + step, 0, begin)
        holes = begins < ends
        found.append(np.column_stack((begins[holes], ends[holes])))
    return np.concatenate(found)


def touches(one: Stretch, other: Stretch) -> bool:
    """Whether they overlap or follow one another without a gap."""
    return one.begin <= other.end and other.begin <= one.end
