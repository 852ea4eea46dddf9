"""Puts together what watches the account: the ledger's accounts, the kill switch, a clock that nobody can set back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from core.adapters.ledger.accounts import StoredAccounts, default_accounts
from core.adapters.ledger.kill import StoredSwitch
from core.adapters.ledger.kill import forced_switch as halted
from core.adapters.ledger.ledger import Ledger
from core.adapters.steady_clock import open_clock
from core.market import milliseconds
from core.ports import Exchange
from core.risk.account import Clock, KillSwitch, Moment
from core.risk.desk import House, RiskDesk
from core.risk.limits import Limits
from core.risk.pack import discover_packs
from core.settings.declared import Settings


def steady_clock(settings: Settings, *, newest_ms: int = 0) -> Clock:
    """The machine's clock: labels by the wall, windows by what cannot be set back."""
    return open_clock(settings.runtime.state_folder.resolve(), newest_ms=newest_ms)


def market_clock(settings: Settings, now: Callable[[], datetime], *, newest_ms: int = 0) -> Clock:
    """The clock of the settings' market: a replayed one lives in its own time, windows included."""
    if settings.market.provider == "replay":

        def replayed() -> Moment:
            at = now()
            return Moment(at, milliseconds(at))

        return replayed
    return steady_clock(settings, newest_ms=newest_ms)


def forced_switch(settings: Settings) -> KillSwitch | None:
    """The switch that KILL_SWITCH=true sets for as long as this server runs."""
    return halted(datetime.now(UTC)) if settings.runtime.kill_switch else None


def build_limits(settings: Settings) -> Limits:
    """The house's limits as they are set."""
    return Limits(
        max_signals_per_hour=settings.decision.signals_per_hour,
        max_high_confidence_per_hour=settings.decision.max_signals_per_hour_high,
        risk_percent=settings.risk.risk_percent,
        max_open_risk_percent=settings.risk.max_open_risk_percent,
        slippage_fraction=settings.risk.slippage_fraction,
    )


def build_house(settings: Settings) -> House:
    """The house's limits, packs and default account."""
    return House(build_limits(settings), discover_packs(), settings.risk.account)


def build_risk_desk(settings: Settings, ledger: Ledger, market: Exchange, clock: Clock) -> RiskDesk:
    """Everything that can be asked about risk, over this ledger."""
    forced = forced_switch(settings)
    return RiskDesk(
        accounts=StoredAccounts(ledger, forced),
        switch=StoredSwitch(ledger, forced),
        quotes=market,
        clock=clock,
        house=build_house(settings),
        step=market.step,
    )


async def seed_accounts(ledger: Ledger) -> None:
    """The accounts that every server has."""
    await StoredAccounts(ledger).seed(default_accounts(datetime.now(UTC)))
