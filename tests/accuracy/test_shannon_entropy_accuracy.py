"""Entropies against closed forms and simulated laws; antropy and SciPy on the same series."""

from __future__ import annotations

import antropy
import numpy as np
import pytest
import scipy.stats
from scipy.special import xlogy

from core.analyzers import discover, evaluate
from core.analyzers.shannon_entropy import count_entropy, grassberger_weights
from tests.accuracy.simulators import (
    autoregression,
    clustered_noise,
    counted_law,
    random_walks,
    sign_chain,
    windows_of,
)

THEORY = "shannon_entropy"


def pattern_entropy(echo: float) -> float:
    """Closed form for order 3 of an autoregression (Bandt and Shiha 2007): the two monotone orders, the other four."""
    monotone = 0.25 + np.arcsin(-(1.0 - echo) / 2.0) / (2.0 * np.pi)
    other = (1.0 - 2.0 * monotone) / 4.0
    return float(-(2.0 * xlogy(monotone, monotone) + 4.0 * xlogy(other, other)) / np.log(6.0))


@pytest.mark.parametrize("size", [250, 500, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("echo", [-0.5, 0.0, 0.3, 0.6])
def test_permutation_entropy_is_nearly_unbiased(echo, size, rng, count, measure, score):
    returns = autoregression(rng, 4 * count, size, echo)
    found = measure(THEORY, returns)["entropy"]
    few = returns[: count // 2]
    theirs = [antropy.perm_entropy(row, order=3, normalize=True) for row in few]
    bias = found.mean() - pattern_entropy(echo)
    # On the same windows both err alike: their difference is known far better than the error of either.
    library = abs(bias + np.mean(theirs - found[: len(few)]))
    ours = abs(bias)
    noise = found.std() / np.sqrt(len(found))
    times = 5.0 if echo == 0.0 else 2.0
    score(
        f"entropy: permutation bias, AR({echo}), n={size}",
        goal=f"<= {0.6 / size:.5f} and antropy / {times:.0f}",
        library=f"antropy {library:.5f}",
        ours=f"{ours:.5f}",
    )
    assert ours <= 0.6 / size
    assert ours <= library / times + 2.0 * noise


@pytest.mark.parametrize("kinds", [8, 16, 32])
@pytest.mark.parametrize("law", ["uniform", "zipf", "geometric"])
def test_counted_entropy_is_nearly_unbiased(law, kinds, rng, count, score):
    shares = counted_law(law, kinds)
    tables = rng.multinomial(500, shares, size=10 * count)
    truth = float(-xlogy(shares, shares).sum())
    weights = grassberger_weights(500)
    ours = abs(np.mean([count_entropy(table, weights) for table in tables]) - truth) / np.log(kinds)
    library = abs(scipy.stats.entropy(tables, axis=1).mean() - truth) / np.log(kinds)
    score(
        f"entropy: counts, {law} law, K={kinds}, n=500",
        goal="<= 0.00200 and scipy / 5",
        library=f"scipy {library:.5f}",
        ours=f"{ours:.5f}",
    )
    assert ours <= 0.002
    assert ours <= library / 5.0


@pytest.mark.parametrize("stay", [0.5, 0.6, 0.75, 0.9])
def test_sign_entropy_finds_the_rate_of_a_markov_chain(stay, rng, count, measure, score):
    truth = scipy.stats.entropy([stay, 1.0 - stay], base=2)
    errors = measure(THEORY, sign_chain(rng, count, 500, stay))["sign_entropy"] - truth
    bias, spread = abs(errors.mean()), np.sqrt((errors**2).mean())
    score(
        f"entropy: sign rate, stay {stay}, n=500",
        goal="bias <= 0.005, rmse <= 0.050",
        ours=f"{bias:.4f}, {spread:.4f}",
    )
    assert bias <= 0.005
    assert spread <= 0.050


@pytest.mark.parametrize("field", ["p_value", "sign_p_value"])
def test_p_values_hold_their_level_on_random_walks(field, rng, count, measure, score):
    for name, returns in random_walks(rng, count, 499).items():
        size = (measure(THEORY, returns)[field] < 0.05).mean()
        score(f"entropy: size of {field} at 5 %, {name}", goal="2 to 7.5 %", ours=f"{100 * size:.1f} %")
        assert 0.02 <= size <= 0.075


def test_the_verdict_is_right_on_random_and_on_ordered_windows(rng, count, score):
    analyzer = discover()[THEORY]
    cases = {
        "GARCH-t called ordered": (clustered_noise(rng, count, 499), 0.0, 0.025),
        "AR(0.5) called ordered": (autoregression(rng, count, 499, 0.5), 0.9, 1.0),
        "AR(-0.5) called ordered": (autoregression(rng, count, 499, -0.5), 0.9, 1.0),
    }
    for name, (returns, least, most) in cases.items():
        words = [reading.words for reading in evaluate(analyzer, windows_of(returns))]
        share = np.mean([sentence.startswith("Low entropy") for sentence in words])
        score(f"entropy: {name}", goal=f"{100 * least:.0f} to {100 * most:.1f} %", ours=f"{100 * share:.1f} %")
        assert least <= share <= most
