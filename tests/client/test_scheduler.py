"""The scheduler against a server of real HTTP, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from threading import Barrier, Thread

import pytest

from client.grid import Grid, write_slot
from client.happenings import Failed, Happening, Overlapped, Retrying, Scanned, Waiting
from client.lock import HeldError, LastScan, SchedulerLock
from client.scheduler import Plan, Scheduler, Surroundings, pause
from client.sdk import ApiError, Client
from tests.fake_signals import FakeSignals, Fault

SLOT = 1_795_262_700  # 2026-11-21T12:05:00Z
START = SLOT + 130.0
HOUR = 3_600.0
CLIENTS: list[Client] = []


@dataclass
class TestClock:
    """Time passes while somebody sleeps. `leaps` move both clocks (a machine asleep), `jumps` the wall's alone."""

    __test__ = False
    now: float = START
    passed: float = 5_000.0
    jumps: dict[float, float] = field(default_factory=dict)
    freezes: dict[float, float] = field(default_factory=dict)

    def wall(self) -> float:
        return self.now

    def steady(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0.0
        self.go_on(seconds)

    def go_on(self, seconds: float) -> None:
        """So much time passes, and what was to happen by then happens."""
        self.now += seconds
        self.passed += seconds
        for at in [at for at in self.freezes if at <= self.passed]:
            frozen = self.freezes.pop(at)
            self.now += frozen
            self.passed += frozen
        for at in [at for at in self.jumps if at <= self.passed]:
            self.now += self.jumps.pop(at)


@dataclass
class Run:
    """A scheduler with all that happened to it."""

    scheduler: Scheduler
    happened: list[Happening]
    noted: list[LastScan]

    def scanned(self) -> list[Scanned]:
        return [each for each in self.happened if isinstance(each, Scanned)]

    def failed(self) -> list[Failed]:
        return [each for each in self.happened if isinstance(each, Failed)]


@pytest.fixture(autouse=True)
def clients() -> Iterator[None]:
    """Ends the connections of the test's schedulers."""
    yield
    while CLIENTS:
        CLIENTS.pop().close()


def make_run(
    url: str,
    clock: TestClock,
    *,
    iterations: int,
    seconds: int = 300,
    symbols: tuple[str, ...] = ("ETH-USD", "BTC-USD"),
    before: LastScan | None = None,
) -> Run:
    happened: list[Happening] = []
    noted: list[LastScan] = []
    around = Surroundings(clock, lambda: 0.5, happened.append, noted.append)
    plan = Plan(symbols, Grid(seconds), iterations=iterations)
    CLIENTS.append(Client(url))
    return Run(Scheduler(plan, CLIENTS[-1], around, before=before), happened, noted)


@contextmanager
def scheduling(fake: FakeSignals, clock: TestClock, **how: object) -> Iterator[Run]:
    with fake:
        run = make_run(fake.url, clock, **how)  # type: ignore[arg-type]
        run.scheduler.run()
        yield run


def slots(fake: FakeSignals) -> list[str]:
    """The slots that were asked for, without the date."""
    return [call.body["slot"][11:16] for call in fake.calls]


def test_the_first_scan_comes_at_once_and_the_others_a_moment_after_each_close() -> None:
    fake, clock = FakeSignals(), TestClock()
    with scheduling(fake, clock, iterations=4) as run:
        begun = [each.tick.wall for each in run.scanned()]
    assert begun == [START, SLOT + 304.0, SLOT + 604.0, SLOT + 904.0]
    assert slots(fake) == ["12:05", "12:10", "12:15", "12:20"]
    assert [each.tick.is_first for each in run.scanned()] == [True, False, False, False]
    assert not any(each.tick.is_late for each in run.scanned())
    assert run.scheduler.tally.missed == run.scheduler.tally.overlapped == 0


def test_a_start_just_after_the_close_waits_until_the_candle_is_there() -> None:
    fake, clock = FakeSignals(), TestClock(now=SLOT + 1.0)
    with scheduling(fake, clock, iterations=1) as run:
        assert run.scanned()[0].tick.wall == SLOT + 4.0
    assert slots(fake) == ["12:05"]


def test_a_start_at_the_very_end_of_a_slot_waits_for_the_next_one() -> None:
    fake, clock = FakeSignals(), TestClock(now=SLOT + 299.5)
    with scheduling(fake, clock, iterations=1) as run:
        assert run.scanned()[0].tick.wall == SLOT + 304.0
        assert run.scheduler.tally.failed == run.scheduler.tally.missed == 0
    assert slots(fake) == ["12:10"]


def test_one_call_asks_for_all_symbols_and_answers_come_in_the_users_order() -> None:
    fake = FakeSignals()
    with scheduling(fake, TestClock(), iterations=1) as run:
        assert [signal["symbol"] for signal in run.scanned()[0].signals] == ["ETH-USD", "BTC-USD"]
    [call] = fake.calls
    assert call.body == {"symbols": ["BTC-USD", "ETH-USD"], "slot": "2026-11-21T12:05:00Z"}
    assert call.timeout_seconds == 30.0


def test_a_call_never_waits_beyond_the_end_of_its_slot() -> None:
    fake = FakeSignals()
    with scheduling(fake, TestClock(now=SLOT + 290.0), iterations=1):
        pass
    assert fake.calls[0].timeout_seconds == 10.0


def test_the_key_names_slot_and_words_and_not_the_order_of_the_symbols() -> None:
    grid = Grid(300)
    plan = Plan(("BTC-USD", "ETH-USD"), grid)
    assert plan.key(SLOT) == Plan(("ETH-USD", "BTC-USD"), grid).key(SLOT)
    others = {
        plan.key(SLOT + 300),
        Plan(("BTC-USD",), grid).key(SLOT),
        Plan(("BTC-USD", "ETH-USD"), grid, mode="aggressive").key(SLOT),
        Plan(("BTC-USD", "ETH-USD"), grid, account="second").key(SLOT),
    }
    assert len(others | {plan.key(SLOT)}) == 5
    assert len(plan.key(SLOT)) <= 255
    assert plan.key(SLOT).isascii()


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (Fault(409, "7", "IN_PROGRESS"), 7.25),
        (Fault(429, "20", "TOO_MANY"), 20.25),
        (Fault(503, "3"), 3.25),
        (Fault(503), 1.25),
        (Fault(0, works=True), 1.25),
    ],
    ids=["in progress", "too many", "unavailable", "no hint", "answer lost"],
)
def test_a_call_that_may_succeed_later_is_made_again_under_its_key(fault: Fault, seconds: float) -> None:
    fake = FakeSignals(faults=[fault])
    with scheduling(fake, TestClock(), iterations=1) as run:
        [scanned] = run.scanned()
        assert (scanned.attempts, scanned.seconds) == (2, seconds)
    first, second = fake.calls
    assert (first.key, first.body) == (second.key, second.body)
    assert len(fake.decided) == 2, "one signal a symbol"
    assert [each.seconds for each in run.happened if isinstance(each, Retrying)] == [seconds]


