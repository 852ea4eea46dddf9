"""Puts together what decides: theories, rule, language model and the ledger that everything is written into."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from core.adapters.chat.chat import ChatClient
from core.adapters.chat.http import ChatOptions
from core.adapters.chat.prices import load_prices, require_price
from core.adapters.ledger.idempotency import Idempotency
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.signals.reads import Signals
from core.adapters.ledger.spend import Spend
from core.adapters.numerics import numerics_fingerprint
from core.deciding.consultation import Sideline
from core.deciding.verdicts import Habits, Verdicts
from core.fitted import Library
from core.keeper import Chore
from core.ports import Market
from core.risk.account import Moment
from core.settings.declared import Settings
from core.settings.view import secret_values
from core.signal import Mode, RuntimeMode, Strategy, Version
from core.signals.desk import Station

logger = logging.getLogger(__name__)

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


def require_priced_model(settings: Settings) -> None:
    """Refuses settings under which no gateway could ask its model, before anything else is started."""
    options = ChatOptions.of(settings.llm)
    if options.api_key is not None and not options.is_free:
        require_price(load_prices(settings.llm.prices_file), options.model, datetime.now(UTC))


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
        strategy=Strategy(decision.strategy),
        compare_strategies=decision.compare_strategies,
    )


def build_verdicts(
    settings: Settings,
    library: Callable[[], Library],
    spend: Spend,
    model: ChatClient | None,
    *,
    count_uncompared: Callable[[str], None] | None = None,
) -> Verdicts:
    """Who is asked about a market. `count_uncompared` is told what failed of that which only compares."""
    sideline = Sideline(count_uncompared)
    return Verdicts(habits=build_habits(settings), library=library, purse=spend, model=model, sideline=sideline)


def build_station(settings: Settings, market: Market) -> Station:
    """What this server stamps on every decision."""
    return Station(
        runtime_mode=RuntimeMode(settings.runtime.mode),
        source=market.name,
        synthetic=market.synthetic,
        interval=settings.market.interval,
        window=settings.market.window,
        versions=(Version("code", version("crpbot")), Version("numerics", numerics_fingerprint())),
    )


def make_key() -> str:
    """The key of a call that brought none: a decision always has a slot or a key."""
    return f"call-{secrets.token_hex(KEY_BYTES)}"


def build_chores(settings: Settings, ledger: Ledger, spend: Spend, keys: Idempotency) -> tuple[Chore, ...]:
    """What the keeper does once a minute."""
    retention = timedelta(days=settings.database.retention_days)
    anchored = [0]

    async def anchor(_moment: Moment) -> None:
        """Tell the log where the audit chain ends: an edit of the whole chain would have to edit the log too."""
        head = await ledger.audit_head()
        if head.entries != anchored[0]:
            anchored[0] = head.entries
            logger.info("audit log: %d entries, the last one %s", head.entries, head.hash)

    async def forget(moment: Moment) -> None:
        await Signals(ledger).forget(moment.at - retention)

    async def forget_keys(moment: Moment) -> None:
        await keys.forget(moment)

    async def expire_spend(moment: Moment) -> None:
        await spend.expire(moment)

    return anchor, expire_spend, forget_keys, forget


async def report_model(model: ChatClient) -> None:
    """Ask once whether the configured model exists: names are retired, and then every call would fail."""
    await model.check_models()
