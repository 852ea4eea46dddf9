"""Who decided when is written down and survives any kill; the way back leads to who decided before; candidates."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.adapters.files.places import open_files
from core.adapters.models.folder import ModelFolder
from core.adapters.models.promotions import PromotionRecord
from core.errors import Code, CrpbotError
from core.files import Files
from core.market import interval_seconds
from core.models.manifest import Kind
from core.models.promotion import Action
from core.models.store import EVERY_COIN, Slot
from tests.core.adapters.test_model_folder_faults import steps_of
from tests.core.model_cases import AT, DAY, UNSERVABLE, make_model, passing
from tests.core.model_stores import BETTER, BTC, NEW, OLD, add_third, make_store, promoted


@pytest.fixture
def store(files: Files) -> ModelFolder:
    return make_store(files)


@pytest.fixture
def on_disk(tmp_path: Path) -> ModelFolder:
    return make_store(tmp_path / "models")


def reader_of(store: ModelFolder) -> ModelFolder:
    """Another process's look at it."""
    return ModelFolder(open_files(store._files.url))


def told(store: ModelFolder) -> list[tuple[str, str, str | None]]:
    return [(each.action.value, each.version, each.before) for each in reader_of(store).history(BTC)]


def test_every_change_of_who_decides_is_written_down(store: ModelFolder) -> None:
    store.promote(NEW.version, BETTER)
    store.restore(OLD.version)
    store.demote(BTC)
    assert told(store) == [
        ("promote", OLD.version, None),
        ("promote", NEW.version, OLD.version),
        ("restore", OLD.version, NEW.version),
        ("demote", OLD.version, OLD.version),
    ]
    times = [each.at for each in store.history(BTC)]
    assert times == sorted(times)
    assert store.history(Slot(Kind.PPO, "BTC-USD")) == ()


def test_the_way_back_leads_to_who_decided_before_and_not_in_circles(store: ModelFolder) -> None:
    assert store.previous(BTC) is None
    store.promote(NEW.version, BETTER)
    third = add_third(store, champion=NEW.version)
    assert (promoted(store), store.previous(BTC)) == (third, NEW.version)
    store.restore(NEW.version)
    assert store.previous(BTC) == OLD.version
    store.restore(OLD.version)
    assert store.previous(BTC) is None
    store.promote(NEW.version, BETTER)
    assert store.previous(BTC) == OLD.version


def test_after_a_demotion_the_way_back_leads_to_who_was_demoted(store: ModelFolder) -> None:
    store.demote(BTC)
    assert store.previous(BTC) == OLD.version
    store.restore(OLD.version)
    assert promoted(store) == OLD.version
    assert told(store)[-1] == ("restore", OLD.version, None)


def test_what_the_record_lacks_is_told_by_the_link(store: ModelFolder) -> None:
    """A folder of a version without a record, or a writer that was killed between link and record."""
    store._files.remove("promotions.jsonl")
    assert told(store) == [("promote", OLD.version, None)]
    store.promote(NEW.version, BETTER)
    assert told(store) == [("promote", OLD.version, None), ("promote", NEW.version, OLD.version)]
    store._files.remove("lstm_BTC-USD_promoted.pt")
    assert told(store)[2:] == [("demote", NEW.version, NEW.version)]
    assert store.previous(BTC) == NEW.version


def test_killed_between_any_two_steps_of_a_demotion_the_record_and_the_link_agree(on_disk: ModelFolder) -> None:
    store = on_disk
    found: set[bool] = set()

    def check() -> None:
        reader = reader_of(store)
        is_promoted = BTC in reader.promoted()
        assert reader.history(BTC)[-1].action is (Action.PROMOTE if is_promoted else Action.DEMOTE)
        assert PromotionRecord(store._files).read()[1] == ()
        found.add(is_promoted)
        if not is_promoted:
            store.promote(OLD.version, passing(OLD))

    assert steps_of(lambda: reader_of(store).demote(BTC), check) > 8
    assert found == {True, False}


@pytest.mark.parametrize(
    "line",
    [
        b"half a li",
        b"{}",
        b"\xff\xfe",
        b'{"action":"promote","at":"2026-01-01T00:00:00+00:00","before":null,"kind":"lstm","subject":"BTC-USD"}',
        b'{"action":"applaud","at":"2026-01-01T00:00:00+00:00","before":null,"kind":"lstm","subject":"B","version":"v"}',
        b'{"action":"promote","at":"2026-01-01T00:00:00","before":null,"kind":"lstm","subject":"B","version":"v"}',
        b'{"action":"promote","at":"2026-01-01T00:00:00+00:00","before":7,"kind":"lstm","subject":"B","version":"v"}',
        b'{"action":"promote","at":"2026-01-01T00:00:00+00:00","before":"../x","kind":"lstm","subject":"B","version":"v"}',
    ],
)
def test_a_damaged_line_of_the_record_is_named_and_kept_and_the_others_count(line: bytes, store: ModelFolder) -> None:
    before = store._files.read("promotions.jsonl", most=9_999)
    store._files.write("promotions.jsonl", before + line)
    store.promote(NEW.version, BETTER)
    assert told(store) == [("promote", OLD.version, None), ("promote", NEW.version, OLD.version)]
    (fault,) = PromotionRecord(store._files).read()[1]
    assert fault.startswith("line 2 of promotions.jsonl does not count")
    assert line in store._files.read("promotions.jsonl", most=9_999)


