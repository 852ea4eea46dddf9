"""`crpbot fit`: from history to a theory that answers, and to a refusal on any other market."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.analyzers import learners
from tests.cli.conftest import Crpbot
from tests.core.recordings import make_rows, save

THEORIES = [each.name for each in learners()]
ALL = [argument for theory in THEORIES for argument in ("-t", theory)]


def readings(output: str) -> dict[str, dict[str, object]]:
    (analysis,) = json.loads(output)
    return {reading["theory"]: reading for reading in analysis["readings"]}


@pytest.mark.slow
def test_what_is_fitted_answers_and_is_not_fitted_twice(crpbot: Crpbot, tmp_path: Path) -> None:
    before = readings(crpbot("analyze", "BTC-USD", "--local", "--json", *ALL).stdout)
    assert {reading["problem"] for reading in before.values()} == {
        "not fitted yet; remedy: crpbot fit --interval 5m --symbol BTC-USD"
    }

    fitted = crpbot("fit", "-s", "BTC-USD", "-s", "eth/usd", "--json")
    assert fitted.returncode == 0, fitted.stderr
    lines = json.loads(fitted.stdout)
    assert [(line["theory"], line["symbol"]) for line in lines] == [
        (theory, symbol) for theory in THEORIES for symbol in ("BTC-USD", "ETH-USD")
    ]
    assert all(line["problem"] is None and line["metrics"] for line in lines)
    assert "6 of 6: " in fitted.stderr, "progress is told"

    after = readings(crpbot("analyze", "BTC-USD", "--local", "--json", *ALL).stdout)
    assert [reading["problem"] for reading in after.values()] == [None] * len(THEORIES)
    elsewhere = readings(crpbot("analyze", "BTC-USD", "--local", "--json", "--interval", "1h", *ALL).stdout)
    assert {reading["problem"] for reading in elsewhere.values()} == {
        "fitted on 5m candles, not on 1h; remedy: crpbot fit --interval 1h --symbol BTC-USD"
    }

    again = crpbot("fit", "-s", "BTC-USD", "--missing")
    assert (again.returncode, again.stdout.strip()) == (0, "everything is fitted already")

    save(tmp_path, make_rows("5m", 600), interval="5m")
    replay = {"DATA_PROVIDER": "replay", "CRPBOT__MARKET__REPLAY_FOLDER": str(tmp_path)}
    switched = readings(crpbot("analyze", "BTC-USD", "--local", "--json", *ALL, **replay).stdout)
    assert {str(reading["problem"]).split("; ")[0] for reading in switched.values()} == {
        f"fitted on synthetic-7 candles, these come from replay-{tmp_path.name.replace('_', '-')}"
    }


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
