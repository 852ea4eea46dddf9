"""The ensemble's lines: fitted on what no model learned from and none is judged on, and good where they were not."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit

from core.ensemble import Forecast, Outlook, combine
from core.errors import CrpbotError
from core.models.calibration import fit_platt, log_odds
from core.models.manifest import Kind, Span, Spans
from core.models.weighting import KINDS, USUAL, Weights
from tests.core.model_cases import make_model, make_network
from tests.training.made_up import make_dataset
from training.dataset import Dataset
from training.ensemble_calibration import FEWEST_APART, Said, fit_lines, hear

AT = datetime(2026, 2, 1, tzinfo=UTC)
BEGIN = 1_700_000_040_000
MINUTE = 60_000
SLOPE, INTERCEPT = 0.5, 0.2
HORIZON = 15


def make_said(*, size: int = 12_000, seed: int = 5, kinds: tuple[str, ...] = KINDS) -> list[Said]:
    """Models that all lean too far: what they say is twice the log odds of what comes, shifted, each with some noise.

    The outcome of a minute is drawn by itself, so every minute counts as one.
    """
    rng = np.random.default_rng(seed)
    odds = rng.normal(scale=2.0, size=size)
    up = rng.random(size) < expit(SLOPE * odds + INTERCEPT)
    times = BEGIN + MINUTE * np.arange(size, dtype=np.int64)
    noise = {kind: 0.05 * rng.standard_normal(size) for kind in KINDS}
    return [Said(kind, f"{kind}-1", "made-up", HORIZON, times, expit(odds + noise[kind]), up) for kind in kinds]


def mean_of(said: list[Said], weights: Weights, places: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float64]:
    """The ensemble's mean, written out."""
    total = sum(weights.of(each.kind) for each in said)
    mean: NDArray[np.float64] = sum(weights.of(each.kind) * each.probability[places] for each in said) / total
    return mean.round(6)


def test_every_set_of_two_and_more_models_has_a_line_for_its_weighted_mean() -> None:
    said = make_said()
    lines, gaps = fit_lines(said, USUAL, at=AT)
    assert gaps == ()
    assert [line.kinds for line in lines] == [
        ("lstm", "transformer"),
        ("lstm", "ppo"),
        ("transformer", "ppo"),
        ("lstm", "transformer", "ppo"),
    ]
    for line in lines:
        chosen = [each for each in said if each.kind in line.kinds]
        wanted = fit_platt(log_odds(mean_of(chosen, USUAL)), chosen[0].up)
        assert (line.slope, line.intercept) == pytest.approx(wanted, abs=1e-6)
        assert (line.slope, line.intercept) == pytest.approx((SLOPE, INTERCEPT), abs=0.06), "the truth that was planted"
        assert line.versions == tuple(f"{kind}-1" for kind in line.kinds)
        assert (line.windows, line.origin, line.at, line.weights) == (12_000, "made-up", AT, USUAL)


def test_a_line_makes_true_what_was_said_where_it_was_not_fitted() -> None:
    for line in fit_lines(make_said(size=40_000), USUAL, at=AT)[0]:
        before, after = line.before, line.after
        assert after.brier.n == before.brier.n == after.error.n > 2 * FEWEST_APART
        for measured in (*before, *after):
            assert measured.value is not None
            assert measured.low is not None
            assert measured.high is not None
            assert measured.low <= measured.value <= measured.high
        assert before.error.low > 0.05, "twice too sure"
        assert after.error.low == 0.0
        assert after.brier.value < before.brier.value


def test_the_ensemble_says_with_a_line_what_came() -> None:
    """From the line of the calibration to the answer of a served ensemble."""
    (line,) = fit_lines(make_said(size=40_000, kinds=("lstm", "ppo")), USUAL, at=AT)[0]
    said = {"lstm": 0.9, "ppo": 0.9}
    forecasts = tuple(
        Forecast(kind, f"{kind}-1" if kind in said else "", said.get(kind), None, None if kind in said else "none")
        for kind in KINDS
    )
    found = combine(Outlook(AT, HORIZON, forecasts, USUAL, line.line))
    assert found.calibrated
    assert found.raw == pytest.approx(0.9)
    assert found.probability == pytest.approx(float(expit(SLOPE * np.log(9.0) + INTERCEPT)), abs=0.015)


def test_only_minutes_that_all_slices_have_count() -> None:
    first, _, third = make_said()
    shifted = third._replace(
        open_times=third.open_times[3_000:], probability=third.probability[3_000:], up=third.up[3_000:]
    )
    early = first._replace(
        open_times=first.open_times[:11_000], probability=first.probability[:11_000], up=first.up[:11_000]
    )
    (line,), gaps = fit_lines([early, shifted], USUAL, at=AT)
    assert (line.windows, gaps) == (8_000, ())
    assert line.first == datetime.fromtimestamp(first.open_times[3_000] / 1_000, UTC)
    assert line.last == datetime.fromtimestamp(first.open_times[10_999] / 1_000, UTC)
    outside = early.up.copy()
    outside[:3_000] = ~outside[:3_000]
    assert fit_lines([early._replace(up=outside), shifted], USUAL, at=AT)[0] == (line,)


def test_slices_that_share_too_little_give_no_line_and_say_so() -> None:
    first, second, third = make_said(size=6_000)
    late = third._replace(open_times=third.open_times + MINUTE * 6_000)
    lines, gaps = fit_lines([first, second, late], USUAL, at=AT)
    assert [line.kinds for line in lines] == [("lstm", "transformer")]
    assert [gap.kinds for gap in gaps] == [("lstm", "ppo"), ("transformer", "ppo"), ("lstm", "transformer", "ppo")]
    assert f"share 0 windows apart, {FEWEST_APART} are needed" in gaps[0].why
    assert "lstm-1: 2023-11-14 22:14 to 2023-11-19 02:13" in gaps[0].why
    assert "with the same --days" in gaps[0].why
    enough = HORIZON * (FEWEST_APART - 1) + 1
    for size, count in ((enough, 1), (enough - 1, 0)):
        assert len(fit_lines(make_said(size=size, kinds=("lstm", "ppo")), USUAL, at=AT)[0]) == count


