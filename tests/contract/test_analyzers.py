"""Every theory through the same checks. A new file in core/analyzers is found by itself and needs no line here."""

from __future__ import annotations

import inspect
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import Field, Opinion
from core.analyzers import Analyzer, discover, find
from core.analyzers import evaluate as evaluate_with
from core.fitted import Wanted
from core.market import SYMBOLS, Windows
from core.panel import Samples

ROOT = Path(__file__).parents[2]
THEORIES = discover()
# Each theory, and each of its variants as if it were a theory of its own.
SPELLINGS = {name: find(name) for analyzer in THEORIES.values() for name in analyzer.spellings}
BATCHES = (1, 2, 3, 7, 16, 64)
LENGTHS = (200, 333, 500, 1000)
# Theories about the shape of the moves, to which the unit of the price is nothing.
WITHOUT_UNIT = tuple(name for name in THEORIES if name != "kalman_filter")

# Simulated paths for these tests: what they check does not depend on how many there are.
PATHS = 64
SAMPLES = Samples()
NOWHERE = Wanted("", "5m", "BTC-USD", 0)

every_theory = pytest.mark.parametrize("analyzer", THEORIES.values(), ids=THEORIES)
every_spelling = pytest.mark.parametrize("analyzer", SPELLINGS.values(), ids=SPELLINGS)


@pytest.fixture(autouse=True)
def few_paths(monkeypatch):
    for analyzer in THEORIES.values():
        module = sys.modules[analyzer.analyze.__module__]
        if hasattr(module, "PATHS"):
            monkeypatch.setattr(module, "PATHS", PATHS)


def analyze(analyzer, windows):
    """The columns of a theory; a fitted one gets the sample of a fit for every row."""
    if analyzer.learning is None:
        return analyzer.analyze(windows)
    return analyzer.analyze(windows, [SAMPLES.find(analyzer.name, NOWHERE)] * len(windows))


def evaluate(analyzer, windows):
    return evaluate_with(analyzer, windows, SAMPLES)


def windows_from(closes, seed=0):
    """(B, T) closes as windows with plausible wicks, volume and times."""
    rng = np.random.default_rng(seed)
    rows, length = closes.shape
    opens = np.concatenate([closes[:, :1], closes[:, :-1]], axis=1)
    wick = 0.001 * rng.random((2, rows, length)) * (np.ptp(closes, axis=1, keepdims=True) > 0)
    highs = np.maximum(opens, closes) * (1.0 + wick[0])
    lows = np.minimum(opens, closes) * (1.0 - wick[1])
    block = np.ascontiguousarray(np.stack([opens, highs, lows, closes, 1.0 + rng.random((rows, length))]))
    times = np.tile(1_700_000_100_000 + 300_000 * np.arange(length, dtype=np.int64), (rows, 1))
    return Windows(tuple(SYMBOLS[row % len(SYMBOLS)] for row in range(rows)), "5m", times, block)


def walks(rows, length, seed=1):
    rng = np.random.default_rng([seed, rows, length])
    return windows_from(100.0 * np.exp(np.cumsum(0.005 * rng.standard_t(4, (rows, length)), axis=1)))


