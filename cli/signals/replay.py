"""`crpbot replay` and `crpbot explain`: decisions made once more, or explained, from the ledger itself.

Both need what the ledger keeps and nothing else, so they work where no server runs, and on a copy of a database.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from core.adapters.ledger.ledger import Ledger
    from core.adapters.ledger.signals.reads import Signals
    from core.fitted import Shelf
    from core.replaying.decision import Machine, Replayed

Json = dict[str, Any]  # Any: decoded JSON

Tell = Callable[[int, int, str], None]
"""Hears how many decisions are done, of how many, and which was the last."""

# Windows of one batch: enough for the theories to gain by it, and a few MiB of candles.
BATCH: Final = 128


def replay_stored(signal_id: str | None, tell: Tell) -> list[Json]:
    """What came of replaying a decision, or all of them where none is named."""
    from serving.session import kernel_folder

    os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_folder(Path.cwd())))
    return [asdict(each) for each in asyncio.run(_replay(signal_id, tell))]


def explain_stored(signal_id: str) -> Json:
    """A decision and its explanation in plain words."""
    return asyncio.run(_explain(signal_id))


async def replay_ledger(
    signals: Signals, shelf: Shelf, machine: Machine, *, signal_id: str | None = None, tell: Tell
) -> list[Replayed]:
    """Every decision of a ledger, or the one named, oldest first. What was altered is a difference that says so."""
    wanted = [(0, signal_id, "")] if signal_id else await _names(signals)
    found: list[Replayed] = []
    for start in range(0, len(wanted), BATCH):
        found += await _replay_batch(signals, shelf, machine, wanted[start : start + BATCH])
        tell(len(found), len(wanted), found[-1].symbol)
    return found


async def _names(signals: Signals) -> list[tuple[int, str, str]]:
    from core.adapters.ledger.ledger import MAX_PAGE

    names: list[tuple[int, str, str]] = []
    while page := await signals.names(names[-1][0] if names else 0, MAX_PAGE):
        names += page
    return names


async def _replay_batch(
    signals: Signals, shelf: Shelf, machine: Machine, wanted: list[tuple[int, str, str]]
) -> list[Replayed]:
    from core.errors import Code, CrpbotError
    from core.replaying.decision import Replayed
    from core.replaying.readings import replay

    found: dict[str, Replayed] = {}
    wholes = []
    for _, signal_id, symbol in wanted:
        try:
            wholes.append(await signals.whole(signal_id))
        except CrpbotError as error:
            if error.code is Code.NOT_FOUND:
                raise
            found[signal_id] = Replayed(signal_id, symbol, decision=False, differences=(error.detail,))
    replayed = await asyncio.to_thread(replay, wholes, shelf, machine)
    found.update((each.id, each) for each in replayed)
    return [found[signal_id] for _, signal_id, _ in wanted]


async def _replay(signal_id: str | None, tell: Tell) -> list[Replayed]:
    from core.adapters.fits import FitFolder
    from core.adapters.ledger.signals.reads import Signals
    from core.adapters.numerics import numerics_fingerprint
    from core.replaying.decision import Machine
    from serving.app import fit_folder
    from serving.configuration import load

    shelf = FitFolder(fit_folder(load().settings)).library()
    machine = Machine(version("crpbot"), numerics_fingerprint())
    ledger = await _open()
    try:
        return await replay_ledger(Signals(ledger), shelf, machine, signal_id=signal_id, tell=tell)
    finally:
        await ledger.close()


async def _explain(signal_id: str) -> Json:
    from core.adapters.ledger.signals.reads import Signals
    from core.canonical import write_canonical
    from core.risk.account import Moment
    from core.signals.reader import SignalReader
    from core.signals.requests import ExplainSignalRequest, GetSignalRequest

    ledger = await _open()
    try:
        reader = SignalReader(Signals(ledger), lambda: Moment(datetime.now(UTC), 0))
        signal = await reader.get(GetSignalRequest(signal_id))
        explanation = await reader.explain(ExplainSignalRequest(signal_id))
    finally:
        await ledger.close()
    head = {"id": signal.id, "symbol": signal.symbol, "timestamp": signal.timestamp.isoformat()}
    told: Json = json.loads(write_canonical(explanation))
    return head | told


async def _open() -> Ledger:
    from core.adapters.ledger.ledger import Ledger
    from serving.configuration import load

    return await Ledger.open(load().settings.database_url.get_secret_value())
