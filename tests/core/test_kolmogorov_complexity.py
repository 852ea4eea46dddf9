"""Lempel-Ziv complexity against published strings, antropy, tossed coins and the definition written out."""

from __future__ import annotations

import antropy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analyzers import discover, evaluate, kolmogorov_complexity
from core.analyzers.kolmogorov_complexity import (
    COIN_DEVIATION,
    COIN_MEAN,
    COIN_SKEWNESS,
    analyze,
    coin_law,
    count_phrases,
    read,
)
from tests.accuracy.simulators import autoregression, windows_of

# Counts in print: Lempel and Ziv 1976 (the first), Kaspar and Schuster 1987 (zeros, alternation), the documentation of
# antropy and of the implementation by Besson (2016) that it follows (the others).
PUBLISHED = {
    "0001101001000101": 6,  # 0.001.10.100.1000.101
    "0000000000": 2,  # 0.000000000
    "0101010101": 3,  # 0.1.01010101
    "1001111011000010": 6,  # 1.0.01.1110.1100.0010
    "1010101010": 3,
    "1001111011000010000010": 7,
    "100111101100001000001010": 8,
}


def digits(text):
    return np.array([int(symbol) for symbol in text], dtype=np.int64)


def written_out(text):
    """Each phrase is the shortest piece that does not occur earlier, its own start excluded, in Python's own search."""
    count = start = 0
    while start < len(text):
        length = 1
        while start + length <= len(text) and text[start : start + length] in text[: start + length - 1]:
            length += 1
        start += length
        count += 1
    return count


@pytest.mark.parametrize(("text", "phrases"), PUBLISHED.items())
def test_published_strings_have_the_published_count(text, phrases):
    assert count_phrases(digits(text)) == phrases


@settings(max_examples=150, deadline=None, derandomize=True)
@given(text=st.text("01", min_size=1, max_size=300))
def test_any_string_has_the_count_of_the_definition_and_of_antropy(text):
    assert count_phrases(digits(text)) == written_out(text) == antropy.lziv_complexity(text)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(piece=st.text("01", min_size=1, max_size=90), times=st.integers(2, 20), odd=st.integers(0, 10_000))
def test_repeats_longer_than_a_word_are_counted_as_antropy_counts_them(piece, times, odd):
    symbols = digits(piece * times)
    symbols[odd % len(symbols)] ^= 1
    assert count_phrases(symbols) == antropy.lziv_complexity(symbols)


@pytest.mark.parametrize("size", [62, 63, 64, 65, 125, 126, 127, 1999])
def test_strings_around_the_length_of_a_word_are_counted_as_antropy_counts_them(size):
    rng = np.random.default_rng([31, size])
    sparse = (rng.random(size) < 0.02).astype(np.int64)
    for symbols in (np.zeros(size, np.int64), np.ones(size, np.int64), sparse, rng.integers(0, 2, size)):
        assert count_phrases(symbols) == antropy.lziv_complexity(symbols)


@pytest.mark.parametrize("size", [64, 99, 199, 499, 1000, 1999])
def test_the_law_of_the_count_is_that_of_tossed_coins(size):
    tosses = np.random.default_rng([32, size]).integers(0, 2, (6_000, size))
    counts = np.array([count_phrases(row) for row in tosses])
    mean, deviation = coin_law(size, COIN_MEAN, COIN_DEVIATION)
    spread = np.sqrt(deviation**2 + 1.0 / 12.0)
    assert counts.mean() == pytest.approx(mean, abs=4.0 * spread / np.sqrt(len(counts)))
    assert counts.std() == pytest.approx(spread, rel=4.0 / np.sqrt(2.0 * len(counts)))
    skewness = np.mean((counts - counts.mean()) ** 3) / spread**3
    assert skewness == pytest.approx(COIN_SKEWNESS / np.cbrt(size), abs=4.0 * np.sqrt(6.0 / len(counts)))


