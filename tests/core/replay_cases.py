"""A day at the signal desk for the tests of replay: decisions of every kind in a ledger of their own."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path

from core.adapters.fits import FitFolder
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.adapters.ledger.signal_reads import Signals
from core.adapters.numerics import numerics_fingerprint
from core.market import SYMBOLS
from core.replay_decision import Machine
from core.settings import Settings
from core.settings_sources import load_settings
from core.signal import Mode
from core.signal_desk import SignalDesk
from core.signal_ports import WholeSignal
from core.signal_requests import GenerateSignalsRequest
from serving.app import build_local_desk, build_market, fit_folder
from serving.risk import build_risk_desk, market_clock, seed_accounts
from serving.signals import build_signal_desk
from tests.fake_deepseek import FakeDeepSeek
from tests.fake_deepseek_answers import Fault

MACHINE = Machine("2.0.0.test", numerics_fingerprint())
# The model is asked about everything, both variants are judged, and many may be published.
ASKING = {
    "CRPBOT__DECISION__SKIP_UNANIMOUS_HOLD": "false",
    "CRPBOT__DECISION__COMPARE_VARIANTS": "true",
    "MAX_SIGNALS_PER_HOUR": "5",
}


def settings_of(folder: Path, changes: Mapping[str, str]) -> Settings:
    """The settings of a server whose state is in that folder."""
    return load_settings({"CRPBOT__RUNTIME__STATE_FOLDER": str(folder), **changes}, folder).settings


async def open_desk(settings: Settings, ledger: Ledger) -> SignalDesk:
    """The signal desk as the server has it, over the synthetic market, in this process."""
    await seed_accounts(ledger)
    source = build_market(settings)
    clock = market_clock(settings, source[1])
    return build_signal_desk(
        settings,
        desk=build_local_desk(settings, source=source),
        market=source[0],
        risk=build_risk_desk(settings, ledger, source[0], clock),
        ledger=ledger,
        clock=clock,
        library=FitFolder(fit_folder(settings)).library,
    )


async def decide_much(folder: Path) -> None:
    """Decisions by the rule, by the model in both modes and variants, after failures, and under the kill switch."""
    upgrade(settings_of(folder, {}).database_url.get_secret_value())
    with closing_server() as server:
        asking = {**ASKING, "LLM_BASE_URL": server.url, "DEEPSEEK_API_KEY": server.key}
        await _ask(folder, {}, [("5m", Mode.CONSERVATIVE)], SYMBOLS)
        await _ask(folder, asking, list(product(("5m", "15m"), Mode)), SYMBOLS[:5])
        server.plan(Fault.PROSE, times=2)
        await _ask(folder, asking, [("1h", Mode.AGGRESSIVE)], SYMBOLS[:2])
        server.plan(Fault.EMPTY)
        await _ask(folder, {**asking, "LLM_ON_OUTAGE": "rules"}, [("1h", Mode.AGGRESSIVE)], SYMBOLS[2:4])
        await _ask(folder, {"KILL_SWITCH": "true"}, [("5m", Mode.CONSERVATIVE)], SYMBOLS[:1])


def closing_server() -> FakeDeepSeek:
    """A language model on the loopback."""
    return FakeDeepSeek()


async def read_all(folder: Path) -> list[WholeSignal]:
    """Every decision of that folder's ledger, from a ledger opened for it."""
    ledger = await Ledger.open(settings_of(folder, {}).database_url.get_secret_value())
    try:
        signals = Signals(ledger)
        return [await signals.whole(signal_id) for _, signal_id, _ in await signals.names(0, 500)]
    finally:
        await ledger.close()


async def _ask(
    folder: Path, changes: Mapping[str, str], questions: list[tuple[str, Mode]], symbols: tuple[str, ...]
) -> None:
    settings = settings_of(folder, changes)
    ledger = await Ledger.open(settings.database_url.get_secret_value())
    try:
        desk = await open_desk(settings, ledger)
        for interval, mode in questions:
            request = GenerateSignalsRequest(symbols=symbols, interval=interval, mode=mode)
            await desk.generate(request, timeout_seconds=30.0)
    finally:
        await ledger.close()