def test_a_record_that_is_no_file_stops_a_promotion_before_anything_changes(on_disk: ModelFolder) -> None:
    record = Path(on_disk._files.url) / "promotions.jsonl"
    record.unlink()
    record.mkdir()
    with pytest.raises(CrpbotError, match="remedy: move it away, a new record is begun"):
        on_disk.promote(NEW.version, BETTER)
    assert promoted(on_disk) == OLD.version


def test_a_candidate_is_named_beside_the_one_that_decides_until_it_is_withdrawn(store: ModelFolder) -> None:
    assert store.candidates() == {}
    store.nominate(NEW.version)
    reader = reader_of(store)
    assert reader.candidates()[BTC].read().version == NEW.version
    assert promoted(reader) == OLD.version
    assert store._files.target("lstm_BTC-USD_candidate.pt") == f"lstm_BTC-USD_1m_{NEW.sha256[:8]}.pt"
    assert store.withdraw(BTC) == NEW.version
    assert reader.candidates() == {}
    with pytest.raises(CrpbotError, match="no lstm is a candidate for BTC-USD") as caught:
        store.withdraw(BTC)
    assert caught.value.code is Code.NOT_FOUND


def test_a_candidate_that_is_promoted_is_one_no_longer(store: ModelFolder) -> None:
    store.nominate(NEW.version)
    store.promote(NEW.version, BETTER)
    assert store.candidates() == {}
    assert "lstm_BTC-USD_candidate.pt" not in store._files.stamps()
    store.nominate(OLD.version)
    add_third(store, champion=NEW.version)
    assert store.candidates()[BTC].read().version == OLD.version, "another promotion ends no trial"
    store.restore(OLD.version)
    assert store.candidates() == {}


def test_killed_anywhere_in_its_promotion_a_candidate_is_on_trial_or_decides_and_never_both(
    on_disk: ModelFolder,
) -> None:
    store = on_disk
    store.nominate(NEW.version)
    found: set[str] = set()

    def check() -> None:
        reader = reader_of(store)
        trial = [each.read().version for each in reader.candidates().values()]
        assert trial == ([NEW.version] if promoted(reader) == OLD.version else [])
        found.add(promoted(reader))
        if not trial:
            store.restore(OLD.version)
            store.nominate(NEW.version)

    assert steps_of(lambda: reader_of(store).promote(NEW.version, BETTER), check) > 15
    assert found == {OLD.version, NEW.version}


def test_only_a_whole_model_of_these_inputs_that_does_not_decide_is_put_on_trial(store: ModelFolder) -> None:
    other, blob = make_model(seed=4, fingerprint="0" * 64, created_at=AT + 20 * DAY)
    store.save(other, blob)
    with pytest.raises(CrpbotError, match="learned from other formulas"):
        store.nominate(other.version)
    with pytest.raises(CrpbotError, match=f"{OLD.version} decides already"):
        store.nominate(OLD.version)
    with pytest.raises(CrpbotError, match="unknown model 'lstm-00000000'"):
        store.nominate("lstm-00000000")
    store._files.write(f"lstm_BTC-USD_1m_{NEW.sha256[:8]}.pt", b"x")
    with pytest.raises(CrpbotError, match="have sha256"):
        store.nominate(NEW.version)
    assert store.candidates() == {}


@pytest.mark.parametrize("entries", [*UNSERVABLE, {"fingerprint": "0" * 64}])
def test_a_model_that_every_server_refuses_neither_decides_nor_comes_back_nor_goes_on_trial(
    store: ModelFolder, entries: dict[str, Any]
) -> None:
    store.demote(BTC)
    other, blob = make_model(seed=4, created_at=AT + 20 * DAY, **entries)
    store.save(other, blob)
    report = passing(other, horizon_minutes=other.horizon * interval_seconds(other.interval) // 60)
    for ending, text in (("json", report.facts), ("html", report.page)):  # it decided, before an update of this program
        store._files.write(f"lstm_BTC-USD_{other.interval}_{other.sha256[:8]}.gate.{ending}", text.encode())
    before = told(store)
    words = f"^the model {other.version} (cannot be asked here|learned from other formulas).*; remedy: crpbot train"
    for act in (partial(store.promote, report=report), store.restore, store.nominate):
        with pytest.raises(CrpbotError, match=words):
            act(other.version)
    assert (store.promoted(), store.candidates(), told(store)) == ({}, {}, before)


def test_a_damaged_candidate_is_a_fault_and_hides_nothing(store: ModelFolder) -> None:
    store.nominate(NEW.version)
    wide, blob = make_model(Kind.TRANSFORMER)
    store.save(wide, blob)
    store.nominate(wide.version)
    store._files.write(f"lstm_BTC-USD_1m_{NEW.sha256[:8]}.json", b"{}")
    found = store.candidates()
    assert found[BTC].fault is not None
    assert found[Slot(Kind.TRANSFORMER, EVERY_COIN)].read().version == wide.version
    assert promoted(store) == OLD.version
    store.withdraw(BTC)
    assert set(store.candidates()) == {Slot(Kind.TRANSFORMER, EVERY_COIN)}


def test_a_killed_writer_of_a_candidate_leaves_the_old_one_or_the_new(on_disk: ModelFolder) -> None:
    store = on_disk
    found: set[int] = set()

    def check() -> None:
        found.add(len(reader_of(store).candidates()))
        store._files.remove("lstm_BTC-USD_candidate.pt")

    assert steps_of(lambda: reader_of(store).nominate(NEW.version), check) > 5
    assert found == {0, 1}
