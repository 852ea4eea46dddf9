"""A manifest comes back to the last bit, is refused by name where anything is wrong, and speaks for one market."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from core.errors import CrpbotError
from core.features import FEATURES, fingerprint
from core.fitted import Wanted
from core.market import milliseconds
from core.models.manifest import Kind, Manifest, Span
from core.models.manifest_text import read_manifest, write_manifest
from core.models.scaler import Scaler
from core.models.suitability import check_features, check_wanted
from tests.core.model_cases import AT, DAY, SPANS, make_model

MANIFEST, _ = make_model()


@pytest.mark.parametrize("kind", list(Kind))
def test_a_manifest_comes_back_to_the_last_bit(kind: Kind) -> None:
    manifest, _ = make_model(kind)
    again = read_manifest(write_manifest(manifest))
    assert write_manifest(again) == write_manifest(manifest)
    for name in Manifest.__slots__:
        if name != "scaler":
            assert getattr(again, name) == getattr(manifest, name), name
            assert type(getattr(again, name)) is type(getattr(manifest, name)), name
    for mine, theirs in zip(again.scaler, manifest.scaler, strict=True):
        assert mine.dtype == np.float64
        assert np.array_equal(mine, theirs)


def test_a_model_without_calibration_and_stopping_comes_back() -> None:
    bare = replace(MANIFEST, platt=None, spans=SPANS._replace(stop=None, calibrate=None))
    again = read_manifest(write_manifest(bare))
    assert (again.platt, again.spans) == (None, bare.spans)
    assert again.learned_until == SPANS.train.last


def test_a_whole_number_may_stand_where_a_number_is_meant() -> None:
    whole = replace(MANIFEST, metrics={"trades": 200.0})
    text = write_manifest(whole).replace('"trades": 200.0', '"trades": 200')
    assert read_manifest(text).metrics == {"trades": 200.0}


def test_reading_a_manifest_needs_no_torch() -> None:
    """The gateway lists models, and has no torch."""
    code = "import sys, core.models.suitability, core.adapters.models.folder; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_version_is_the_kind_and_the_first_digits_of_the_weights() -> None:
    assert MANIFEST.version == f"lstm-{MANIFEST.sha256[:8]}"


def changed(**entries: Any) -> str:
    """The text of a manifest in which somebody changed entries, None: took them out."""
    found = json.loads(write_manifest(MANIFEST))
    for path, value in entries.items():
        *parents, name = path.split("__")
        place = found
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[name]
        else:
            place[name] = value
    return json.dumps(found)


@pytest.mark.parametrize("name", [*Manifest.__slots__, "digest"])
def test_a_missing_entry_is_refused_by_name(name: str) -> None:
    with pytest.raises(CrpbotError, match=rf"manifest\.{name}: is (missing|None)"):
        read_manifest(changed(**{name: None}))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"colour": "red"}, "manifest.colour: is unknown to this version"),
        ({"kind": "oracle"}, "manifest.kind: 'oracle' is not one of lstm, transformer, ppo"),
        ({"symbols": "BTC-USD"}, "manifest.symbols: is no list"),
        ({"symbols": []}, "manifest.symbols: is empty"),
        ({"symbols": ["BTC-USD", "BTC-USD"]}, "manifest.symbols: names one twice"),
        ({"symbols": ["../x"]}, "manifest.symbols: '../x' is no name"),
        ({"symbols": ["multi"]}, "manifest.symbols: 'multi' is no symbol such as BTC-USD"),
        ({"origin": ""}, "manifest.origin: '' is no name"),
        ({"run": "a/b"}, "manifest.run: 'a/b' is no name"),
        ({"interval": "1y"}, "manifest.interval: unknown interval '1y'"),
        ({"window": 0}, "manifest.window: 0 is not within 1 .. 10000"),
        ({"window": 60.0}, "manifest.window: '60.0' is not a whole number"),
        ({"window": True}, "manifest.window: 'True' is not a whole number"),
        ({"horizon": -1}, "manifest.horizon: -1 is not within"),
        ({"parameters": 10**12}, "manifest.parameters: 1000000000000 is not within"),
        ({"seed": "7"}, "manifest.seed: '7' is not a whole number"),
        ({"sha256": "abc"}, "manifest.sha256: 'abc' is not 64 hexadecimal digits"),
        ({"created_at": "yesterday"}, "manifest.created_at: 'yesterday' is not an instant"),
        ({"created_at": "2026-01-01T00:00:00"}, "manifest.created_at: has no time zone"),
        ({"created_at": 1}, "manifest.created_at: '1' is not an instant"),
        ({"probe": []}, "manifest.probe: is empty"),
        ({"metrics": [1.0]}, "manifest.metrics: is no object"),
        ({"metrics__accuracy": "high"}, "manifest.metrics.accuracy: 'high' is not a number"),
        ({"scaler__mean": [0.0] * 50}, "manifest.scaler.mean: has 50 numbers for 1 coins of 31 features"),
        ({"scaler__scale": [0.0] * 31}, "manifest.scaler.scale: 0.0 is not above 0"),
        ({"scaler__mean": [[0.0] * 31, [0.0]]}, "manifest.scaler.mean: has rows of different lengths"),
        ({"scaler__scale": [[1.0] * 31] * 3}, "manifest.scaler.scale: has 3 x 31 numbers for 1 coins"),
        ({"spans__test": None}, "manifest.spans.test: is missing"),
        ({"spans__test__last": "2026-01-04T00:00:00"}, "manifest.spans.test: has no time zone"),
        ({"spans__test": "soon"}, "manifest.spans.test: is no object"),
        ({"platt__slope": -1.0}, "manifest.platt.slope: -1.0 is below 0"),
        ({"label": "another"}, "manifest.digest: is [0-9a-f]{12}, the entries have [0-9a-f]{12}"),
        ({"digest": "0" * 64}, "manifest.digest: is 000000000000"),
    ],
)
def test_a_wrong_entry_is_refused_by_name(entries: dict[str, Any], words: str) -> None:
    with pytest.raises(CrpbotError, match=words):
        read_manifest(changed(**entries))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{", "NaN", write_manifest(MANIFEST)[:-40], write_manifest(MANIFEST) * 2, '{"kind": ' * 100_000],
    ids=["empty", "list", "null", "open", "nan", "truncated", "twice", "deep"],
)
def test_a_text_that_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(CrpbotError, match=r"manifest\.text: is no JSON that can be read"):
        read_manifest(text)


def test_a_bomb_of_text_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(CrpbotError, match="300000 characters, at most 262144 are read"):
        read_manifest("[" * 300_000)


def test_another_models_scaler_is_noticed() -> None:
    """Nothing else would: it has the right shape and every answer would be another."""
    other = [float(each) for each in np.linspace(1.0, 2.0, 31)]
    with pytest.raises(CrpbotError, match=r"manifest\.digest: .* something was changed"):
        read_manifest(changed(scaler__mean=other))


def test_not_a_number_is_refused_when_a_manifest_is_made() -> None:
    nan = float("nan")
    with pytest.raises(CrpbotError, match=r"manifest\.metrics\.loss: number 0 is nan"):
        replace(MANIFEST, metrics={"loss": nan})
    with pytest.raises(CrpbotError, match=r"manifest\.probe: number 1 is inf"):
        replace(MANIFEST, probe=(0.0, float("inf")))
    with pytest.raises(CrpbotError, match=r"manifest\.scaler\.mean: number 30 is nan"):
        replace(MANIFEST, scaler=Scaler(np.array([0.0] * 30 + [nan]), np.ones(31)))


def test_parts_of_the_history_that_overlap_are_refused() -> None:
    overlapping = SPANS._replace(test=Span(SPANS.train.first, SPANS.test.last))
    with pytest.raises(CrpbotError, match=r"manifest\.spans\.test: begins 2026-01-01 00:00, before"):
        replace(MANIFEST, spans=overlapping)


def test_fifty_columns_against_thirty_one_name_the_first_that_differs() -> None:
    names = (*FEATURES[:12], "ema_9", *FEATURES[12:], *(f"extra_{place}" for place in range(18)))
    assert len(names) == 50
    shape = np.zeros(50)
    wide = replace(MANIFEST, features=names, fingerprint=fingerprint(names), scaler=Scaler(shape, shape + 1.0))
    with pytest.raises(CrpbotError) as caught:
        check_features(wide)
    assert caught.value.detail == (
        f"the model {MANIFEST.version} reads 50 features columns, this version has 31: column 12 is ema_9 in the model "
        f"and {FEATURES[12]} here; fingerprint {fingerprint(names)[:12]}, here {fingerprint()[:12]}; "
        "remedy: crpbot train lstm --coin BTC"
    )


def test_the_same_columns_in_another_order_are_refused() -> None:
    names = (FEATURES[1], FEATURES[0], *FEATURES[2:])
    with pytest.raises(CrpbotError, match="column 0 is session_london in the model and session_tokyo here"):
        check_features(replace(MANIFEST, features=names))


def test_a_column_too_few_is_named() -> None:
    short = replace(MANIFEST, features=FEATURES[:-1], scaler=Scaler(np.zeros(30), np.ones(30)))
    with pytest.raises(CrpbotError, match="column 30 is nothing in the model and volatility_high here"):
        check_features(short)


def test_other_formulas_of_the_same_columns_are_refused() -> None:
    prints = f"fingerprint 0{{12}}, here {fingerprint()[:12]}"
    with pytest.raises(CrpbotError, match=f"other formulas of the same 31 features: {prints}"):
        check_features(replace(MANIFEST, fingerprint="0" * 64))


def test_a_policy_that_sees_another_account_is_refused() -> None:
    manifest, _ = make_model(Kind.PPO)
    check_features(manifest)
    with pytest.raises(CrpbotError, match="reads 3 state columns, this version has 3: column 0 is cash in the model"):
        check_features(replace(manifest, state=("cash", *manifest.state[1:])))


WANTED = Wanted("synthetic-7-edge", "1m", "BTC-USD", milliseconds(AT + 6 * DAY))


def test_a_model_is_used_on_the_market_it_learned_and_after_it() -> None:
    check_wanted(MANIFEST, WANTED)
    check_wanted(MANIFEST, WANTED._replace(as_of_ms=milliseconds(MANIFEST.learned_until)))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (
            {"origin": "coinbase"},
            "learned from synthetic-7-edge candles, these come from coinbase; remedy: crpbot train",
        ),
        ({"origin": ""}, "these come from elsewhere"),
        ({"origin": "request"}, "reads the server's own candles only: ask by symbol"),
        ({"interval": "5m"}, "learned from 1m candles, not from 5m"),
        ({"symbol": "ETH-USD"}, "learned BTC-USD, not ETH-USD; remedy: crpbot train lstm --coin ETH"),
        ({"as_of_ms": milliseconds(SPANS.test.first - timedelta(days=1))}, "which this window could not see yet"),
    ],
)
def test_a_model_is_refused_anywhere_else(entries: dict[str, Any], words: str) -> None:
    with pytest.raises(CrpbotError) as caught:
        check_wanted(MANIFEST, WANTED._replace(**entries))
    assert words in caught.value.detail
    assert caught.value.reason == "WRONG_MARKET"