def test_pauses_double_up_to_a_bound_and_never_undercut_the_server() -> None:
    silent = ApiError("nobody")
    assert [pause(silent, attempt, 0.0) for attempt in range(1, 7)] == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert pause(ApiError("busy", status=429, retry_after_seconds=30.0), 1, 0.99) >= 30.0


def test_nothing_is_repeated_once_the_slot_is_over() -> None:
    clock = TestClock(now=SLOT + 250.0)
    fake = FakeSignals(faults=[Fault(503)] * 100)
    with scheduling(fake, clock, iterations=2) as run:
        first, second = run.failed()
        assert first.detail == "refused with 503"
        assert (first.tick.slot, second.tick.slot) == (SLOT, SLOT + 300)
    early = [call for call in fake.calls if call.body["slot"] == write_slot(SLOT)]
    assert 1 < len(early) <= 10
    assert run.scheduler.tally.failed == 2
    assert run.scheduler.tally.overlapped == 0


def test_a_wait_that_is_longer_than_the_slot_is_not_begun() -> None:
    clock = TestClock(now=SLOT + 250.0)
    with scheduling(FakeSignals(faults=[Fault(429, "60")]), clock, iterations=1) as run:
        assert run.failed()[0].attempts == 1
    assert clock.now == SLOT + 250.0


