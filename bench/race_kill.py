"""The race against the kill switch: it is set and lifted while other processes trade, and nothing may slip through."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.race_worker import START, START_MS
from core.adapters.ledger.kill import StoredSwitch
from core.adapters.ledger.ledger import Ledger
from core.risk.account import KillLevel, Moment

PAGE: Final = 500
TRAFFIC: Final = 100  # audit entries after which the race has begun
HALTED_SECONDS: Final = 0.02  # long enough for whatever slipped through to be stored


@dataclass(frozen=True, slots=True)
class Killed:
    """What the kill calls took, and what was born although they had returned."""

    milliseconds: tuple[float, ...]
    births: int
    windows_without_traffic: int

    def percentile(self, percent: int) -> float:
        """Of the durations."""
        return statistics.quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]


async def kill_and_lift(ledger: Ledger, kills: int) -> tuple[float, ...]:
    """Set and lift the switch so often, while others trade; what each setting took, in milliseconds."""
    draw = random.Random(kills)
    switch = StoredSwitch(ledger)
    milliseconds = []
    await _wait_for_traffic(ledger)
    for _ in range(kills):
        await asyncio.sleep(draw.uniform(0.01, 0.05))
        started = time.perf_counter()
        await switch.set(KillLevel.HALT, by="race", reason="halt", clock=_now)
        milliseconds.append((time.perf_counter() - started) * 1_000)
        await asyncio.sleep(HALTED_SECONDS)
        await switch.set(KillLevel.OFF, by="race", reason="off", clock=_now)
    return tuple(milliseconds)


async def read_killed(ledger: Ledger, milliseconds: tuple[float, ...]) -> Killed:
    """What the audit log says about the windows."""
    actions = [word async for word in _actions(ledger)]
    return Killed(milliseconds, count_births(actions), count_quiet_windows(actions))


def count_births(actions: Sequence[str]) -> int:
    """Trades born between a kill call and the next un-kill, by the order of the audit log."""
    killed, born = False, 0
    for action in actions:
        if action in ("halt", "off"):
            killed = action == "halt"
        else:
            born += killed
    return born


def count_quiet_windows(actions: Iterable[str]) -> int:
    """Kill calls before which nothing was born since the switch was off: they prove nothing."""
    quiet, born = 0, False
    for action in actions:
        if action == "halt":
            quiet += not born
            born = False
        born = born or action == "born"
    return quiet


async def _wait_for_traffic(ledger: Ledger) -> None:
    """Until the other processes have loaded and trade: the first entries are those of the start."""
    seq = 0
    while seq < TRAFFIC:
        await asyncio.sleep(0.05)
        entries = await ledger.audit_after(seq, PAGE)
        seq = entries[-1].seq if entries else seq


async def _actions(ledger: Ledger) -> AsyncIterator[str]:
    """Births and settings of the switch, in the order of their commits."""
    seq = 0
    while entries := await ledger.audit_after(seq, PAGE):
        seq = entries[-1].seq
        for entry in entries:
            if entry.action == "trade.create":
                yield "born"
            elif entry.action == "kill_switch.set":
                yield "halt" if '"level":"halt"' in entry.detail else "off"


def _now() -> Moment:
    return Moment(START, START_MS)