def test_a_market_that_only_rose_gives_no_line() -> None:
    rising = [each._replace(up=np.ones(len(each.up), dtype=bool)) for each in make_said(kinds=("lstm", "ppo"))]
    lines, (gap,) = fit_lines(rising, USUAL, at=AT)
    assert lines == ()
    assert "only rose" in gap.why


def test_models_of_other_minutes_or_of_another_market_have_no_common_line() -> None:
    first, second = make_said(kinds=("lstm", "ppo"))
    for other in (second._replace(horizon=5), second._replace(origin="coinbase")):
        lines, (gap,) = fit_lines([first, other], USUAL, at=AT)
        assert lines == ()
        assert f"speaks of {other.horizon} minutes of {other.origin}, lstm-1 of 15 of made-up" in gap.why
    flipped = second.up.copy()
    flipped[77] = not flipped[77]
    with pytest.raises(CrpbotError, match="were heard on other candles of the same minutes"):
        fit_lines([first, second._replace(up=flipped)], USUAL, at=AT)


def test_a_model_without_weight_has_no_part_in_any_line() -> None:
    lines, gaps = fit_lines(make_said(), Weights(0.5, 0.5, 0.0), at=AT)
    assert [line.kinds for line in lines] == [("lstm", "transformer")]
    assert gaps == ()
    assert fit_lines(make_said(kinds=("lstm",)), USUAL, at=AT) == ((), ())


def test_models_that_know_nothing_are_calibrated_to_say_so() -> None:
    rng = np.random.default_rng(1)
    said = [each._replace(up=rng.permutation(each.up)) for each in make_said(kinds=("lstm",))]
    second = make_said(kinds=("ppo",))[0]._replace(up=said[0].up)
    (line,), _ = fit_lines([*said, second], USUAL, at=AT)
    assert line.slope < 0.05
    assert line.after.brier.value < line.before.brier.value
    assert line.after.brier.value == pytest.approx(0.25, abs=0.01)


def test_a_line_that_is_no_better_than_none_where_it_was_not_fitted_is_a_gap_with_its_numbers() -> None:
    """Models that hardly lean, of an outcome that nothing tells: what a line finds there is chance."""
    found = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        up = rng.random(12_000) < 0.5
        times = BEGIN + MINUTE * np.arange(12_000, dtype=np.int64)
        chances = [(0.5 + 0.001 * rng.standard_normal(12_000)).round(6) for _ in range(2)]
        kinds = ("lstm", "ppo")
        said = [Said(each, f"{each}-1", "x", HORIZON, times, p, up) for each, p in zip(kinds, chances, strict=True)]
        lines, gaps = fit_lines(said, USUAL, at=AT)
        assert len(lines) + len(gaps) == 1
        assert all(line.after.brier.value < line.before.brier.value for line in lines)
        found += [gap.why for gap in gaps]
    assert found, "chance rarely helps six times of six"
    for why in found:
        told = re.search(r"Brier score ([\d.]+) against ([\d.]+), of ([\d,]+) windows", why)
        assert told is not None
        assert float(told[1]) > float(told[2])


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return make_dataset(size=4_000, window=60)


def heard(dataset: Dataset, **spans: Span) -> Said:
    parts = {part.name: Span(part.first, part.last) for part in dataset.parts}
    manifest, _ = make_model(Kind.LSTM, spans=Spans(**{**parts, **spans}))
    with torch.inference_mode():
        return hear(make_network(Kind.LSTM), manifest, dataset)


def same(one: Said, other: Said) -> bool:
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_a_model_is_heard_on_its_calibration_slice_and_nowhere_else(dataset: Dataset) -> None:
    said = heard(dataset)
    rows = dataset.calibrate.rows
    assert np.array_equal(said.open_times, dataset.open_times[rows])
    assert np.array_equal(said.up, dataset.up[rows] > 0.5)
    assert ((said.probability > 0.0) & (said.probability < 1.0)).all()


@pytest.mark.parametrize("part", ["train", "stop", "test"])
def test_what_a_model_learned_from_and_what_it_is_judged_on_moves_nothing(part: str, dataset: Dataset) -> None:
    """Other outcomes and, behind the slice, other inputs: the same words and the same line."""
    rows = getattr(dataset, part).rows
    up, features = dataset.up.copy(), dataset.features.copy()
    up[rows] = 1.0 - up[rows]
    if part == "test":
        features[rows] += 5.0
    assert same(heard(dataset), heard(replace(dataset, up=up, features=features)))
    own = dataset.up.copy()
    own[dataset.calibrate.rows] = 1.0 - own[dataset.calibrate.rows]
    assert not same(heard(dataset), heard(replace(dataset, up=own)))


def test_what_the_manifest_does_not_call_calibration_is_not_heard(dataset: Dataset) -> None:
    """Another version of this code may cut the parts elsewhere: the manifest says what the model has seen."""
    span = Span(dataset.calibrate.first, dataset.calibrate.first + timedelta(minutes=30))
    assert len(heard(dataset, calibrate=span).up) == 31
    manifest, _ = make_model(
        Kind.LSTM, spans=Spans(Span(AT, AT), None, None, Span(AT + timedelta(1), AT + timedelta(2)))
    )
    assert len(hear(make_network(Kind.LSTM), manifest, dataset).up) == 0
