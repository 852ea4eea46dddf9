"""Which process serves which models, and what one of them does with what it is asked, without Ray."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from core.analysis import Findings
from core.analyzers import discover
from core.errors import CrpbotError
from core.market import Windows
from core.models.manifest import Kind, Manifest
from core.models.weighting import KINDS
from serving import local_models
from serving.deploy import _bind_models
from serving.groups import Group, load_groups, load_model_groups
from serving.models import Modeller
from tests.core.bad_model_files import BAD_FILES
from tests.core.model_cases import make_model
from tests.core.model_stores import BTC, NEW, OLD, make_store
from tests.core.models.test_model_panel import Answers, FakeShelf, windows
from tests.core.virtual_time import until

THEORIES = 'groups: [{name: a, theories: "*"}]\n'
ALL = "{name: m, kinds: [lstm, transformer, ppo]}"


def load(folder: Path, text: str) -> tuple[Group, ...]:
    file = folder / "groups.yaml"
    file.write_text(THEORIES + text)
    load_groups(file, tuple(discover()))
    return load_model_groups(file)


def test_the_shipped_file_has_a_group_for_each_kind_on_the_processor() -> None:
    groups = load_model_groups(None)
    assert [group.theories for group in groups] == [(kind,) for kind in KINDS]
    assert {(group.replicas, group.gpus, group.precision) for group in groups} == {(1, 0.0, "float32")}


def test_a_file_without_models_gets_the_shipped_groups_of_them(tmp_path: Path) -> None:
    assert load(tmp_path, "") == load_model_groups(None)


def test_a_file_says_where_models_are_served_and_in_which_numbers(tmp_path: Path) -> None:
    text = """
models:
  - {name: small, kinds: [lstm, ppo], replicas: 2, cpus: 0.5, concurrency: 1}
  - {name: large, kinds: [transformer], gpus: 0.25, precision: bfloat16}
