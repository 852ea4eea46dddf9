"""Which value each step of a resample took, and how far out the ends of an interval lie."""

from __future__ import annotations

import numpy as np
import pytest

from core.performance.bootstrap import draw_paths, draw_places, percentile_interval

VALUES = np.cumsum(np.random.default_rng(1).standard_normal(40))


def test_places_and_paths_are_the_same_draws() -> None:
    places = draw_places(VALUES, resamples=50)
    assert places.shape == (50, 40)
    assert (VALUES[places] == draw_paths(VALUES, resamples=50).values).all()


def test_a_shorter_tail_lies_further_out() -> None:
    drawn = np.random.default_rng(2).standard_normal(100_000)
    narrow, wide = (percentile_interval(drawn, 1e6, tail=tail) for tail in (0.05, 0.025))
    assert narrow == pytest.approx((-1.645, 1.645), abs=0.03)
    assert wide == pytest.approx((-1.960, 1.960), abs=0.03)
    assert percentile_interval(drawn, 1e6) == wide