def test_a_first_call_that_can_never_succeed_ends_the_scheduler() -> None:
    with FakeSignals(faults=[Fault(422)]) as fake:
        run = make_run(fake.url, TestClock(), iterations=-1)
        with pytest.raises(ApiError, match="refused with 422"):
            run.scheduler.run()
    assert len(fake.calls) == 1


def test_a_later_refusal_costs_its_slot_alone() -> None:
    fake = FakeSignals()
    with fake:
        run = make_run(fake.url, TestClock(), iterations=3)
        fake.on_call = lambda: fake.faults.append(Fault(422)) if len(fake.calls) == 1 else None
        run.scheduler.run()
    assert slots(fake) == ["12:05", "12:10", "12:15"]
    assert len(run.failed()) == 1


def test_a_server_that_is_not_there_yet_is_waited_for_within_the_slot() -> None:
    fake = FakeSignals()
    with fake:
        url = fake.url
    run = make_run(url, TestClock(now=SLOT + 200.0), iterations=1)
    run.scheduler.run()
    assert run.failed()[0].attempts > 3
    assert "no server answers" in run.failed()[0].detail


def test_a_scan_longer_than_its_interval_costs_the_slots_it_covered_and_never_runs_beside_another() -> None:
    clock = TestClock(now=SLOT + 10.0)
    fake = FakeSignals()
    with fake:
        run = make_run(fake.url, clock, iterations=3)
        fake.on_call = lambda: clock.go_on(650.0) if len(fake.calls) == 1 else None
        run.scheduler.run()
    assert slots(fake) == ["12:05", "12:20", "12:25"]
    assert [each.count for each in run.happened if isinstance(each, Overlapped)] == [2]
    assert run.scheduler.tally.overlapped == 2
    assert run.scheduler.tally.missed == 0
    assert fake.busiest == 1


def test_a_frozen_process_asks_once_for_the_slot_of_now_and_calls_it_late() -> None:
    clock = TestClock(freezes={5_100.0: HOUR})
    fake = FakeSignals()
    with scheduling(fake, clock, iterations=3) as run:
        _, late, next_one = run.scanned()
        assert late.tick.is_late
        assert late.tick.missed == 11
        assert not next_one.tick.is_late
    assert slots(fake) == ["12:05", "13:05", "13:10"]
    assert run.scheduler.tally.missed == 11


def test_a_process_frozen_while_it_waits_to_repeat_sends_nothing_old() -> None:
    clock = TestClock(freezes={5_000.5: HOUR})
    fake = FakeSignals(faults=[Fault(503)])
    with scheduling(fake, clock, iterations=2) as run:
        assert run.failed()[0].tick.slot == SLOT
    assert slots(fake) == ["12:05", "13:10"], "the slot of the fault once, and then the next of the grid"
    assert run.scheduler.tally.overlapped == 12


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 2 * HOUR + 100.0])
def test_a_jump_of_the_wall_clock_makes_no_burst_and_misses_nothing(jump: float) -> None:
    clock = TestClock(jumps={5_400.0: jump})
    with scheduling(FakeSignals(), clock, iterations=12) as run:
        begun = [each.tick.steady for each in run.scanned()]
    between = [later - earlier for earlier, later in pairwise(begun)]
    assert sorted(between)[2:] == [300.0] * 9, "but for the first after the start and the one after the jump"
    assert run.scheduler.tally.missed == 0
    assert len({each.tick.slot for each in run.scanned()}) == 12


