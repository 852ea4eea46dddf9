"""Models in a folder are found again whole; a promotion is one step, whatever happens to whoever writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.adapters.files.places import open_files
from core.adapters.models.folder import ModelFolder
from core.bucket_address import is_bucket
from core.errors import Code, CrpbotError
from core.files import Files
from core.models.judgement import Verdict, read_judgement
from core.models.manifest import Kind
from core.models.manifest_text import write_manifest
from core.models.scaler import Scaler
from core.models.store import EVERY_COIN, ModelStore, Report, Slot
from core.models.weights import decode
from tests.core.model_cases import AT, DAY, make_model, passing
from tests.core.model_stores import BETTER, BTC, NEW, NEW_BLOB, OLD, OLD_BLOB, make_store, promoted


def _ruled(*symbols: str) -> Report:
    """A report of the new model with rulings on these coins."""
    rulings = read_judgement(passing(NEW).facts).rulings
    return passing(NEW, rulings=tuple(replace(each, symbol=symbol) for symbol in symbols for each in rulings))


@pytest.fixture
def store(files: Files) -> ModelFolder:
    return make_store(files)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_saved_model_is_found_whole(kind: Kind, files: Files) -> None:
    store: ModelStore = ModelFolder(files)
    manifest, blob = make_model(kind)
    version = store.save(manifest, blob)
    again, same = ModelFolder(open_files(files.url)).load(version)
    assert (write_manifest(again), same) == (write_manifest(manifest), blob)
    decode(again, same)


def test_files_have_the_promised_names(files: Files) -> None:
    store = ModelFolder(files)
    for kind in Kind:
        manifest, blob = make_model(kind)
        store.save(manifest, blob)
        store.promote(manifest.version, passing(manifest))
    lstm, ppo = (make_model(kind)[0].sha256[:8] for kind in (Kind.LSTM, Kind.PPO))
    models = [f"lstm_BTC-USD_1m_{lstm}", f"ppo_BTC-USD_1m_{ppo}", "transformer_multi_v20260106T000000Z"]
    assert list(files.stamps()) == sorted(
        [
            "promotions.jsonl",
            *(f"{model}.{suffix}" for model in models for suffix in ("pt", "json", "gate.json", "gate.html")),
            "lstm_BTC-USD_promoted.pt",
            "ppo_BTC-USD_promoted.pt",
            "transformer_multi_promoted.pt",
        ]
    )
    assert files.target("lstm_BTC-USD_promoted.pt") == f"lstm_BTC-USD_1m_{lstm}.pt"
    if not is_bucket(files.url):
        assert (Path(files.url) / "lstm_BTC-USD_promoted.pt").read_bytes() == make_model()[1]
    assert set(store.promoted()) == {BTC, Slot(Kind.PPO, "BTC-USD"), Slot(Kind.TRANSFORMER, EVERY_COIN)}


def test_models_are_listed_in_the_order_they_were_made(store: ModelFolder) -> None:
    assert [entry.read().version for entry in store.entries()] == [OLD.version, NEW.version]


def test_an_empty_place_has_no_models_and_says_what_to_do(files: Files) -> None:
    store = ModelFolder(files)
    assert (store.entries(), store.promoted()) == ((), {})
    with pytest.raises(CrpbotError, match="known are none: train one with crpbot train") as caught:
        store.load("lstm-00000000")
    assert caught.value.code is Code.NOT_FOUND


def test_a_folder_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    store = ModelFolder(tmp_path / "models")
    for ask in (store.entries, store.promoted, lambda: store.load(OLD.version)):
        with pytest.raises(CrpbotError, match=r"models cannot be read \(Not a directory\)"):
            ask()
    with pytest.raises(CrpbotError, match=r"models cannot be written \(File exists\)"):
        store.save(OLD, OLD_BLOB)


def test_promotion_points_at_the_new_and_keeps_the_report_beside_it(store: ModelFolder) -> None:
    reader = ModelFolder(open_files(store._files.url))
    assert promoted(reader) == OLD.version
    store.promote(NEW.version, BETTER)
    assert promoted(reader) == NEW.version
    assert reader.report(NEW.version) == BETTER


def test_a_model_that_was_not_compared_with_the_one_that_decides_is_refused(store: ModelFolder) -> None:
    words = f"by now {OLD.version} decides, and it was judged against none"
    with pytest.raises(CrpbotError, match=f"{words}; remedy: crpbot evaluate --model {NEW.version}"):
        store.promote(NEW.version, passing(NEW))
    store.promote(OLD.version, passing(OLD))
    store.demote(BTC)
    store.promote(NEW.version, passing(NEW))


def test_a_model_of_another_market_replaces_nobody_unasked(store: ModelFolder) -> None:
    real, blob = make_model(seed=3, origin="coinbase")
    store.save(real, blob)
    words = f"{OLD.version} decides, which learned on synthetic-7-edge, and this one learned on coinbase"
    for champion in (None, OLD.version):
        with pytest.raises(CrpbotError, match=words) as caught:
            store.promote(real.version, passing(real, champion=champion))
        assert caught.value.detail.endswith("remedy: crpbot demote --symbol BTC-USD --model-type lstm")
    assert promoted(store) == OLD.version
    store.demote(BTC)
    store.promote(real.version, passing(real))
    assert promoted(store) == real.version


def test_a_model_that_knows_fewer_coins_leaves_none_without_a_model(store: ModelFolder) -> None:
    wide, wide_blob = make_model(Kind.TRANSFORMER, 1)
    narrow, blob = make_model(Kind.TRANSFORMER, 2, symbols=("BTC-USD",), created_at=AT + 9 * DAY)
    store.save(wide, wide_blob)
    store.save(narrow, blob)
    store.promote(wide.version, passing(wide))
    with pytest.raises(CrpbotError, match=f"{wide.version} decides, also on ETH-USD, where nobody would") as caught:
        store.promote(narrow.version, passing(narrow, champion=wide.version))
    assert caught.value.detail.endswith("remedy: crpbot demote --model-type transformer")
    store.demote(Slot(Kind.TRANSFORMER, EVERY_COIN))
    store.promote(narrow.version, passing(narrow))
    store.demote(Slot(Kind.TRANSFORMER, EVERY_COIN))
    store.promote(narrow.version, passing(narrow))
    with pytest.raises(CrpbotError, match=f"by now {narrow.version} decides"):
        store.promote(wide.version, passing(wide))
    store.promote(wide.version, passing(wide, champion=narrow.version))


def test_the_way_back_needs_only_the_report_of_then(store: ModelFolder) -> None:
    with pytest.raises(CrpbotError, match=r"\.gate\.json is missing"):
        store.restore(NEW.version)
    store.promote(NEW.version, BETTER)
    store.restore(OLD.version)
    assert promoted(store) == OLD.version


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (passing(OLD), f"the gate report is of {OLD.version}"),
        (passing(NEW, verdict=Verdict.FAIL), "judgement: says fail, its rulings say pass"),
        (passing(NEW, first=AT), "it was judged from 2026-01-01 00:00 on, and learned until 2026-01-03 21:36"),
        (passing(NEW, kind="ppo"), "it was judged as ppo over 15 minutes, and looks 15 ahead"),
        (passing(NEW, horizon_minutes=5), "it was judged as lstm over 5 minutes, and looks 15 ahead"),
        (_ruled("ETH-USD"), "it was judged on ETH-USD, and knows BTC-USD"),
        (_ruled("BTC-USD", "ETH-USD"), "it was judged on BTC-USD, ETH-USD, and knows BTC-USD"),
        (Report("{}", ""), "judgement: is no judgement"),
        (Report("", ""), "judgement: is no judgement"),
    ],
    ids=[
        "another model's",
        "forged verdict",
        "on known candles",
        "another kind",
        "another horizon",
        "another coin",
        "one coin too many",
        "no fields",
        "empty",
    ],
)
def test_without_a_passing_report_of_just_this_model_nothing_is_promoted(
    report: Report, words: str, store: ModelFolder
) -> None:
    with pytest.raises(CrpbotError, match=words):
        store.promote(NEW.version, report)
    assert promoted(store) == OLD.version


@pytest.mark.parametrize("word", ["fail", "insufficient"])
def test_another_verdict_than_pass_promotes_nothing(word: str, store: ModelFolder) -> None:
    facts = json.loads(passing(NEW).facts)
    for ruling in facts["rulings"]:
        if ruling["rule"] == ("scored" if word == "insufficient" else "sharpe"):
            ruling.update(value=0.1, bound=0.1, outcome=word)
    facts.update(verdict=word, sentence="the Sharpe ratio is 0.1")
    with pytest.raises(CrpbotError, match=f"the gate's verdict is {word}: the Sharpe ratio is 0.1"):
        store.promote(NEW.version, Report(json.dumps(facts), ""))
    assert promoted(store) == OLD.version


def test_demotion_leaves_nobody_to_decide_and_says_who_did(store: ModelFolder) -> None:
    assert store.demote(BTC) == OLD.version
    assert store.promoted() == {}
    with pytest.raises(CrpbotError, match="no lstm is promoted for BTC-USD"):
        store.demote(BTC)
    assert len(store.entries()) == 2


def test_saving_again_refreshes_what_is_only_recorded(store: ModelFolder) -> None:
    store.save(replace(OLD, metrics={"accuracy": 0.72}, run="again"), OLD_BLOB)
    assert store.load(OLD.version)[0].metrics == {"accuracy": 0.72}
    assert len(store.entries()) == 2


def test_the_same_weights_with_another_scaler_are_refused(store: ModelFolder) -> None:
    other = replace(OLD, scaler=Scaler(np.zeros(31), np.ones(31)))
    with pytest.raises(CrpbotError, match=f"{OLD.version} is kept with another scaler; remedy: train with another"):
        store.save(other, OLD_BLOB)
    assert write_manifest(store.load(OLD.version)[0]) == write_manifest(OLD)


def test_the_same_weights_with_other_last_digits_are_named_as_that(store: ModelFolder) -> None:
    assert OLD.platt is not None
    other = replace(OLD, platt=OLD.platt._replace(slope=OLD.platt.slope * (1 + 1e-9)))
    with pytest.raises(CrpbotError) as caught:
        store.save(other, OLD_BLOB)
    assert caught.value.reason == "VERSION_TAKEN"
    words = "another platt, made of the same weights: another number of threads"
    assert f"{OLD.version} is kept with {words}" in caught.value.detail
    assert f"`crpbot evaluate --model {OLD.version}` judges the one that is kept" in caught.value.detail
    assert write_manifest(store.load(OLD.version)[0]) == write_manifest(OLD)


def test_two_models_of_one_second_do_not_replace_each_other(files: Files) -> None:
    store = ModelFolder(files)
    first, second = (make_model(Kind.TRANSFORMER, seed) for seed in (1, 2))
    store.save(*first)
    with pytest.raises(CrpbotError, match=r"v20260106T000000Z\.pt is another model's name already; remedy: run"):
        store.save(*second)
    assert store.load(first[0].version)[1] == first[1]


def test_weights_that_are_not_the_manifests_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(CrpbotError, match="have sha256"):
        ModelFolder(tmp_path / "models").save(OLD, NEW_BLOB)
    assert not (tmp_path / "models").exists()
