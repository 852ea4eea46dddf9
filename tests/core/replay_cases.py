"""A day at the signal desk for the tests of replay: decisions of every kind in a ledger of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import product
from pathlib import Path
from secrets import token_hex

from core.adapters.fits import FitFolder, save_fit
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import upgrade
from core.adapters.ledger.signals.decisions import StoredDecisions
from core.adapters.ledger.signals.reads import Signals
from core.adapters.numerics import numerics_fingerprint
from core.analyzers import code_hash, find
from core.deciding.verdicts import Verdicts
from core.fitted import Fit, Span, State
from core.market import SYMBOLS
from core.replaying.decision import Machine
from core.settings.declared import Settings
from core.settings.sources import load_settings
from core.signal import Mode, RuntimeMode, Version
from core.signals.desk import SignalDesk, Station
from core.signals.ports import WholeSignal
from core.signals.requests import GenerateSignalsRequest
from serving.app import build_local_desk, build_records, fit_folder
from serving.risk import build_risk_desk, forced_switch, market_clock, seed_accounts
from serving.signals import build_habits, build_model, build_spend
from serving.sources import build_market
from tests.fake_deepseek import FakeDeepSeek
from tests.fake_deepseek_answers import Fault

MACHINE = Machine(version("crpbot"), numerics_fingerprint())
FITTED, FITTED_ON, FITTED_AT = "market_regime", "BTC-USD", datetime(2026, 1, 1, tzinfo=UTC)
# The model is asked about everything, both variants are judged, and many may be published.
ASKING = {
    "CRPBOT__DECISION__SKIP_UNANIMOUS_HOLD": "false",
    "CRPBOT__DECISION__COMPARE_VARIANTS": "true",
    "MAX_SIGNALS_PER_HOUR": "60",
}


def settings_of(folder: Path, changes: Mapping[str, str]) -> Settings:
    """The settings of a server whose state is in that folder; its market has no edge, so that decisions are close."""
    plain = {"CRPBOT__RUNTIME__STATE_FOLDER": str(folder), "CRPBOT__MARKET__SYNTHETIC_EDGE": "false"}
    return load_settings({**plain, **changes}, folder).settings


@asynccontextmanager
async def opened_desk(settings: Settings) -> AsyncIterator[SignalDesk]:
    """The signal desk as the server has it, over the synthetic market, in this process; closed at the end."""
    ledger = await Ledger.open(settings.database_url.get_secret_value())
    await seed_accounts(ledger)
    market, now = build_market(settings)
    clock = market_clock(settings, now)
    spend = build_spend(settings, ledger)
    model = build_model(settings, spend)
    library = FitFolder(fit_folder(settings)).library
    try:
        yield SignalDesk(
            studies=build_local_desk(settings, source=(market, now), records=build_records(ledger)),
            verdicts=Verdicts(habits=build_habits(settings), library=library, purse=spend, model=model),
            risk=build_risk_desk(settings, ledger, market, clock),
            decisions=StoredDecisions(ledger, Signals(ledger), forced_switch(settings)),
            station=Station(
                runtime_mode=RuntimeMode.DRYRUN,
                source=market.name,
                synthetic=market.synthetic,
                interval=settings.market.interval,
                window=settings.market.window,
                versions=(Version("code", MACHINE.code), Version("numerics", MACHINE.numerics)),
            ),
            clock=clock,
            make_key=lambda: token_hex(12),
        )
    finally:
        if model is not None:
            await model.close()
        await ledger.close()


async def decide_much(folder: Path) -> None:
    """Decisions by the rule, by the model in both modes and variants, after failures, and under the kill switch."""
    upgrade(settings_of(folder, {}).database_url.get_secret_value())
    save_fit(fit_folder(settings_of(folder, {})), a_fit())
    with FakeDeepSeek() as server:
        asking = {**ASKING, "LLM_BASE_URL": server.url, "DEEPSEEK_API_KEY": server.key}
        await ask(folder, {}, [("5m", Mode.CONSERVATIVE)], SYMBOLS)
        await ask(folder, asking, [("5m", Mode.AGGRESSIVE)], SYMBOLS[5:8], slot=newest_slot())
        await ask(folder, asking, list(product(("5m", "15m"), Mode)), SYMBOLS[:5])
        server.plan(Fault.PROSE, times=2)
        await ask(folder, asking, [("1h", Mode.AGGRESSIVE)], SYMBOLS[:2])
        server.plan(Fault.EMPTY)
        await ask(folder, asking, [("1h", Mode.AGGRESSIVE)], SYMBOLS[2:4])
        await ask(folder, {**asking, "CRPBOT__LLM__DAILY_BUDGET_USD": "0"}, [("1h", Mode.AGGRESSIVE)], SYMBOLS[4:6])
        await ask(folder, {"KILL_SWITCH": "true"}, [("5m", Mode.CONSERVATIVE)], SYMBOLS[:1])


def newest_slot() -> datetime:
    """When the newest 5-minute candle closed."""
    now = datetime.now(UTC)
    return now - timedelta(minutes=now.minute % 5, seconds=now.second, microseconds=now.microsecond)


def a_fit(*, state: State | None = None, fitted_at: datetime = FITTED_AT) -> Fit:
    """What one theory learned on Bitcoin's 5-minute candles, long before the decisions."""
    learning = find(FITTED).learning
    assert learning is not None
    span = Span(FITTED_AT, FITTED_AT, 1_000, {})
    learned = learning.sample() if state is None else state
    return Fit(FITTED, "synthetic-7", "5m", code_hash(FITTED), fitted_at, {FITTED_ON: span}, {FITTED_ON: learned})


async def read_all(folder: Path) -> list[WholeSignal]:
    """Every decision of that folder's ledger, from a ledger opened for it."""
    ledger = await Ledger.open(settings_of(folder, {}).database_url.get_secret_value())
    try:
        signals = Signals(ledger)
        return [await signals.whole(signal_id) for _, signal_id, _ in await signals.names(0, 500)]
    finally:
        await ledger.close()


async def ask(
    folder: Path,
    changes: Mapping[str, str],
    questions: list[tuple[str, Mode]],
    symbols: tuple[str, ...],
    *,
    slot: datetime | None = None,
) -> None:
    """Ask a desk with those settings for every symbol in every interval and mode."""
    async with opened_desk(settings_of(folder, changes)) as desk:
        for interval, mode in questions:
            request = GenerateSignalsRequest(symbols=symbols, interval=interval, mode=mode, slot=slot)
            await desk.generate(request, timeout_seconds=60.0)
