"""The entropies against published values, closed forms and antropy."""

from __future__ import annotations

import itertools
import math

import antropy
import numpy as np
import pytest
import scipy.stats

from core.analyzers import discover, evaluate, shannon_entropy
from core.analyzers.shannon_entropy import PATTERN_CUMULANTS, analyze, count_entropy, grassberger_weights, read
from tests.accuracy.simulators import autoregression, windows_of


def normal(seed, rows, size):
    return np.random.default_rng(seed).standard_normal((rows, size))


def test_the_example_of_bandt_and_pompe_is_reproduced():
    # Phys. Rev. Lett. 88, 174102: order 3 of 4 7 9 10 6 11 3 is 1.522 bits, from three orders in five triples.
    found = analyze(windows_of(np.array([[4.0, 7.0, 9.0, 10.0, 6.0, 11.0, 3.0]])))["entropy"][0]
    exact = -(2 * 0.4 * math.log(0.4) + 0.2 * math.log(0.2))
    assert exact / math.log(2.0) == pytest.approx(1.522, abs=5e-4)
    # Three of six orders in five triples, and so few triples that chance explains them: c = 5.3 x 2/5.
    assert found == pytest.approx((exact + 5.3 * 2 / 5 / (2 * 5)) / math.log(6.0), abs=1e-12)


@pytest.mark.parametrize("size", [700, 1000, 1999])
def test_permutation_entropy_is_antropys_with_the_correction_for_overlapping_orders(size):
    returns = autoregression(np.random.default_rng(3), 20, size, 0.8)
    found = analyze(windows_of(returns))["entropy"]
    correction = 3.4 / (2 * (size - 2)) / math.log(6.0)
    expected = [antropy.perm_entropy(row, order=3, normalize=True) + correction for row in returns]
    assert max(expected) < 1.0 - 16 / (2 * (size - 2)) / math.log(6.0), "none may be near the cut at 1"
    np.testing.assert_allclose(found, expected, atol=1e-12)


def order_of(values):
    return sorted(itertools.permutations(range(3))).index(tuple(np.argsort(values)))


def test_the_law_under_chance_is_that_of_overlapping_orders():
    # Every order of three, four and five independent values is equally likely: count which pairs of triples they hold.
    covariance = np.eye(6) / 6 - 1 / 36
    for shift in (1, 2):
        ranks = list(itertools.permutations(range(3 + shift)))
        joint = np.zeros((6, 6))
        for values in ranks:
            joint[order_of(values[:3]), order_of(values[shift : shift + 3])] += 1 / len(ranks)
        covariance += joint - 1 / 36 + (joint - 1 / 36).T
    weights = np.linalg.eigvalsh(6 * covariance)
    cumulants = [weights.sum(), 2 * (weights**2).sum(), 8 * (weights**3).sum()]
    np.testing.assert_allclose(PATTERN_CUMULANTS, cumulants, rtol=1e-9)


def test_grassbergers_weights_follow_his_recursion():
    # arXiv physics/0307138: G(1) = -gamma - ln 2, G(2) = 2 + G(1), then pairs with steps of 2/(2n+1).
    weights = grassberger_weights(50)
    assert weights[1] == pytest.approx(-np.euler_gamma - math.log(2.0), abs=1e-12)
    assert weights[2] == pytest.approx(2.0 + weights[1], abs=1e-12)
    for half in range(1, 24):
        assert weights[2 * half + 1] == pytest.approx(weights[2 * half], abs=1e-12)
        assert weights[2 * half + 2] == pytest.approx(weights[2 * half] + 2 / (2 * half + 1), abs=1e-12)


def test_counted_entropy_of_many_observations_is_the_plain_one():
    counts = np.array([500_000, 300_000, 200_000, 0])
    expected = scipy.stats.entropy(counts)
    assert count_entropy(counts, grassberger_weights(1_000_000)) == pytest.approx(expected, abs=1e-5)


def test_histogram_entropy_of_a_normal_law_is_that_of_its_bins():
    edges = np.concatenate([[-np.inf], 0.5 * np.arange(-7, 8), [np.inf]])
    expected = scipy.stats.entropy(np.diff(scipy.stats.norm.cdf(edges))) / math.log(16)
    quantiles = scipy.stats.norm.ppf((np.arange(5_000) + 0.5) / 5_000)
    found = analyze(windows_of(np.random.default_rng(4).permutation(quantiles)[None, :]))["histogram_entropy"][0]
    assert found == pytest.approx(expected, abs=0.002)
    assert expected == pytest.approx(0.76, abs=0.01), "as the module says"


def test_directions_that_alternate_carry_no_uncertainty():
    returns = np.abs(normal(5, 1, 499)) * np.where(np.arange(499) % 2, 1.0, -1.0)
    columns = analyze(windows_of(returns))
    assert columns["sign_entropy"][0] == pytest.approx(0.0, abs=1e-3)
    assert columns["sign_p_value"][0] < 1e-50


def test_unchanged_closes_have_no_direction():
    returns = normal(6, 1, 400)
    with_pauses = np.insert(returns, np.arange(0, 400, 5), 0.0, axis=1)
    assert analyze(windows_of(with_pauses))["sign_entropy"] == analyze(windows_of(returns))["sign_entropy"]


def test_too_few_directions_give_no_sign_entropy():
    returns = np.zeros((1, 499))
    returns[0, ::9] = normal(7, 1, 499)[0, ::9]
    columns = analyze(windows_of(returns))
    assert np.isnan(columns["sign_entropy"][0])
    assert np.isnan(columns["histogram_entropy"][0]), "more than half of the returns are equal"
    assert 0.0 <= columns["entropy"][0] <= 1.0


def test_equal_returns_share_their_weight_and_feign_no_order():
    on_coarse_ticks = np.round(2.0 * normal(8, 200, 499)) / 2.0
    closes = windows_of(on_coarse_ticks)
    # Returns of this size differ by rounding only unless they are made equal again.
    exact = np.round(closes.log_returns(), 12)
    share = (analyze(closes)["p_value"] < 0.05).mean()
    taken_as_they_come = np.mean([antropy.perm_entropy(row, order=3, normalize=True) for row in exact])
    assert share <= 0.075
    assert analyze(closes)["entropy"].mean() > taken_as_they_come + 0.005


def test_a_straight_line_is_wholly_ordered():
    closes = windows_of(np.linspace(2.0, 1.0, 499)[None, :])
    (reading,) = evaluate(discover()["shannon_entropy"], closes)
    assert reading.values["entropy"] == pytest.approx(0.0, abs=1e-12)
    assert reading.words.startswith("Low entropy")


def test_moves_of_one_size_are_a_problem_not_a_number():
    for step in (0.0, 1.0):
        (reading,) = evaluate(discover()["shannon_entropy"], windows_of(np.full((1, 499), step)))
        assert reading.problem == shannon_entropy.UNDEFINED


@pytest.mark.parametrize(
    ("chance", "start"),
    [(0.001, "Low entropy, tradable trend"), (0.02, "Mixed"), (0.4, "High entropy, random, stay out")],
)
def test_the_words_follow_the_chance_and_the_vote_is_always_zero(chance, start):
    opinion = read({"entropy": 0.98, "p_value": chance, "sign_entropy": 0.99, "sign_p_value": 0.9})
    assert opinion.vote == 0.0
    assert opinion.words.startswith(start)


def test_either_test_alone_may_find_the_order():
    opinion = read({"entropy": 1.0, "p_value": 0.9, "sign_entropy": 0.8, "sign_p_value": 1e-6})
    assert opinion.words.startswith("Low entropy")
