"""The records of what was measured: merged theory by theory, judged as the contest says, and shown as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import page, theories
from bench.contest import Contest
from bench.records import merge_record, read_record
from core.analyzers import code_hash, discover, evaluate

ROOT = Path(__file__).parents[2]

GATEWAY = {"machine": "2 cores", "figures": []}
LOAD = {"operations": []}

PASSES = """
def test_it(score):
    score("|vote| <= 0.1", goal="{goal}", ours="1")
"""
FAILS = PASSES + "    assert False\n"
SLOW = """
import pytest

@pytest.mark.skip
def test_more():
    pass
"""


def contest(**changes) -> Contest:
    """A contest of calls that cost nothing."""
    calls = {"batch": lambda: None, "single": lambda: None, "library": lambda: None}
    return Contest(**{"name": "a|b", "windows": 10, "library_name": "lib", "goal": 1.0, **calls, **changes})


def outcome(theory: str = "shannon_entropy", **changes) -> theories.Outcome:
    """An outcome in which the batch is 40 times faster than the library, and the lone window 5 times."""
    times = {"batch_us": 1.0, "single_us": 8.0, "library_us": 40.0, "times_faster": 40.0, "times_faster_single": 5.0}
    facts = {"name": "a|b", "library": "lib", "goal": 10.0, "serves": True, "rounds": 9, "alone": False}
    return theories.Outcome(theory=theory, **{**times, **facts, **changes})


TOGETHER = theories.Together(15, single_us=2_000.0, batch_us_without_simulation=400.0, libraries_us=900_000.0)


def test_a_theory_measured_again_leaves_the_others_and_all_together_as_they_were(tmp_path):
    path = tmp_path / "new" / "speed.json"
    first = theories.describe([outcome(), outcome("hurst_exponent")], TOGETHER)
    merge_record(path, first["theories"], together=first["together"])
    second = theories.describe([outcome(goal=20.0)], None)
    merge_record(path, second["theories"], together=second["together"])
    record = read_record(path)
    assert [record["theories"][name]["contests"][0]["goal"] for name in ("hurst_exponent", "shannon_entropy")] == [
        10,
        20,
    ]
    assert record["theories"]["hurst_exponent"] == first["theories"]["hurst_exponent"]
    assert record["together"] == first["together"]


def test_a_theory_that_is_gone_leaves_the_record(tmp_path):
    path = tmp_path / "speed.json"
    path.write_text('{"day": "of old", "theories": {"astrology": {}}}')
    merge_record(path, theories.describe([outcome()], None)["theories"], together=None)
    assert read_record(path).keys() == {"theories", "together"}
    assert list(read_record(path)["theories"]) == ["shannon_entropy"]


def test_the_command_records_only_the_theory_that_it_is_asked_for(tmp_path, monkeypatch):
    path = tmp_path / "speed.json"
    old = theories.describe([outcome("hurst_exponent")], TOGETHER)
    merge_record(path, old["theories"], together=old["together"])
    monkeypatch.setattr(theories, "RECORD", path)
    monkeypatch.setattr(theories, "BATCH", 4)
    monkeypatch.setattr(theories, "ROUNDS", 1)
    monkeypatch.setattr(sys, "argv", ["bench.theories", "--theory", "bayesian_win_rate", "--record", "--json"])
    for name, value in theories.ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    theories.main()
    record = read_record(path)
    assert list(record["theories"]) == ["bayesian_win_rate", "hurst_exponent"]
    assert record["theories"]["bayesian_win_rate"]["contests"][0]["library"] == "scipy.stats.beta"
    assert record["together"] == old["together"]


def test_all_together_carries_the_code_of_every_theory():
    together = theories.describe([outcome()], TOGETHER)["together"]
    assert together["codes"] == {name: code_hash(name) for name in discover()}


@pytest.mark.parametrize(("alone", "ratio", "met"), [(False, 40.0, True), (True, 5.0, False)])
def test_the_goal_judges_the_batch_or_where_the_contest_says_so_the_lone_window(alone, ratio, met):
    (recorded,) = theories.describe([outcome(alone=alone)], None)["theories"]["shannon_entropy"]["contests"]
    assert (recorded["ratio"], recorded["met"]) == (ratio, met)
    assert theories.compete("shannon_entropy", contest(alone=alone)).alone is alone


def test_the_page_shows_each_contest_with_its_theory_and_what_its_goal_judges():
    outcomes = [outcome(), outcome("random_forest", name="one row", goal=100.0, alone=True)]
    rendered = page.render(GATEWAY, theories.describe(outcomes, TOGETHER), LOAD)
    assert "| shannon_entropy | a\\|b | 1.00 | 8.0 | lib | 40.0 | 40.0 | 10 | yes |\n" in rendered
    assert "| random_forest | one row | 1.00 | 8.0 | lib | 40.0 | 5.0 | 100 (alone) | **no** |\n" in rendered
    assert "All 15 theories on one lone window, with votes and words: 2,000 µs;" in rendered
    assert "450 times as long" in rendered


def test_the_page_of_some_theories_says_nothing_of_all():
    assert "theories on one lone window" not in page.render(GATEWAY, theories.describe([outcome()], None), LOAD)


def test_every_theory_has_its_number_on_the_windows_of_the_benchmark():
    windows, library = theories.make_windows(2), theories.fit_on_walk()
    problems = {
        reading.theory: reading.problem
        for analyzer in discover().values()
        for reading in evaluate(analyzer, windows, library)
        if reading.problem
    }
    assert problems == {}


def measure_accuracy(folder: Path, record: Path, seed: int, tests: dict[str, str]) -> str:
    """A run of the accuracy tests' own conftest over other tests."""
    folder.mkdir()
    (folder / "conftest.py").write_text((ROOT / "tests" / "accuracy" / "conftest.py").read_text())
    for theory, text in tests.items():
        (folder / f"test_{theory}_accuracy.py").write_text(text)
    settings = {"PYTHONPATH": str(ROOT), "ACCURACY_SEED": str(seed), "ACCURACY_RECORD": str(record)}
    settings["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ("-q", "-p", "no:cacheprovider", "-c", str(folder / "none.ini"), "--rootdir", str(folder))
    (folder / "none.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def test_accuracy_is_recorded_theory_by_theory_and_not_where_a_test_failed(tmp_path):
    record = tmp_path / "new" / "accuracy.json"
    passes, fails = PASSES.format(goal="first"), FAILS.format(goal="second")
    measure_accuracy(tmp_path / "a", record, 1, {"shannon_entropy": passes, "hurst_exponent": passes})
    first = json.loads(record.read_text())["theories"]
    assert first["shannon_entropy"]["seed"] == 1
    assert first["shannon_entropy"].keys() == {"code", "day", "seed", "windows", "scores"}

    tests = {"shannon_entropy": fails, "autocorrelation": passes + SLOW, "stationarity": passes}
    said = measure_accuracy(tmp_path / "b", record, 2, tests)
    second = json.loads(record.read_text())["theories"]
    assert second == {**first, "stationarity": second["stationarity"]}
    assert second["stationarity"]["seed"] == 2
    assert "not recorded, for not all of its tests ran and passed: autocorrelation, shannon_entropy" in said
