"""`crpbot fit`: from history to a theory that answers, and to a refusal on any other market."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.adapters.fits import load_fits
from core.analyzers import learners
from core.deciding.weights import NAME, choose_rule
from core.fitted import Wanted
from core.market import milliseconds
from tests.cli.conftest import PATIENT, Crpbot
from tests.core.recordings import make_rows, save

THEORIES = [each.name for each in learners()]
ALL = [argument for theory in THEORIES for argument in ("-t", theory)]


def readings(output: str) -> dict[str, dict[str, object]]:
    (analysis,) = json.loads(output)
    return {reading["theory"]: reading for reading in analysis["readings"]}


@pytest.mark.slow
def test_what_is_fitted_answers_and_is_not_fitted_twice(crpbot: Crpbot, tmp_path: Path) -> None:
    before = readings(crpbot("analyze", "BTC-USD", "--local", "--json", *ALL, **PATIENT).stdout)
    assert {reading["problem"] for reading in before.values()} == {
        "not fitted yet; remedy: crpbot fit --interval 5m --symbol BTC-USD"
    }

    fitted = crpbot("fit", "-s", "BTC-USD", "-s", "eth/usd", "--json", *ALL)
    assert fitted.returncode == 0, fitted.stderr
    lines = json.loads(fitted.stdout)
    assert [(line["theory"], line["symbol"]) for line in lines] == [
        (theory, symbol) for theory in THEORIES for symbol in ("BTC-USD", "ETH-USD")
    ]
    assert all(line["problem"] is None and line["metrics"] for line in lines)
    assert "6 of 6: " in fitted.stderr, "progress is told"

    after = readings(crpbot("analyze", "BTC-USD", "--local", "--json", *ALL, **PATIENT).stdout)
    assert [reading["problem"] for reading in after.values()] == [None] * len(THEORIES)
    elsewhere = readings(crpbot("analyze", "BTC-USD", "--local", "--json", "--interval", "1h", *ALL, **PATIENT).stdout)
    assert {reading["problem"] for reading in elsewhere.values()} == {
        "fitted on 5m candles, not on 1h; remedy: crpbot fit --interval 1h --symbol BTC-USD"
    }

    again = crpbot("fit", "-s", "BTC-USD", "--missing")
    assert (again.returncode, again.stdout.strip()) == (0, "everything is fitted already")

    save(tmp_path, make_rows("5m", 600), interval="5m")
    replay = {**PATIENT, "DATA_PROVIDER": "replay", "CRPBOT__MARKET__REPLAY_FOLDER": str(tmp_path)}
    switched = readings(crpbot("analyze", "BTC-USD", "--local", "--json", *ALL, **replay).stdout)
    assert {str(reading["problem"]).split("; ")[0] for reading in switched.values()} == {
        f"fitted on synthetic-7-edge candles, these come from replay-{tmp_path.name.replace('_', '-')}"
    }


@pytest.mark.slow
def test_the_weights_of_the_rule_are_learned_alone_told_and_found_by_the_server(crpbot: Crpbot, tmp_path: Path) -> None:
    learned = crpbot("fit", "-s", "BTC-USD", "-t", NAME, "--json")
    assert learned.returncode == 0, learned.stderr
    (line,) = json.loads(learned.stdout)
    assert (line["theory"], line["symbol"], line["problem"]) == (NAME, "all", None)
    assert line["metrics"]["samples"] == 538
    assert {"gain", "gain_error", "gain_over_coin", "proven"} <= set(line["metrics"])
    assert "1 of 1: synthesis BTC-USD" in learned.stderr, "progress is told"
    shelf = load_fits(next(tmp_path.rglob("synthetic-7-edge_5m")).parent)
    assert [(fit.theory, [*fit.spans]) for fit in shelf.fits] == [(NAME, ["BTC-USD"])]
    rule = choose_rule(shelf, Wanted("synthetic-7-edge", "5m", "BTC-USD", milliseconds(datetime.now(UTC))))
    assert "learned" in rule.label
    assert "not fitted" not in rule.label

    again = crpbot("fit", "-s", "BTC-USD", "-t", NAME, "--missing")
    assert (again.returncode, again.stdout.strip()) == (0, "everything is fitted already")


def test_a_market_with_too_short_a_past_has_no_weights_and_says_how_much_is_needed(
    crpbot: Crpbot, tmp_path: Path
) -> None:
    save(tmp_path, make_rows("5m", 600), interval="5m")
    replay = {**PATIENT, "DATA_PROVIDER": "replay", "CRPBOT__MARKET__REPLAY_FOLDER": str(tmp_path)}
    ended = crpbot("fit", "-s", "BTC-USD", "-t", NAME, "--json", **replay)
    assert ended.returncode == 1
    (line,) = json.loads(ended.stdout)
    assert (line["theory"], line["metrics"]) == (NAME, {})
    assert "14000" in line["problem"]


def test_a_theory_that_does_not_learn_is_refused_by_name(crpbot: Crpbot) -> None:
    ended = crpbot("fit", "-t", "hurst_exponent")
    assert ended.returncode == 1
    assert "unknown fitted theory 'hurst_exponent'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_history_that_is_too_short_is_told_for_each_symbol(crpbot: Crpbot, tmp_path: Path) -> None:
    save(tmp_path, make_rows("5m", 600), interval="5m")
    ended = crpbot("fit", "-s", "BTC-USD", DATA_PROVIDER="replay", CRPBOT__MARKET__REPLAY_FOLDER=str(tmp_path))
    assert ended.returncode == 1
    assert "no history to fit on: " in ended.stderr
    assert "7000" in ended.stderr, "how much is needed"
