"""Which models speak: a promotion is taken up while questions go on, and whatever fails leaves those that spoke."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import pytest

from core.ensemble import Line
from core.errors import Code, CrpbotError
from core.forecasts.lineup import Lineup
from core.market import stack_windows
from core.models.manifest import Manifest
from core.models.store import Entry, Slot
from core.models.weighting import Weights
from serving import lineup as watching
from serving.forecasters import GroupForecasters, ModelGroup
from serving.lineup import LineupWatcher
from tests.core.quick_time import in_quick_time
from tests.core.virtual_time import until
from tests.fakes import walk_candles
from tests.serving.fake_models import (
    BTC,
    COINS,
    EVERY,
    NEW,
    OLD,
    THIRD,
    FakeReplicas,
    FakeStore,
    chance,
    damaged,
    entry,
    offset,
    speaks,
)

BAD = "the weights have nan in lstm.weight_ih_l0"


@asynccontextmanager
async def watched(
    store: FakeStore, replicas: FakeReplicas, *, poll_seconds: float = 0.005
) -> AsyncIterator[LineupWatcher]:
    watcher = LineupWatcher(store, store, replicas.try_out, poll_seconds=poll_seconds)
    task = asyncio.create_task(watcher.run())
    try:
        yield watcher
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def looks(count: int = 5) -> None:
    """As long as the watcher needs for some looks, to show that nothing happens."""
    await asyncio.sleep(0.02 * count)


async def until_told(watcher: LineupWatcher, words: str) -> None:
    """Until readiness says so."""
    async with asyncio.timeout(60.0):
        while words not in (await watcher.problem() or ""):
            await asyncio.sleep(0.005)


async def until_well(watcher: LineupWatcher) -> None:
    """Until readiness has nothing to say."""
    async with asyncio.timeout(60.0):
        while await watcher.problem() is not None:
            await asyncio.sleep(0.005)


PAUSES = {name: getattr(watching, name) for name in ("FIRST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS")}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(watching, "LONGEST_PAUSE_SECONDS", 0.02)


async def test_what_is_promoted_at_the_start_is_taken_up() -> None:
    async with watched(FakeStore(OLD, COINS), FakeReplicas()) as watcher:
        assert watcher.lineup() == Lineup()
        await until(lambda: speaks(watcher, OLD.version, COINS.version))
        assert await watcher.problem() is None
        (line,) = watcher.lineup().lines["BTC-USD"]
        assert line.intercept == pytest.approx(offset([OLD.version, COINS.version]))


async def test_an_empty_folder_asks_no_replica() -> None:
    replicas = FakeReplicas()
    async with watched(FakeStore(), replicas) as watcher:
        await looks()
        assert (replicas.asked, watcher.lineup().versions) == ([], ())
        assert await watcher.problem() is None


async def test_a_promotion_is_loaded_beside_the_model_that_speaks_and_then_takes_its_seat() -> None:
    store, replicas = FakeStore(OLD), FakeReplicas()
    async with watched(store, replicas) as watcher:
        await until(lambda: speaks(watcher, OLD.version))
        store.promote(NEW)
        await until(lambda: speaks(watcher, NEW.version))
        assert replicas.asked[1] == (NEW.version, OLD.version)
        store.promote(OLD)
        await until(lambda: speaks(watcher, OLD.version))


@pytest.mark.parametrize("where", ["weights", "manifest"])
async def test_a_bad_file_leaves_the_model_before_it_in_its_seat_and_is_named(where: str) -> None:
    store, replicas = FakeStore(OLD), FakeReplicas(problems={NEW.version: BAD})
    async with watched(store, replicas) as watcher:
        await until(lambda: speaks(watcher, OLD.version))
        store.here[BTC] = entry(NEW) if where == "weights" else damaged(NEW)
        await until(lambda: watcher.lineup().faults)
        assert speaks(watcher, OLD.version)
        told = await watcher.problem()
        name, why = (NEW.version, BAD) if where == "weights" else (store.here[BTC].file, "is torn")
        assert told is not None
        assert told.startswith(f"lstm of BTC-USD: {name} is promoted and cannot be used: ")
        assert why in told
        assert told.endswith(f"; {OLD.version} speaks on")
        (line,) = watcher.lineup().lines["BTC-USD"]
        assert line.intercept == chance(OLD.version), "the line is that of the model which speaks"
        replicas.problems.clear()
        store.promote(THIRD)
        await until(lambda: speaks(watcher, THIRD.version))
        assert await watcher.problem() is None


async def test_a_file_that_is_mended_is_found_without_another_promotion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "CHECK_SECONDS", 0.02)
    store, replicas = FakeStore(NEW), FakeReplicas(problems={NEW.version: BAD})
    async with watched(store, replicas) as watcher:
        await until(lambda: watcher.lineup().faults)
        replicas.problems.clear()
        await until(lambda: speaks(watcher, NEW.version))


class CountedStore(FakeStore):
    """A store that counts how often it is looked at."""

    looks = 0

    def promoted(self) -> dict[Slot, Entry]:
        self.looks += 1
        return super().promoted()


async def watch_ten_minutes(
    monkeypatch: pytest.MonkeyPatch, store: CountedStore, replicas: FakeReplicas, poll_seconds: float
) -> tuple[int, int]:
    """How often store and replicas are asked in ten minutes that pass at once."""

    async def at_once(work: Callable[[], object], *arguments: object) -> object:
        return work(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", at_once)
    for name, seconds in PAUSES.items():
        monkeypatch.setattr(watching, name, seconds)
    async with watched(store, replicas, poll_seconds=poll_seconds):
        await asyncio.sleep(600.0)
    return store.looks, len(replicas.asked)


@pytest.mark.parametrize("poll_seconds", [1.0, 30.0], ids=["folder", "bucket"])
@pytest.mark.parametrize("role", ["promoted", "candidate"])
@in_quick_time
async def test_a_file_that_stays_bad_costs_no_more_looks_and_no_more_loads_than_a_good_one(
    monkeypatch: pytest.MonkeyPatch, role: str, poll_seconds: float
) -> None:
    asked = []
    for problems in ({}, {NEW.version: BAD}):
        store = CountedStore(NEW if role == "promoted" else OLD)
        store.trials = {BTC: entry(NEW)} if role == "candidate" else {}
        asked.append(await watch_ten_minutes(monkeypatch, store, FakeReplicas(problems=problems), poll_seconds))
    (looks, loads), bad = asked
    assert bad == (looks, loads)
    assert looks <= 600.0 / poll_seconds + 1
    assert loads <= 600.0 / watching.CHECK_SECONDS + 1


@in_quick_time
async def test_a_replica_that_gives_no_answer_is_asked_again_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = FakeReplicas(problems={NEW.version: "it was not loaded within 30 s"}, unknown=frozenset({NEW.version}))
    _, loads = await watch_ten_minutes(monkeypatch, CountedStore(NEW), silent, 30.0)
    assert loads >= 600.0 / watching.LONGEST_PAUSE_SECONDS - 1


async def test_after_the_last_demotion_replicas_are_told_to_let_go() -> None:
    store, replicas = FakeStore(OLD), FakeReplicas()
    async with watched(store, replicas) as watcher:
        await until(lambda: speaks(watcher, OLD.version))
        del store.here[BTC]
        await until(lambda: replicas.asked[-1] == ())
        assert watcher.lineup().seats == ()


async def test_a_model_that_is_still_being_loaded_is_promised_from_the_first_look_on() -> None:
    store = TornLines(OLD)
    store.answers.clear()  # not even the lines have been read
    async with watched(store, FakeReplicas(hangs=True)) as watcher:
        try:
            await until(lambda: watcher.lineup().staffed(["BTC-USD"]))
            assert watcher.lineup().seats == ()
        finally:
            store.answers.set()


async def test_a_bad_file_at_the_start_silences_that_model_alone() -> None:
    replicas = FakeReplicas(problems={OLD.version: BAD})
    async with watched(FakeStore(OLD, COINS), replicas) as watcher:
        await until(lambda: speaks(watcher, COINS.version))
        told = await watcher.problem()
        assert told is not None
        assert told.endswith(f"{BAD}; nothing speaks in its place")


async def test_a_demotion_takes_the_seat_at_once_even_while_replicas_hang() -> None:
    store, replicas = FakeStore(OLD, COINS), FakeReplicas()
    async with watched(store, replicas) as watcher:
        await until(lambda: speaks(watcher, OLD.version, COINS.version))
        replicas.hangs = True
        store.promote(NEW)
        await until(lambda: len(replicas.asked) == 2)
        del store.here[EVERY]
        await until(lambda: speaks(watcher, OLD.version))
        await until(lambda: watcher.lineup().lines)
        (line,) = watcher.lineup().lines["BTC-USD"]
        assert line.kinds == ("lstm",)


class TornLines(FakeStore):
    """A store whose models can be read, and whose lines raise or hang when a test says so."""

    def __init__(self, *manifests: Manifest) -> None:
        super().__init__(*manifests)
        self.failure: Exception | None = None
        self.answers = threading.Event()
        self.answers.set()

    def lines(
        self, promoted: Mapping[Slot, Entry], weights: Weights
    ) -> tuple[dict[str, tuple[Line, ...]], tuple[str, ...]]:
        self.answers.wait(120.0)
        if self.failure is not None:
            raise self.failure
        return super().lines(promoted, weights)


UNREADABLE = CrpbotError(Code.UNAVAILABLE, "the lines in /m cannot be read (denied)", reason="STORE_UNREADABLE")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UNREADABLE, "the lines in /m cannot be read (denied)"),
        (ValueError("not a number"), "the lines of calibration cannot be read (ValueError)"),
    ],
)
async def test_a_demotion_needs_no_lines_and_lines_that_cannot_be_read_are_named(error: Exception, words: str) -> None:
    store = TornLines(OLD, COINS)
    async with watched(store, FakeReplicas()) as watcher:
        await until(lambda: speaks(watcher, OLD.version, COINS.version))
        store.failure = error
        await until(lambda: watcher.lineup().faults)
        assert await watcher.problem() == f"{words}; the lines read before hold"
        assert watcher.lineup().lines, "they are those of the models that speak"
        del store.here[EVERY]
        await until(lambda: speaks(watcher, OLD.version))
        assert watcher.lineup().lines == {}, "they were those of other models"
        await until(lambda: watcher.lineup().faults)
        assert await watcher.problem() == f"{words}; what the models say is uncalibrated"
        store.failure = None
        await until(lambda: watcher.lineup().lines)
        assert await watcher.problem() is None


async def test_a_demotion_waits_for_no_lines_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PATIENCE_SECONDS", 0.05)
    store = TornLines(OLD, COINS)
    async with watched(store, FakeReplicas(seconds=0.05)) as watcher:
        try:
            await until(lambda: speaks(watcher, OLD.version, COINS.version))
            store.promote(NEW)
            await looks(1)  # the replicas are loading it
            store.answers.clear()
            del store.here[EVERY]
            await until(lambda: COINS.version not in watcher.lineup().versions)
            await until_told(watcher, "has not answered for")
        finally:
            store.answers.set()
        await until(lambda: speaks(watcher, NEW.version))


async def test_a_look_that_fails_as_nobody_has_foreseen_is_told_and_the_next_one_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = FakeStore(OLD)
    async with watched(store, FakeReplicas()) as watcher:
        await until(lambda: speaks(watcher, OLD.version))
        with monkeypatch.context() as patch:
            patch.setattr(store, "promoted", lambda: {BTC: None})
            told = "a look at the models failed (AttributeError); the models that speak now speak on"
            await until_told(watcher, told)
            assert await watcher.problem() == told
        store.promote(NEW)
        await until(lambda: speaks(watcher, NEW.version))
        await until_well(watcher)


async def test_what_failed_is_tried_again_on_time_however_seldom_the_store_is_looked_at() -> None:
    replicas = FakeReplicas(failure=CrpbotError(Code.UNAVAILABLE, "Ray is away", reason="AWAY"))
    async with watched(FakeStore(OLD), replicas, poll_seconds=3_600.0) as watcher:
        await until(lambda: len(replicas.asked) > 2)
        replicas.failure = None
        await until(lambda: speaks(watcher, OLD.version))


async def test_a_store_that_cannot_be_read_is_asked_no_sooner_than_usual() -> None:
    store, replicas = FakeStore(OLD), FakeReplicas(failure=CrpbotError(Code.UNAVAILABLE, "away", reason="AWAY"))
    async with watched(store, replicas, poll_seconds=3_600.0) as watcher:
        await until(lambda: replicas.asked)
        store.broken = OSError("stale handle")
        await until_told(watcher, "cannot be read")
        store.broken, tried = None, len(replicas.asked)
        await looks()
        assert "cannot be read" in (await watcher.problem() or "")
        assert len(replicas.asked) == tried


async def test_models_in_a_bucket_are_not_called_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PATIENCE_SECONDS", -1.0)
    store, answers = FakeStore(OLD), threading.Event()
    monkeypatch.setattr(store, "candidates", lambda: answers.wait() and {})
    watcher = LineupWatcher(store, store, FakeReplicas().try_out, place="models' place")
    told = "nobody watches the models' place; the models that speak now speak on; restart the server"
    assert await watcher.problem() == told
    look = asyncio.create_task(watcher.look())
    try:
        await until_told(watcher, "; the models' place has not answered for ")
    finally:
        answers.set()
        await look


async def test_a_watch_that_has_ended_is_told() -> None:
    async with watched(FakeStore(OLD), FakeReplicas()) as watcher:
        await until(lambda: speaks(watcher, OLD.version))
        assert await watcher.problem() is None
    told = "nobody watches the model folder; the models that speak now speak on; restart the server"
    assert await watcher.problem() == told
    assert speaks(watcher, OLD.version)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            CrpbotError(Code.UNAVAILABLE, "the models in /m cannot be read (denied)", reason="STORE_UNREADABLE"),
            "denied",
        ),
        (OSError("stale handle"), "the models cannot be read (OSError)"),
    ],
)
async def test_a_folder_that_cannot_be_read_changes_nothing_and_is_named(error: Exception, words: str) -> None:
    store, replicas = FakeStore(OLD), FakeReplicas()
    async with watched(store, replicas) as watcher:
        await until(lambda: speaks(watcher, OLD.version))
        store.broken = error
        await until_told(watcher, words)
        assert speaks(watcher, OLD.version)
        store.broken = None
        await until_well(watcher)


async def test_a_folder_that_hangs_is_named_and_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PATIENCE_SECONDS", 0.05)
    store = FakeStore(OLD)
    released = threading.Event()
    async with watched(store, FakeReplicas()) as watcher:
        await until(lambda: speaks(watcher, OLD.version))
        monkeypatch.setattr(store, "candidates", lambda: released.wait(120.0) and {})
        try:
            await until_told(watcher, "has not answered for")
            assert speaks(watcher, OLD.version)
        finally:
            released.set()


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ConnectionError("actor died"), "the replicas cannot be asked (ConnectionError: actor died)"),
        (CrpbotError(Code.UNAVAILABLE, "lstm: not attached to Ray Serve", reason="X"), "lstm: not attached"),
    ],
)
async def test_replicas_that_fail_are_asked_again_and_the_earlier_lineup_stays(failure: Exception, words: str) -> None:
    store, replicas = FakeStore(OLD), FakeReplicas()
    async with watched(store, replicas) as watcher:
        await until(lambda: speaks(watcher, OLD.version))
        replicas.failure = failure
        store.promote(NEW)
        await until(lambda: len(replicas.asked) >= 4)
        assert speaks(watcher, OLD.version)
        told = await watcher.problem()
        assert told is not None
        assert words in told
        replicas.failure = None
        await until(lambda: speaks(watcher, NEW.version))
        assert await watcher.problem() is None


async def test_replicas_that_hang_are_given_up_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PREPARE_SECONDS", 0.03)
    store, replicas = FakeStore(OLD), FakeReplicas(hangs=True)
    async with watched(store, replicas) as watcher:
        await until(lambda: len(replicas.asked) >= 2)
        told = await watcher.problem()
        assert told == "the replicas did not load the models within 0.03 s; the models that speak now speak on"
        replicas.hangs = False
        await until(lambda: speaks(watcher, OLD.version))


async def test_the_last_of_many_promotions_is_the_one_that_speaks() -> None:
    store, replicas = FakeStore(OLD), FakeReplicas(seconds=0.05)
    async with watched(store, replicas) as watcher:
        await until(lambda: speaks(watcher, OLD.version))
        for each in (NEW, THIRD, NEW, THIRD):
            store.promote(each)
            await asyncio.sleep(0.02)
        await until(lambda: speaks(watcher, THIRD.version))
        await looks()
        assert speaks(watcher, THIRD.version)


async def test_a_candidate_sits_beside_and_leaves_when_it_is_withdrawn() -> None:
    store, replicas = FakeStore(OLD), FakeReplicas()
    store.trials = {BTC: entry(NEW)}
    async with watched(store, replicas) as watcher:
        await until(lambda: speaks(watcher, OLD.version, NEW.version))
        assert [(seat.manifest.version, seat.candidate) for seat in watcher.lineup().seats] == [
            (OLD.version, False),
            (NEW.version, True),
        ]
        replicas.hangs = True
        store.trials = {}
        await until(lambda: speaks(watcher, OLD.version))


async def test_a_bad_candidate_is_named_and_harms_nobody() -> None:
    store, replicas = FakeStore(OLD), FakeReplicas(problems={NEW.version: BAD})
    store.trials = {BTC: entry(NEW)}
    async with watched(store, replicas) as watcher:
        await until(lambda: speaks(watcher, OLD.version))
        assert await watcher.problem() == f"lstm of BTC-USD: the candidate {NEW.version} cannot be used: {BAD}"


async def test_a_candidate_that_is_promoted_has_one_seat() -> None:
    store = FakeStore(NEW)
    store.trials = {BTC: entry(NEW)}
    async with watched(store, FakeReplicas()) as watcher:
        await until(lambda: watcher.lineup().seats)
        assert [seat.candidate for seat in watcher.lineup().seats] == [False]


async def test_fresh_lines_hold_without_a_promotion() -> None:
    store = FakeStore(OLD)
    async with watched(store, FakeReplicas()) as watcher:
        await until(lambda: speaks(watcher, OLD.version))
        store.slope, store.faults = 2.0, ("ensemble_BTC-USD_lines.json: was changed",)
        await until(lambda: watcher.lineup().lines["BTC-USD"][0].slope == 2.0)
        assert await watcher.problem() == "ensemble_BTC-USD_lines.json: was changed"


async def test_a_coins_own_model_speaks_before_one_of_all_coins() -> None:
    store = FakeStore(OLD)
    store.here = {**store.here, Slot(OLD.kind, "multi"): Entry("lstm_multi.pt", THIRD)}
    async with watched(store, FakeReplicas()) as watcher:
        await until(lambda: speaks(watcher, OLD.version, THIRD.version))
        assert [seat.manifest.version for seat in watcher.lineup().seats] == [THIRD.version, OLD.version]


async def test_no_question_fails_and_none_mixes_versions_while_models_are_swapped_under_load() -> None:
    store, replicas = FakeStore(OLD, COINS), FakeReplicas(seconds=0.01)
    windows = stack_windows([walk_candles("BTC-USD", "1m", 400)], 400, origins=("fake",))
    seen: set[str] = set()

    async with watched(store, replicas) as watcher:
        forecasters = GroupForecasters([ModelGroup(("lstm", "transformer", "ppo"), replicas)], watcher.lineup)
        await until(lambda: speaks(watcher, OLD.version, COINS.version))

        async def ask() -> None:
            lineup = forecasters.lineup()
            (outlook,) = await forecasters.forecast(windows, lineup, timeout_seconds=60.0)
            versions = [each.version for each in outlook.forecasts if each.version]
            assert versions == [seat.manifest.version for seat in sorted(lineup.seats, key=lambda seat: seat[0].kind)]
            assert [each.probability for each in outlook.forecasts if each.version] == list(map(chance, versions))
            assert outlook.line is not None
            assert math.isclose(outlook.line.intercept, offset(versions))
            seen.update(versions)

        asked = []
        for promoted in (NEW, THIRD, OLD) * 5:
            store.promote(promoted)
            async with asyncio.timeout(60.0):
                while not speaks(watcher, promoted.version, COINS.version):
                    asked.append(asyncio.create_task(ask()))
                    await asyncio.sleep(0.005)
            asked.append(asyncio.create_task(ask()))
        failed = [each for each in await asyncio.gather(*asked, return_exceptions=True) if each is not None]
    assert failed == []
    assert {OLD.version, NEW.version, THIRD.version, COINS.version} <= seen