def markets(length):
    """One row of each kind of market that has broken somebody's formula."""
    noise = 0.003 * np.random.default_rng(2).standard_normal(length)
    steps = np.arange(length)
    walk = np.exp(np.cumsum(noise))
    late = steps > length * 2 // 3
    return {
        "walk": 100.0 * walk,
        "flat": np.full(length, 100.0),
        "trend up": 100.0 * np.exp(0.002 * steps + noise),
        "trend down": 100.0 * np.exp(-0.002 * steps + noise),
        "straight line": 100.0 + steps,
        "constant growth": 100.0 * 1.001**steps,
        "swing": 100.0 + 5.0 * np.sin(steps / 7.0),
        "alternating": 100.0 + steps % 2,
        "jump": 100.0 * walk * np.where(late, 3.0, 1.0),
        "constant, then a jump": np.where(late, 150.0, 100.0),
        "one odd candle": np.where(steps == length // 2, 101.0, 100.0),
        "moves at the end only": np.where(late, 100.0 * walk, 100.0),
        "tiny price": 1e-8 * walk,
        "huge price": 1e12 * walk,
        "coarse ticks": np.round(100.0 * walk),
    }


def assert_within_declared_bounds(analyzer, columns, rows):
    assert list(columns) == list(analyzer.fields)
    for name, field in analyzer.fields.items():
        column = columns[name]
        assert column.shape == (rows,), name
        assert column.dtype == np.float64, name
        assert not np.isinf(column).any(), name
        found = column[~np.isnan(column)]
        assert field.low is None or (found >= field.low).all(), (name, found.min())
        assert field.high is None or (found <= field.high).all(), (name, found.max())


def assert_sound(reading, analyzer, kind):
    assert -1.0 <= reading.vote <= 1.0, kind
    assert all(math.isfinite(value) for value in reading.values.values()), kind
    sentence = reading.problem or reading.words
    assert 0 < len(sentence) < 200, (kind, sentence)
    assert sentence == sentence.strip(), kind
    assert "nan" not in sentence.lower().split(), (kind, sentence)
    if reading.problem is not None:
        assert (reading.values, reading.vote) == ({}, 0.0), kind
    else:
        assert analyzer.headline in reading.values, kind


@every_theory
def test_the_file_keeps_to_the_pattern(analyzer: Analyzer):
    module = sys.modules[analyzer.analyze.__module__]
    first_line = analyzer.explanation.splitlines()[0]
    assert first_line.endswith(".")
    assert len(first_line) <= 120
    assert 0 < analyzer.min_length <= 200
    assert analyzer.undefined
    assert all(isinstance(field, Field) and field.meaning for field in analyzer.fields.values())
    assert all(name.isidentifier() and name == name.lower() for name in analyzer.fields)
    assert not hasattr(module, "all"), "`all = [...]` where `__all__` was meant"
    assert all(hasattr(module, name) for name in getattr(module, "__all__", ()))
    parameters = ["windows", *(["fitted"] if analyzer.learning else []), *(["variant"] if analyzer.variants else [])]
    assert list(inspect.signature(analyzer.analyze).parameters) == parameters
    assert list(inspect.signature(analyzer.read).parameters) == ["values"]


@every_spelling
@pytest.mark.parametrize("length", LENGTHS)
def test_every_field_is_within_its_bounds_on_every_kind_of_market(analyzer, length):
    windows = windows_from(np.stack(list(markets(length).values())))
    assert_within_declared_bounds(analyzer, analyze(analyzer, windows), len(windows))


@every_spelling
@pytest.mark.parametrize("length", LENGTHS)
def test_every_market_gives_a_sound_opinion_or_names_the_problem(analyzer, length):
    cases = markets(length)
    for kind, reading in zip(cases, evaluate(analyzer, windows_from(np.stack(list(cases.values())))), strict=True):
        assert_sound(reading, analyzer, kind)


@every_spelling
@settings(max_examples=25, deadline=None, derandomize=True)
@given(moves=st.lists(st.floats(-0.5, 0.5), min_size=4, max_size=40), start=st.floats(1e-6, 1e6))
def test_any_prices_give_numbers_within_bounds(analyzer, moves, start):
    returns = np.resize(np.array(moves), 199)
    closes = start * np.exp(np.concatenate([[0.0], np.cumsum(returns - returns.mean())]))
    windows = windows_from(closes[None, :])
    assert_within_declared_bounds(analyzer, analyze(analyzer, windows), 1)
    assert_sound(evaluate(analyzer, windows)[0], analyzer, "any")


@every_theory
def test_a_reading_is_an_opinion(analyzer):
    columns = {name: float(column[0]) for name, column in analyze(analyzer, walks(1, 500)).items()}
    values = {name: value for name, value in columns.items() if math.isfinite(value)} or dict.fromkeys(columns, 0.5)
    assert isinstance(analyzer.read(values), Opinion)


@every_spelling
def test_a_flat_market_never_gives_nan(analyzer):
    for length in LENGTHS:
        (reading,) = evaluate(analyzer, windows_from(np.full((1, length), 100.0)))
        assert_sound(reading, analyzer, "flat")
        assert reading.vote == 0.0


@every_spelling
@pytest.mark.parametrize("length", [None, *LENGTHS])
def test_a_row_does_not_see_its_batch(analyzer, length):
    for rows in BATCHES:
        windows = walks(rows, length or analyzer.min_length)
        together = analyze(analyzer, windows)
        alone = [analyze(analyzer, windows.row(row)) for row in range(rows)]
        for name, column in together.items():
            np.testing.assert_array_equal(column, np.concatenate([single[name] for single in alone]), err_msg=name)


@every_spelling
def test_a_row_that_does_not_move_leaves_its_neighbours_alone(analyzer):
    cases = np.stack(list(markets(333).values()))
    together = analyze(analyzer, windows_from(cases))
    windows = windows_from(cases)
    for row in range(len(cases)):
        for name, column in analyze(analyzer, windows.row(row)).items():
            np.testing.assert_array_equal(column, together[name][row : row + 1], err_msg=name)


@every_spelling
def test_the_input_is_not_written(analyzer):
    windows = walks(3, 500)
    windows.block.setflags(write=False)
    windows.open_times.setflags(write=False)
    analyze(analyzer, windows)


@every_spelling
def test_the_same_windows_give_the_same_answer_twice(analyzer):
    windows = walks(5, 500)
    first = {name: column.copy() for name, column in analyze(analyzer, windows).items()}
    analyze(analyzer, walks(2, 333))
    for name, column in analyze(analyzer, windows).items():
        np.testing.assert_array_equal(column, first[name], err_msg=name)


@every_spelling
def test_the_shortest_window_is_read_and_a_shorter_one_is_refused_by_name(analyzer):
    (shortest,) = evaluate(analyzer, walks(1, analyzer.min_length))
    assert_sound(shortest, analyzer, "shortest")
    (shorter,) = evaluate(analyzer, walks(1, analyzer.min_length - 1))
    assert shorter.problem == f"needs {analyzer.min_length} candles, the window has {analyzer.min_length - 1}"


@pytest.mark.parametrize("theory", WITHOUT_UNIT)
@pytest.mark.parametrize("factor", [1_000.0, 1e-6])
def test_the_unit_of_the_price_does_not_matter(theory, factor):
    windows = walks(4, 500)
    scaled = Windows(windows.symbols, windows.interval, windows.open_times, factor * windows.block)
    before, after = (analyze(THEORIES[theory], given) for given in (windows, scaled))
    for name, column in before.items():
        np.testing.assert_allclose(after[name], column, rtol=1e-9, atol=1e-9, err_msg=name)


READ_ELSEWHERE = """
import sys
import numpy as np
from core.analyzers import discover
from core.market import Windows
given = np.load(sys.argv[1])
windows = Windows(tuple(given["symbols"]), "5m", given["times"], given["block"])
found = {}
for name, analyzer in discover().items():
    module = sys.modules[analyzer.analyze.__module__]
    if hasattr(module, "PATHS"):
        module.PATHS = int(sys.argv[3])
    fitted = ([analyzer.learning.sample()] * len(windows),) if analyzer.learning else ()
    found.update({f"{name}.{field}": column for field, column in analyzer.analyze(windows, *fitted).items()})
np.savez(sys.argv[2], **found)
"""


def read_in_another_process(windows, folder, **environment):
    """The columns of every theory, computed by a fresh interpreter."""
    given, found = folder / "given.npz", folder / "found.npz"
    np.savez(given, symbols=windows.symbols, times=windows.open_times, block=windows.block)
    subprocess.run(
        [sys.executable, "-c", READ_ELSEWHERE, str(given), str(found), str(PATHS)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        check=True,
        timeout=120,
    )
    return np.load(found)


def test_two_processes_give_the_same_bits(tmp_path):
    windows = walks(3, 333)
    found = read_in_another_process(windows, tmp_path)
    for theory, analyzer in THEORIES.items():
        for name, column in analyze(analyzer, windows).items():
            np.testing.assert_array_equal(found[f"{theory}.{name}"], column, err_msg=f"{theory}.{name}")


def test_compiled_kernels_say_what_their_python_says(tmp_path):
    windows = windows_from(np.stack(list(markets(200).values())))
    found = read_in_another_process(windows, tmp_path, NUMBA_DISABLE_JIT="1")
    for theory, analyzer in THEORIES.items():
        for name, column in analyze(analyzer, windows).items():
            plain = found[f"{theory}.{name}"]
            np.testing.assert_allclose(column, plain, rtol=1e-9, atol=1e-9, err_msg=f"{theory}.{name}")
