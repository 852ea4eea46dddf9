"""Many who want the last room at once get exactly what one clerk would have given them, one after the other."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from bench.race_kill import Killed, count_births, count_quiet_windows
from bench.race_oracle import judge_room, judge_window
from bench.race_worker import Event
from bench.races import NewUrl, Outcome, Size, main, race
from core.risk.limits import WINDOW_MS
from tests.postgres import running_server

SMALL = Size(trades=400, signals=200, kills=8)
PROOFS = (r"past the guard \(4,500 USD\)", "allowed against the clerk")


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewUrl]:
    """Makes empty databases of one kind."""
    if request.param == "sqlite":
        yield lambda name: f"sqlite:///{tmp_path}/{name}.db"
        return
    with running_server(os.environ) as server, ExitStack() as databases:
        yield lambda _name: databases.enter_context(server.new_database())


# the clerk: what he finds in a race is only worth something if he finds what is wrong


def attempt(stamp: int, name: str, quantity: str, allowed: bool) -> Event:
    return Event(stamp, name, Decimal(quantity), allowed, 0)


def signal(minute: float, allowed: bool = True) -> Event:
    return Event(round(minute * 1_000), str(minute), Decimal(1), allowed, round(minute * 60_000))


def test_the_clerk_agrees_with_decisions_that_one_after_the_other_gives() -> None:
    # one bitcoin loses 1,040.5 when its stop fills, and 1,306.8 when its entry fills as badly as it may before
    events = [
        attempt(1, "a", "1.8", True),
        attempt(2, "b", "2.0", False),  # more than 2 % of the capital in one trade
        attempt(3, "c", "1.8", True),
        attempt(4, "d", "0.7", False),
        Event(5, "a", Decimal(0), True, 0),
        attempt(6, "e", "1.5", True),
    ]
    judged = judge_room(events)
    assert (judged.attempts, judged.allowed, judged.violations) == (5, 3, 0)
    assert judged.peak < 4_500


def test_the_clerk_sees_what_was_let_in_too_much_and_what_was_refused_too_much() -> None:
    over = judge_room([attempt(1, "a", "1.8", True), attempt(2, "b", "1.8", True), attempt(3, "c", "1.8", True)])
    assert (over.past, over.too_lax, over.too_strict) == (1, 1, 0)
    assert over.peak > 4_500
    under = judge_room([attempt(1, "a", "1.8", True), attempt(2, "b", "0.2", False)])
    assert (under.past, under.too_lax, under.too_strict) == (0, 0, 1)


def test_the_clerk_counts_signals_over_half_open_hours() -> None:
    fair = [signal(0), signal(1), signal(2), signal(59.9, allowed=False), signal(60), signal(60.5, allowed=False)]
    judged = judge_window(fair)
    assert (judged.allowed, judged.violations, judged.peak) == (4, 0, 3)
    assert judge_window([signal(0), signal(1), signal(2), signal(59.999)]).past == 1
    assert judge_window([signal(0), signal(1), signal(2), signal(60, allowed=False)]).too_strict == 1
    assert WINDOW_MS == 3_600_000


def test_births_between_a_kill_and_its_end_are_counted() -> None:
    assert count_births(["born", "halt", "off", "born", "halt", "off"]) == 0
    assert count_births(["born", "halt", "born", "born", "off", "halt", "born"]) == 3


def test_a_kill_call_before_which_nothing_was_born_proves_nothing() -> None:
    assert count_quiet_windows(["born", "halt", "off", "halt", "off", "born", "halt"]) == 1


def test_a_race_in_which_anything_passed_has_violations() -> None:
    clean = judge_room([attempt(1, "a", "1.8", True)])
    outcome = Outcome("sqlite", clean, clean, Killed((1.0, 2.0), 0, 0), busy=0, seconds=1.0)
    assert outcome.violations == 0
    assert replace(outcome, room=clean._replace(past=1)).violations == 1
    assert replace(outcome, window=clean._replace(too_strict=1)).violations == 1
    assert replace(outcome, killed=Killed((1.0, 2.0), 1, 0)).violations == 1


# the races


@pytest.mark.slow
def test_sixteen_workers_in_two_processes_pass_no_limit_and_are_refused_nothing_that_fits(new_url: NewUrl) -> None:
    outcome = race("test", new_url, SMALL, broken=False)
    assert outcome.violations == 0
    assert outcome.room.allowed > 20  # it was a race, and at the edge
    assert outcome.room.allowed < outcome.room.attempts == SMALL.trades
    assert outcome.room.peak > 4_000
    assert outcome.window.allowed > 5
    assert outcome.window.peak == 3
    assert len(outcome.killed.milliseconds) == SMALL.kills
    assert outcome.killed.windows_without_traffic < SMALL.kills / 2


@pytest.mark.slow
def test_a_guard_outside_the_transaction_is_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.races", "--quick", "--broken", "--store", "sqlite"])
    assert main() == 1
    shown = capsys.readouterr().out
    past, lax = (int(re.findall(rf"{words} +(\d+)", shown)[0]) for words in PROOFS)
    assert past > 0
    assert lax > 0