@pytest.mark.parametrize("size", [99, 499, 1999])
def test_the_chance_is_the_share_of_coins_that_show_as_few_phrases(size):
    returns = np.random.default_rng([33, size]).choice([-1.0, 1.0], (6_000, size))
    returns *= 1.0 + np.random.default_rng(34).random(returns.shape)
    columns = analyze(windows_of(returns))
    found, chance = columns["sign_complexity"], columns["sign_p_value"]
    for value in np.unique(found)[1:]:
        share = np.mean(found <= value)
        expected = chance[found == value][0]
        assert expected == pytest.approx(share, abs=4.0 * np.sqrt(share * (1.0 - share) / len(found)) + 0.003)


def test_the_complexity_is_the_count_of_antropy_over_that_of_coins():
    returns = np.random.default_rng(35).standard_normal((20, 499))
    columns = analyze(windows_of(returns))
    mean, _ = coin_law(499, COIN_MEAN, COIN_DEVIATION)
    split = [antropy.lziv_complexity((row > np.median(row)).astype(int)) for row in returns]
    signs = [antropy.lziv_complexity((row > 0.0).astype(int)) for row in returns]
    np.testing.assert_array_equal(columns["phrases"], split)
    np.testing.assert_array_equal(columns["sign_phrases"], signs)
    np.testing.assert_allclose(columns["complexity"], np.array(split) / mean, rtol=1e-12)
    np.testing.assert_allclose(columns["sign_complexity"], np.array(signs) / mean, rtol=1e-12)


def test_a_drift_changes_the_direction_but_not_the_split_at_the_median():
    returns = np.random.default_rng(36).standard_normal((20, 499))
    still, drifting = analyze(windows_of(returns)), analyze(windows_of(returns + 1.0))
    np.testing.assert_array_equal(drifting["complexity"], still["complexity"])
    assert (drifting["sign_p_value"] < 1e-4).all()


@pytest.mark.parametrize("size", [199, 200])
def test_up_and_down_read_the_same(size):
    returns = np.random.default_rng([37, size]).standard_normal((20, size))
    up, down = analyze(windows_of(returns)), analyze(windows_of(-returns))
    np.testing.assert_array_equal(up["sign_complexity"], down["sign_complexity"])
    # The median itself of an odd number changes sides: one symbol, at most two phrases.
    assert np.abs(up["phrases"] - down["phrases"]).max() <= (2 if size % 2 else 0)


def test_a_rhythm_of_two_sizes_needs_no_lot_and_is_simple():
    for size in (199, 200):
        for first in (1.0, -1.0):
            returns = np.where(np.arange(size) % 2, -first, first)[None, :]
            columns = analyze(windows_of(returns))
            assert columns["drawn_fraction"][0] == 0.0
            assert columns["phrases"][0] == 3
            assert columns["p_value"][0] < 1e-6


def test_coarse_ticks_do_not_feign_a_pattern():
    moves = np.random.default_rng(38).choice([-1.0, 0.0, 1.0], (2_000, 499), p=[0.35, 0.3, 0.35])
    columns = analyze(windows_of(moves))
    assert columns["drawn_fraction"].mean() == pytest.approx(0.15, abs=0.02)
    assert columns["complexity"].mean() == pytest.approx(1.0, abs=0.005)
    for field in ("p_value", "sign_p_value"):
        assert 0.02 < np.mean(columns[field] < 0.05) <= 0.06


def test_a_candle_keeps_its_lot_while_the_window_moves_on():
    moves = np.random.default_rng(39).choice([-1.0, 0.0, 1.0], 560, p=[0.35, 0.3, 0.35])
    closes = windows_of(moves[None, :])
    found = []
    for start in range(60):
        block = np.ascontiguousarray(closes.block[:, :, start : start + 500])
        times = closes.open_times[:, start : start + 500]
        found.append(analyze(type(closes)(closes.symbols, "5m", times, block))["phrases"][0])
    # Other lots would move the count by two deviations of 1.5 from candle to candle; a new candle adds little.
    assert np.abs(np.diff(found)).mean() < 1.0