def test_a_clock_put_back_and_forth_asks_for_no_slot_twice() -> None:
    clock = TestClock(jumps={5_000.0 + 400.0 * n: HOUR * (-1) ** n for n in range(1, 40)})
    fake = FakeSignals()
    with scheduling(fake, clock, iterations=30) as run:
        begun = [each.tick.steady for each in run.scanned()]
    assert len(set(slots(fake))) == 30
    assert (begun[-1] - begun[0]) / 29 >= 200.0, "no burst"


def test_the_slots_missed_between_two_runs_are_counted_once() -> None:
    fake = FakeSignals()
    with scheduling(fake, TestClock(), iterations=2, before=LastScan(SLOT - 3_600, 300)) as run:
        assert [each.tick.missed for each in run.scanned()] == [11, 0]
    assert slots(fake) == ["12:05", "12:10"]
    assert run.noted == [LastScan(SLOT, 300), LastScan(SLOT + 300, 300)]
    with scheduling(FakeSignals(), TestClock(), iterations=1, before=LastScan(SLOT - 3_600, 120)) as other:
        assert other.scheduler.tally.missed == 0, "another grid says nothing about this one"


def test_the_time_to_the_next_slot_is_told_every_second() -> None:
    with scheduling(FakeSignals(), TestClock(), iterations=2) as run:
        left = [each.seconds_left for each in run.happened if isinstance(each, Waiting)]
    assert left == [float(second) for second in range(174, 0, -1)]


def race(targets: list[Callable[[], None]]) -> None:
    threads = [Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_two_schedulers_at_once_make_one_signal_a_symbol_and_slot() -> None:
    with FakeSignals() as fake:
        together = Barrier(2, timeout=60.0)
        fake.on_call = lambda: (together.wait(), None)[1]
        runs = [make_run(fake.url, TestClock(), iterations=5, symbols=order) for order in (("A", "B"), ("B", "A"))]
        race([run.scheduler.run for run in runs])
    assert len(fake.calls) == 10
    assert len({call.key for call in fake.calls}) == 5
    assert len(fake.decided) == 10, "two symbols in five slots"
    told = [[(signal["symbol"], signal["slot"]) for each in run.scanned() for signal in each.signals] for run in runs]
    assert sorted(told[0]) == sorted(told[1])


def test_a_second_scheduler_of_a_folder_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with SchedulerLock(tmp_path) as first, SchedulerLock(tmp_path) as second:
        assert first.take() is None
        first.note(LastScan(SLOT, 300))
        with pytest.raises(HeldError, match="--stand-by"):
            second.take()


def test_who_stands_by_takes_over_and_learns_the_last_slot(tmp_path: Path) -> None:
    first = SchedulerLock(tmp_path).__enter__()
    first.take()
    first.note(LastScan(SLOT, 300))
    pauses: list[int] = []

    def pause_and_end_the_first() -> None:
        pauses.append(1)
        if len(pauses) == 3:
            first.__exit__(None, None, None)

    with SchedulerLock(tmp_path) as second:
        assert second.wait(pause_and_end_the_first) == LastScan(SLOT, 300)
    assert len(pauses) == 3


@pytest.mark.parametrize("text", ["", "12\n", "12\nxyz\n", "12\n17952627"])
def test_a_note_that_was_cut_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "scheduler.lock").write_text(text)
    with SchedulerLock(tmp_path) as lock:
        assert lock.take() is None


def test_a_grid_refuses_what_is_no_grid() -> None:
    for seconds in (0, -300, 9, 86_401):
        with pytest.raises(ValueError, match="10 to 86400 are allowed"):
            Grid(seconds)
    with pytest.raises(ValueError, match="does not fit"):
        Grid(10, 10.0)
