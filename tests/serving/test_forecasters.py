"""The models as the desk asks them: each version by the group of its kind, for one lineup, and silence explained."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from core.adapters.models.folder import ModelFolder
from core.adapters.models.lines import LinesFolder
from core.analysis import Findings
from core.errors import Code, CrpbotError
from core.forecasts.lineup import CANDLES, Lineup, Seat
from core.market import Candles, Windows, stack_windows
from core.models.manifest import Kind
from core.models.shelf import ModelShelf
from core.models.store import file_name
from core.models.weighting import KINDS
from core.panel import absent
from serving import forecasters as forecasters_module
from serving import local_models
from serving.forecasters import GroupForecasters, ModelGroup, prepare_groups
from serving.lineup import LineupWatcher
from serving.local_models import LocalModels
from serving.models import open_shelf
from tests.core.bad_model_files import BAD_FILES
from tests.core.model_cases import make_model, passing
from tests.core.model_stores import BETTER, NEW, OLD, OLD_BLOB, make_store
from tests.core.models.test_model_panel import Answers, FakeShelf, windows
from tests.core.virtual_time import until
from tests.fakes import walk_candles
from tests.serving.fake_models import COINS, THIRD, FakeReplicas, said, speaks

LSTM = OLD
LINEUP = Lineup((Seat(LSTM), Seat(COINS)))


class Recorder:
    """Answers for the versions it is asked for, and remembers the question."""

    def __init__(self, answer: Exception | str | None = None) -> None:
        self.answer = answer
        self.asked: list[tuple[tuple[str, ...], tuple[str, ...], float]] = []
        self.prepared: list[tuple[str, ...]] = []
        self.tried: list[tuple[str, ...]] = []
        self.trial_seconds = 0.0

    async def analyze(
        self, batches: Sequence[Windows], theories: Sequence[str], timeout_seconds: float, *, on_trial: bool = False
    ) -> list[list[Findings]]:
        (batch,) = batches
        if on_trial:
            self.tried.append(tuple(theories))
            await asyncio.sleep(self.trial_seconds)
            return [[Findings(tuple(said(version) for version in theories), ())] * len(batch)]
        self.asked.append((batch.symbols, tuple(theories), timeout_seconds))
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return [[absent(theories, "deadline", self.answer)] * len(batch)]
        return [[Findings(tuple(said(version) for version in theories), ())] * len(batch)]

    async def prepare(self, versions: Sequence[str]) -> dict[str, str]:
        self.prepared.append(tuple(versions))
        return {version: f"problem of {version}" for version in versions}


def minutes(*symbols: str, count: int = CANDLES, origin: str = "synthetic-7-edge") -> Windows:
    series: list[Candles] = [walk_candles(symbol, "1m", count) for symbol in symbols]
    return stack_windows(series, count, origins=(origin,) * len(series))


def groups(lstm: Recorder, coins: Recorder) -> list[ModelGroup]:
    return [ModelGroup(("lstm", "ppo"), lstm), ModelGroup(("transformer",), coins)]


async def test_each_version_is_asked_by_the_group_of_its_kind_about_the_symbols_that_it_knows() -> None:
    lstm, coins = Recorder(), Recorder()
    forecasters = GroupForecasters(groups(lstm, coins), lambda: LINEUP)
    found = await forecasters.forecast(minutes("SOL-USD", "ETH-USD", "BTC-USD"), LINEUP, timeout_seconds=1.0)
    assert lstm.asked == [(("BTC-USD",), (LSTM.version,), 0.9)]
    assert coins.asked == [(("ETH-USD", "BTC-USD"), (COINS.version,), 0.9)]
    spoken = [[each.kind for each in outlook.forecasts if each.probability is not None] for outlook in found]
    assert spoken == [[], ["transformer"], ["lstm", "transformer"]]


async def test_without_seats_nobody_is_asked() -> None:
    lstm, coins = Recorder(), Recorder()
    (found,) = await GroupForecasters(groups(lstm, coins), Lineup).forecast(
        minutes("BTC-USD"), Lineup(), timeout_seconds=1.0
    )
    assert lstm.asked == coins.asked == []
    assert not found.is_staffed


async def test_the_lineup_of_the_question_counts_and_not_the_one_of_now() -> None:
    replicas = FakeReplicas(loaded={LSTM.version})
    forecasters = GroupForecasters([ModelGroup(KINDS, replicas)], lambda: LINEUP)
    (found,) = await forecasters.forecast(minutes("BTC-USD"), Lineup((Seat(LSTM),)), timeout_seconds=1.0)
    assert [each.version for each in found.forecasts] == [LSTM.version, "", ""]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("group lstm did not answer within 0.900 s", "did not answer within"),
        (RuntimeError("boom"), "asking raised RuntimeError; the log has the trace"),
        (TimeoutError(), "asking raised TimeoutError"),
    ],
)
async def test_a_silent_group_is_named_and_the_others_are_heard(answer: Exception | str, words: str) -> None:
    forecasters = GroupForecasters(groups(Recorder(answer), Recorder()), lambda: LINEUP)
    (found,) = await forecasters.forecast(minutes("BTC-USD"), LINEUP, timeout_seconds=1.0)
    lstm, coins, _ = found.forecasts
    assert lstm.probability is None
    assert words in (lstm.problem or "")
    assert coins.probability is not None


async def test_groups_are_asked_at_the_same_time() -> None:
    met = asyncio.Barrier(2)

    class Meeting(Recorder):
        async def analyze(
            self, batches: Sequence[Windows], theories: Sequence[str], timeout_seconds: float, *, on_trial: bool = False
        ) -> list[list[Findings]]:
            await met.wait()
            return await super().analyze(batches, theories, timeout_seconds, on_trial=on_trial)

    forecasters = GroupForecasters(groups(Meeting(), Meeting()), lambda: LINEUP)
    async with asyncio.timeout(60.0):
        await forecasters.forecast(minutes("BTC-USD"), LINEUP, timeout_seconds=120.0)


ON_TRIAL = Lineup((Seat(LSTM), Seat(COINS), Seat(NEW, candidate=True)))


async def test_candidates_are_asked_in_a_call_of_their_own() -> None:
    lstm, coins = Recorder(), Recorder()
    forecasters = GroupForecasters(groups(lstm, coins), lambda: ON_TRIAL)
    (found,) = await forecasters.forecast(minutes("BTC-USD"), ON_TRIAL, timeout_seconds=1.0)
    assert [versions for _, versions, _ in lstm.asked] == [(LSTM.version,)]
    assert (lstm.tried, coins.tried) == ([(NEW.version,)], [])
    assert [each.probability for each in found.candidates] == [said(NEW.version).values["probability"]]


async def test_a_slow_candidate_is_silent_and_the_models_that_decide_are_heard_at_once() -> None:
    lstm = Recorder()
    lstm.trial_seconds = 600.0
    forecasters = GroupForecasters(groups(lstm, Recorder()), lambda: ON_TRIAL)
    async with asyncio.timeout(60.0):
        (found,) = await forecasters.forecast(minutes("BTC-USD"), ON_TRIAL, timeout_seconds=600.0)
    assert [each.problem for each in found.forecasts if each.version] == [None, None]
    assert [each.problem for each in found.candidates] == ["it was not done 0.1 s after the models that decide"]


async def test_a_candidate_does_not_outlive_a_question_that_is_given_up() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    class Slow(Recorder):
        async def analyze(
            self, batches: Sequence[Windows], theories: Sequence[str], timeout_seconds: float, *, on_trial: bool = False
        ) -> list[list[Findings]]:
            if on_trial:
                begun.set()
            try:
                await asyncio.sleep(600.0)
            finally:
                if on_trial:
                    ended.set()
            raise AssertionError("nobody waited so long")

    forecasters = GroupForecasters(groups(Slow(), Recorder()), lambda: ON_TRIAL)
    asked = asyncio.create_task(forecasters.forecast(minutes("BTC-USD"), ON_TRIAL, timeout_seconds=600.0))
    async with asyncio.timeout(60.0):
        await begun.wait()
        asked.cancel()
        await ended.wait()
    await asyncio.gather(asked, return_exceptions=True)


async def test_each_group_prepares_the_versions_of_its_kinds() -> None:
    lstm, coins = Recorder(), Recorder()
    found = await prepare_groups(groups(lstm, coins), [COINS.version, LSTM.version, NEW.version])
    assert lstm.prepared == [(LSTM.version, NEW.version)]
    assert coins.prepared == [(COINS.version,)]
    assert found.problems[COINS.version] == f"problem of {COINS.version}"
    assert len(found.problems) == 3
    assert found.unknown == frozenset(), "who answers knows"


async def test_a_group_that_cannot_prepare_keeps_no_other_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasters_module, "PREPARE_SECONDS", 0.05)
    gone = FakeReplicas(failure=CrpbotError(Code.UNAVAILABLE, "group lstm does not answer", reason="GONE"))
    stuck, well = FakeReplicas(hangs=True), FakeReplicas()
    policy, _ = make_model(Kind.PPO)
    every = [ModelGroup((kind,), caller) for kind, caller in zip(KINDS, (gone, stuck, well), strict=True)]
    found = await prepare_groups(every, [LSTM.version, COINS.version, policy.version])
    assert found.problems == {
        LSTM.version: "group lstm does not answer",
        COINS.version: "it was not loaded within 0.05 s",
        policy.version: "",
    }
    assert found.unknown == {LSTM.version, COINS.version}


class TestInThisProcess:
    """Real files, real networks, no Ray."""

    async def test_the_models_of_a_folder_answer_and_a_promotion_reaches_them(self, tmp_path: Path) -> None:
        store = make_store(tmp_path)
        models, watcher, forecasters = local(tmp_path)
        task = asyncio.create_task(watcher.run())
        await until(lambda: speaks(watcher, OLD.version))
        before = await forecasters.forecast(minutes("BTC-USD", "ETH-USD"), watcher.lineup(), timeout_seconds=60.0)
        store.promote(NEW.version, BETTER)
        await until(lambda: speaks(watcher, NEW.version))
        after = await forecasters.forecast(minutes("BTC-USD", "ETH-USD"), watcher.lineup(), timeout_seconds=60.0)
        task.cancel()
        models.close()
        assert before[0].forecasts[0].version == OLD.version
        assert after[0].forecasts[0].version == NEW.version
        first, second = (each[0].forecasts[0].probability for each in (before, after))
        assert first is not None
        assert second is not None
        assert first != second
        assert after[1].forecasts[0].version == "", "ether has no model of its own"

    async def test_another_market_than_the_models_own_gets_a_refusal(self, tmp_path: Path) -> None:
        make_store(tmp_path)
        models, _, forecasters = local(tmp_path)
        (found,) = await forecasters.forecast(
            minutes("BTC-USD", origin="coinbase"), Lineup((Seat(OLD),)), timeout_seconds=60.0
        )
        models.close()
        assert found.forecasts[0].probability is None
        assert "learned from synthetic-7-edge candles" in (found.forecasts[0].problem or "")

    @pytest.mark.parametrize("name", list(BAD_FILES))
    async def test_no_bad_file_takes_the_seat_of_a_model_that_answers(self, tmp_path: Path, name: str) -> None:
        store = ModelFolder(tmp_path)
        store.save(OLD, OLD_BLOB)
        store.promote(OLD.version, passing(OLD))
        models, watcher, _ = local(tmp_path)
        task = asyncio.create_task(watcher.run())
        await until(lambda: speaks(watcher, OLD.version))
        blob = BAD_FILES[name][0]()
        bad = replace(THIRD, sha256=sha256(blob).hexdigest())  # a digest that fits makes no model of it
        store.save(bad, blob)
        store.promote(bad.version, passing(bad, champion=OLD.version))
        await until(lambda: watcher.lineup().faults)
        task.cancel()
        models.close()
        assert speaks(watcher, OLD.version)
        (fault,) = watcher.lineup().faults
        assert fault.startswith(f"lstm of BTC-USD: {bad.version} is promoted and cannot be used: the weights of ")
        assert re.search(BAD_FILES[name][1], fault)
        assert fault.endswith(f"{OLD.version} speaks on")

    async def test_a_file_that_goes_bad_under_a_running_model_is_harmless_until_it_is_loaded_again(
        self, tmp_path: Path
    ) -> None:
        make_store(tmp_path)
        models, watcher, forecasters = local(tmp_path)
        task = asyncio.create_task(watcher.run())
        await until(lambda: speaks(watcher, OLD.version))
        (tmp_path / file_name(OLD)).write_bytes(b"")
        (found,) = await forecasters.forecast(minutes("BTC-USD"), watcher.lineup(), timeout_seconds=60.0)
        assert found.forecasts[0].probability is not None
        fresh, _, again = local(tmp_path)
        (told,) = await again.forecast(minutes("BTC-USD"), watcher.lineup(), timeout_seconds=60.0)
        task.cancel()
        models.close()
        fresh.close()
        assert told.forecasts[0].probability is None
        assert "sha256" in (told.forecasts[0].problem or "")

    async def test_without_torch_the_remedy_is_named_and_an_empty_folder_needs_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        monkeypatch.delitem(sys.modules, "core.models.shelf", raising=False)
        models, watcher, _ = local(tmp_path)
        task = asyncio.create_task(watcher.run())
        await asyncio.sleep(0.05)
        assert await watcher.problem() is None
        make_store(tmp_path)
        await until(lambda: watcher.lineup().faults)
        task.cancel()
        models.close()
        assert "torch, which is not installed; remedy: make torch" in watcher.lineup().faults[0]
        assert watcher.lineup().seats == ()

    async def test_numbers_are_multiplied_whole_whatever_torch_does_by_itself(self, tmp_path: Path) -> None:
        before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
        torch.backends.cudnn.allow_tf32 = True
        torch.set_float32_matmul_precision("high")
        try:
            open_shelf(str(tmp_path))
            assert not torch.backends.cudnn.allow_tf32
            assert torch.get_float32_matmul_precision() == "highest"
        finally:
            torch.backends.cudnn.allow_tf32 = before[0]
            torch.set_float32_matmul_precision(before[1])

    async def test_a_model_that_hangs_costs_no_more_than_its_time(self, tmp_path: Path) -> None:
        released = threading.Event()

        def hang() -> None:
            released.wait(600.0)
            raise CrpbotError(Code.UNAVAILABLE, "gone", reason="GONE")

        models = LocalModels(hang)  # type: ignore[arg-type]  # it never gives a shelf
        forecasters = GroupForecasters([ModelGroup(KINDS, models)], lambda: LINEUP)
        started = time.monotonic()
        (found,) = await forecasters.forecast(minutes("BTC-USD"), LINEUP, timeout_seconds=0.2)
        released.set()
        models.close()
        assert time.monotonic() - started < 60.0
        assert found.forecasts[0].problem == "the deadline had passed before it answered"

    async def test_a_model_that_hangs_does_not_take_the_answers_of_the_others(self) -> None:
        found, ends = Findings((), ()), time.monotonic() + 60.0
        while not found.readings:  # on a machine that stands still even the one that answers may be late
            assert time.monotonic() < ends
            release = threading.Event()
            models = LocalModels(lambda: hanging_shelf(release))  # noqa: B023  # it is called before the next round
            await models.prepare(["well", "hung"])
            found = await ask(models, "well", "hung", seconds=0.3)
            release.set()
            models.close()
        assert [reading.theory for reading in found.readings] == ["well"]
        assert [(gap.theory, gap.reason) for gap in found.missing] == [("hung", "deadline")]

    async def test_a_computation_that_never_ends_is_told_and_another_thread_asks_the_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(local_models, "STUCK_SECONDS", 0.1)
        release, entered = threading.Event(), threading.Event()
        models = LocalModels(lambda: hanging_shelf(release, entered))
        given_up = asyncio.create_task(ask(models, "hung"))
        assert await asyncio.to_thread(entered.wait, 60.0)
        given_up.cancel()
        await until(models.hung)
        told = await models.prepare(["well", "hung"])
        found = await ask(models, "well", "hung")
        release.set()
        assert told == {"well": "", "hung": "a computation of it has not ended for 0.1 s"}
        assert [reading.theory for reading in found.readings] == ["well"]
        assert [(gap.theory, gap.reason) for gap in found.missing] == [("hung", "failed")]
        await until(lambda: not models.hung())
        assert [reading.theory for reading in (await ask(models, "hung")).readings] == ["hung"]
        models.close()

    async def test_what_is_opened_while_the_first_question_comes_is_opened_once(self) -> None:
        made: list[FakeShelf] = []

        def open_slowly() -> ModelShelf:
            time.sleep(0.1)
            made.append(hanging_shelf(threading.Event()))  # type: ignore[arg-type]
            return made[-1]  # type: ignore[return-value]

        models = LocalModels(open_slowly)
        await asyncio.gather(models.prepare(["well"]), ask(models, "well"))
        models.close()
        assert len(made) == 1

    async def test_each_kind_answers_within_bounds(self, tmp_path: Path) -> None:
        store = ModelFolder(tmp_path)
        manifests = []
        for kind in Kind:
            manifest, blob = make_model(kind)
            store.save(manifest, blob)
            store.promote(manifest.version, passing(manifest))
            manifests.append(manifest)
        models, watcher, forecasters = local(tmp_path)
        task = asyncio.create_task(watcher.run())
        await until(lambda: speaks(watcher, *(each.version for each in manifests)))
        (found,) = await forecasters.forecast(minutes("BTC-USD"), watcher.lineup(), timeout_seconds=60.0)
        task.cancel()
        models.close()
        assert [each.problem for each in found.forecasts] == [None] * 3
        assert all(0.0 <= (each.probability or -1.0) <= 1.0 for each in found.forecasts)


class PreparedShelf(FakeShelf):
    """A shelf that has all that it is told to prepare."""

    def prepare(self, versions: Sequence[str]) -> dict[str, str]:
        return dict.fromkeys(versions, "")


def hanging_shelf(release: threading.Event, entered: threading.Event | None = None) -> ModelShelf:
    """One model answers, and the other only once it is let go."""

    def hang(rows: torch.Tensor) -> torch.Tensor:
        if entered is not None:
            entered.set()
        release.wait(120.0)
        return rows[:, 0, 0]

    return PreparedShelf(well=Answers(lambda rows: rows[:, 0, 0]), hung=Answers(hang))  # type: ignore[return-value]


async def ask(models: LocalModels, *versions: str, seconds: float = 60.0) -> Findings:
    ((found,),) = await models.analyze([windows("BTC-USD")], versions, seconds)
    return found


def watch(folder: Path, models: LocalModels) -> LineupWatcher:
    groups = [ModelGroup(KINDS, models)]
    return LineupWatcher(
        ModelFolder(folder), LinesFolder(folder), lambda wanted: prepare_groups(groups, wanted), poll_seconds=0.01
    )


def local(folder: Path) -> tuple[LocalModels, LineupWatcher, GroupForecasters]:
    models = LocalModels(lambda: open_shelf(str(folder)))
    watcher = watch(folder, models)
    return models, watcher, GroupForecasters([ModelGroup(KINDS, models)], watcher.lineup)