def reading_of(returns):
    (reading,) = evaluate(discover()["kolmogorov_complexity"], windows_of(returns))
    return reading


def test_the_number_decided_on_is_that_of_up_and_down():
    assert discover()["kolmogorov_complexity"].headline == "sign_complexity"


def test_when_more_than_every_second_move_is_the_same_there_is_no_middle_but_up_and_down():
    rng = np.random.default_rng(40)
    reading = reading_of(np.where(rng.random((1, 499)) < 0.6, 0.0, rng.standard_normal((1, 499))))
    assert reading.values.keys() == {"sign_complexity", "sign_p_value", "sign_phrases", "sample_size"}
    assert reading.values["sample_size"] == pytest.approx(200, abs=40)
    assert "median" not in reading.words


def test_moves_up_only_are_a_simple_pattern():
    for returns in (np.full((1, 499), 1.0), np.abs(np.random.default_rng(43).standard_normal((1, 499)))):
        reading = reading_of(returns)
        assert reading.values["sign_phrases"] == 2
        assert reading.words.startswith("Low complexity of direction: one side prevails or runs repeat")
    assert "complexity" not in reading_of(np.full((1, 499), 1.0)).values


def test_few_changed_closes_are_a_problem_not_a_number():
    returns = np.random.default_rng(41).standard_normal((1, 99))
    assert reading_of(returns).values["sample_size"] == 99
    returns[0, :35] = 0.0
    assert reading_of(returns).values["sample_size"] == 64
    returns[0, 35] = 0.0
    assert reading_of(returns).problem == kolmogorov_complexity.UNDEFINED
    assert reading_of(np.zeros((1, 499))).problem == kolmogorov_complexity.UNDEFINED


def test_an_echo_lowers_both_numbers():
    columns = analyze(windows_of(autoregression(np.random.default_rng(42), 200, 499, 0.8)))
    assert columns["complexity"].mean() < 0.9
    assert columns["sign_complexity"].mean() < 0.9


def values(sign_complexity, sign_chance, complexity, chance, drawn=0.0):
    return {
        "sign_complexity": sign_complexity,
        "sign_p_value": sign_chance,
        "sign_phrases": 61.0,
        "complexity": complexity,
        "p_value": chance,
        "phrases": 60.0,
        "drawn_fraction": drawn,
        "sample_size": 499.0,
    }


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (
            values(0.99, 0.4, 1.01, 0.7),
            "High complexity, random, stay out: no rule is shorter than the moves"
            " (complexity 0.99 of up and down, 1.01 about the median, chance 0.8).",
        ),
        (
            values(0.99, 0.4, 0.96, 0.02),
            "Mixed: a hint of a pattern, not enough to trade on alone"
            " (complexity 0.99 of up and down, 0.96 about the median, chance 0.04).",
        ),
        (
            values(0.75, 1e-8, 0.71, 1e-9),
            "Low complexity, a simple pattern: the moves repeat themselves"
            " (complexity 0.75 of up and down, 0.71 about the median, chance 2e-09).",
        ),
        (
            values(0.85, 1e-6, 1.00, 0.5),
            "Low complexity of direction: one side prevails or runs repeat"
            " (complexity 0.85 of up and down, 1.00 about the median, chance 2e-06).",
        ),
        (
            values(1.02, 0.8, 1.00, 0.5, drawn=0.152),
            "High complexity, random, stay out: no rule is shorter than the moves"
            " (complexity 1.02 of up and down, 1.00 about the median, 15 % of it by lot, chance 1).",
        ),
        (
            {"sign_complexity": 0.7, "sign_p_value": 1e-9, "sign_phrases": 40.0, "sample_size": 99.0},
            "Low complexity of direction: one side prevails or runs repeat"
            " (complexity 0.70 of up and down, chance 2e-09).",
        ),
    ],
)
def test_each_state_has_its_sentence_and_no_vote(numbers, words):
    assert read(numbers) == (0.0, words)
    assert len(words) < 200
