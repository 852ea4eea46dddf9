"""Puts together what decides: theories, rule, language model and the ledger that everything is written into."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from importlib.metadata import version

from core.adapters.chat import ChatClient
from core.adapters.chat_http import ChatOptions
from core.adapters.chat_prices import load_prices
from core.adapters.ledger.decisions import StoredDecisions
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.signal_reads import Signals
from core.adapters.ledger.spend import Spend
from core.adapters.numerics import numerics_fingerprint
from core.desk import Desk
from core.fitted import Library
from core.ports import Market
from core.risk.account import Clock
from core.risk.desk import RiskDesk
from core.settings import Settings
from core.settings_view import secret_values
from core.signal import Mode, RuntimeMode, Version
from core.signal_desk import SignalDesk, Station
from core.verdicts import Habits, Verdicts
from serving.risk import forced_switch

KEY_BYTES = 12


def build_spend(settings: Settings, ledger: Ledger) -> Spend:
    """The budget of the language model."""
    return Spend.of(ledger, daily_usd=settings.llm.daily_budget_usd, monthly_usd=settings.llm.monthly_budget_usd)


def build_model(settings: Settings, spend: Spend) -> ChatClient | None:
    """The language model, where there is a key for it."""
    options = ChatOptions.of(settings.llm)
    if options.api_key is None:
        return None
    return ChatClient(
        options,
        budget=spend,
        prices=load_prices(settings.llm.prices_file),
        secrets=secret_values(settings),
    )


def build_habits(settings: Settings) -> Habits:
    """How this server decides where a request does not say."""
    decision = settings.decision
    return Habits(
        mode=Mode(decision.mode),
        confidence_threshold=decision.confidence_threshold,
        skip_unanimous_hold=decision.skip_unanimous_hold,
        compare_variants=decision.compare_variants,
        on_outage=settings.llm.on_outage,
        model_seconds=settings.llm.deadline_seconds,
    )


def build_signal_desk(
    settings: Settings,
    *,
    desk: Desk,
    market: Market,
    risk: RiskDesk,
    ledger: Ledger,
    clock: Clock,
    library: Callable[[], Library],
) -> SignalDesk:
    """The desk that generates signals."""
    spend = build_spend(settings, ledger)
    return SignalDesk(
        studies=desk,
        verdicts=Verdicts(
            habits=build_habits(settings), library=library, purse=spend, model=build_model(settings, spend)
        ),
        risk=risk,
        decisions=StoredDecisions(ledger, Signals(ledger), forced_switch(settings)),
        station=Station(
            runtime_mode=RuntimeMode(settings.runtime.mode),
            source=market.name,
            synthetic=market.synthetic,
            interval=settings.market.interval,
            window=settings.market.window,
            versions=(Version("code", version("crpbot")), Version("numerics", numerics_fingerprint())),
        ),
        clock=clock,
        make_key=lambda: f"call-{secrets.token_hex(KEY_BYTES)}",
    )