"""
    assert load(tmp_path, text) == (
        Group("small", ("lstm", "ppo"), 2, 0.5, 1, 0.0, "float32"),
        Group("large", ("transformer",), 1, 0.1, 2, 0.25, "bfloat16"),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models: {}", "models: .*list"),
        ("models: []", "no group of models has lstm, transformer, ppo"),
        ("models: [{name: m, kinds: []}]", "models.0.kinds: .* at least 1"),
        ("models: [{name: m, kinds: lstm}]", "models.0.kinds: "),
        ("models: [{name: m, kinds: [lstm, transformer]}]", "no group of models has ppo; each kind stands in one"),
        ("models: [{name: m, kinds: [lstm, gru]}]", "group m: unknown kind 'gru' of model; known are lstm"),
        (f"models: [{ALL}, {{name: n, kinds: [ppo]}}]", "kind ppo stands in group m and in group n"),
        ("models: [{name: m, kinds: [ppo, ppo, lstm]}]", "kind ppo stands in group m and in group m"),
        (f"models: [{ALL.replace('m,', 'a,')}]", "two groups have one name, a; those of models count too"),
        (f"models: [{ALL[:-1]}, theories: '*'}}]", "models.0.theories: Extra"),
        (f"models: [{ALL[:-1]}, replicas: 0}}]", "models.0.replicas: "),
        (f"models: [{ALL[:-1]}, gpus: -1}}]", "models.0.gpus: "),
        (f"models: [{ALL[:-1]}, gpus: .nan}}]", "models.0.gpus: "),
        (f"models: [{ALL[:-1]}, gpus: 1.5}}]", "1.5 gpus; a replica has a share below 1 or whole ones"),
        (f"models: [{ALL[:-1]}, precision: int8}}]", "models.0.precision: "),
        (
            "models: [{name: m, kinds: [lstm], precision: bfloat16}, {name: n, kinds: [transformer, ppo]}]",
            "group m: bfloat16 is for the transformer, which it does not have",
        ),
    ],
)
def test_wrong_groups_of_models_are_refused_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(CrpbotError, match=rf"^{tmp_path}/groups.yaml: .*{words}") as caught:
        load(tmp_path, text)
    assert caught.value.reason == "BAD_GROUPS_FILE"


def test_a_call_that_opens_models_takes_no_place_of_a_question(tmp_path: Path) -> None:
    (group,) = load(tmp_path, "models: [" + ALL[:-1] + ", concurrency: 1}]")
    deployment = _bind_models(group, tmp_path).target._bound_deployment
    assert deployment.max_ongoing_requests > group.concurrency + 1


def modeller(folder: Path, **networks: Answers) -> Modeller:
    made = Modeller(str(folder), "float32", 0.0)
    if networks:
        made._models._shelf = FakeShelf(**networks)  # type: ignore[assignment]
    return made


async def ask(
    made: Modeller, *names: str, seconds: float = 60.0, batch: Windows | None = None, on_trial: bool = False
) -> Findings:
    ((found,),) = await made.analyze([batch or windows("BTC-USD")], names, seconds, on_trial)
    return found


def gaps_in_words(found: Findings) -> str:
    return "; ".join(gap.detail for gap in found.missing)


def gaps(found: Findings) -> list[tuple[str, str]]:
    return [(gap.theory, gap.reason) for gap in found.missing]


async def test_an_empty_call_shows_that_a_replica_lives_without_torch_or_a_folder(tmp_path: Path) -> None:
    made = modeller(tmp_path / "nowhere")
    assert await made.analyze([], (), 5.0) == []
    assert (await made.prepare(())).faults == {}
    assert made._models._shelf is None


async def test_a_replica_asks_the_versions_it_is_told_and_opens_what_it_does_not_have(tmp_path: Path) -> None:
    make_store(tmp_path)
    made = modeller(tmp_path)
    found = await ask(made, OLD.version, NEW.version, "lstm-00000000")
    assert [reading.theory for reading in found.readings] == [OLD.version, NEW.version]
    assert gaps(found) == [("lstm-00000000", "failed")]


async def test_a_lineup_is_tried_out_before_it_answers_and_each_fault_is_named(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    weights = tmp_path / next(entry.file for entry in store.entries() if entry.read().version == NEW.version)
    weights.write_bytes(BAD_FILES["NaN"][0]())
    made = modeller(tmp_path)
    prepared = await made.prepare([OLD.version, NEW.version, "ppo-00000000"])
    assert prepared.faults[OLD.version] == ""
    assert "the manifest vouches for" in prepared.faults[NEW.version]
    assert "ppo-00000000" in prepared.faults["ppo-00000000"]
    assert store.promoted()[BTC].read().version == OLD.version
    found = await ask(made, OLD.version, NEW.version)
    assert [reading.theory for reading in found.readings] == [OLD.version]
    assert gaps(found) == [(NEW.version, "failed")]


async def test_a_network_that_never_ends_makes_itself_late_and_those_before_it_answer(tmp_path: Path) -> None:
    release, entered = threading.Event(), threading.Event()
    ends = time.monotonic() + 60.0

    def hang(rows: torch.Tensor) -> torch.Tensor:
        entered.set()
        release.wait(120.0)
        return rows[:, 0, 0]

    while not entered.is_set():  # on a machine that stands still the time may be over before its turn comes
        assert time.monotonic() < ends
        made = modeller(tmp_path, well=Answers(lambda rows: rows[:, 0, 0]), hung=Answers(hang))
        found = await ask(made, "well", "hung", "well2", seconds=0.5)
    try:
        assert [reading.theory for reading in found.readings] == ["well"]
        assert gaps(found) == [("hung", "deadline"), ("well2", "deadline")]
        behind = await ask(made, "well", seconds=0.1)
        assert gaps(behind) == [("well", "deadline")]
    finally:
        release.set()
    found = await ask(made, "well")
    assert [reading.theory for reading in found.readings] == ["well"]


async def test_a_replica_that_hangs_says_so_to_whoever_watches_over_its_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_models, "STUCK_SECONDS", 0.2)
    release, entered = threading.Event(), threading.Event()

    def hang(rows: torch.Tensor) -> torch.Tensor:
        entered.set()
        release.wait(120.0)
        return rows[:, 0, 0]

    async def hang_once(*, on_trial: bool) -> None:
        """A question that is given up, and whose computation has not ended for long."""
        entered.clear()
        asked = asyncio.create_task(ask(made, "hung", on_trial=on_trial))
        assert await asyncio.to_thread(entered.wait, 60.0)
        asked.cancel()
        await until(made._models.hung)

    made = modeller(tmp_path, hung=Answers(hang))
    await made.check_health()
    await hang_once(on_trial=True)
    assert "has not ended" in gaps_in_words(await ask(made, "hung", on_trial=True))
    await made.check_health()  # a candidate that hangs costs the models that decide no process
    release.set()
    while gaps(await ask(made, "hung", on_trial=True)):  # a busy machine takes its time
        await asyncio.sleep(0.01)
    release.clear()
    await hang_once(on_trial=False)
    try:
        with pytest.raises(RuntimeError, match="has not ended"):
            await made.check_health()
    finally:
        release.set()
    await until(lambda: not made._models.hung())
    await made.check_health()
    assert not gaps(await ask(made, "hung"))


async def test_a_slow_candidate_delays_no_model_that_decides_in_this_question_or_the_next(tmp_path: Path) -> None:
    release = threading.Event()
    made = modeller(
        tmp_path,
        promoted=Answers(lambda rows: rows[:, 0, 0]),
        candidate=Answers(lambda rows: rows[:, 0, 0] if release.wait(120.0) else rows),
    )
    trial = asyncio.create_task(ask(made, "candidate", on_trial=True))
    try:
        for _ in range(2):
            assert [each.theory for each in (await ask(made, "promoted")).readings] == ["promoted"]
        assert not trial.done()
    finally:
        release.set()
    assert [each.theory for each in (await trial).readings] == ["candidate"]


async def test_without_torch_each_version_says_what_to_do_and_is_there_once_torch_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path)
    made = modeller(tmp_path)
    with monkeypatch.context() as bare:
        bare.setitem(sys.modules, "torch", None)
        for name in ("core.models.shelf", "core.models.panel"):
            bare.delitem(sys.modules, name)
        found = await ask(made, OLD.version)
        assert gaps(found) == [(OLD.version, "no_torch")]
        assert "remedy: make torch" in found.missing[0].detail
        assert (await made.prepare([OLD.version])).faults == {OLD.version: found.missing[0].detail}
    assert [reading.theory for reading in (await ask(made, OLD.version)).readings] == [OLD.version]


async def test_preparing_holds_up_nobody_who_asks_meanwhile(tmp_path: Path) -> None:
    make_store(tmp_path)
    made = modeller(tmp_path)
    await made.prepare([OLD.version])
    entered, release = threading.Event(), threading.Event()
    shelf = made._models._shelf
    assert shelf is not None
    store = shelf._store

    class Slow:
        def load(self, version: str) -> tuple[Manifest, bytes]:
            entered.set()
            release.wait(120.0)
            return store.load(version)

    shelf._store = Slow()  # type: ignore[assignment]
    preparing = asyncio.create_task(made.prepare([NEW.version]))
    try:
        await asyncio.to_thread(entered.wait, 60.0)
        assert (await ask(made, OLD.version)).readings
        assert not preparing.done()
    finally:
        release.set()
    assert (await preparing).faults == {NEW.version: ""}
    assert set(shelf.versions) == {OLD.version, NEW.version}


async def test_models_of_all_kinds_answer_in_one_call(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    cases = [make_model(kind, seed=9) for kind in Kind]
    versions: Sequence[str] = [store.save(manifest, blob) for manifest, blob in cases]
    found = await ask(modeller(tmp_path), *versions)
    assert [reading.theory for reading in found.readings] == versions
