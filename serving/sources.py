"""Where candles and facts come from: the market and its clock, and the facts of the whole market, by the settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import Code, CrpbotError
from core.market import instant
from core.ports import Exchange
from core.settings.declared import Settings

if TYPE_CHECKING:
    from core.adapters.coinbase.market import CoinbaseMarket
    from core.adapters.coingecko.facts import CoinGecko

Source = tuple[Exchange, Callable[[], datetime]]
"""A market and its clock."""


def build_market(settings: Settings) -> Source:
    """The settings' market and its clock: a replayed market brings its own."""
    if settings.market.provider == "replay":
        from core.adapters.replay.market import ReplayMarket

        replay = ReplayMarket(settings.market.replay_folder)
        return replay, lambda: instant(replay.now_ms())
    if settings.market.provider == "coinbase":
        return build_coinbase(settings), lambda: datetime.now(UTC)
    from core.adapters.synthetic.market import SyntheticMarket

    own = settings.market
    return SyntheticMarket(own.synthetic_seed, edge=own.synthetic_edge), lambda: datetime.now(UTC)


def build_coinbase(settings: Settings) -> CoinbaseMarket:
    """The exchange, with the key where one is set."""
    from core.adapters.coinbase.key import CdpKey
    from core.adapters.coinbase.market import CoinbaseMarket
    from core.adapters.exchange_http import Pace

    own = settings.coinbase
    name, private = own.api_key_name, own.api_private_key
    if (name is None) != (private is None):
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            "COINBASE_API_KEY_NAME and COINBASE_API_PRIVATE_KEY make one key: set both, or neither",
            reason="HALF_A_KEY",
        )
    return CoinbaseMarket(
        own.base_url,
        key=CdpKey(name.get_secret_value(), private.get_secret_value()) if name and private else None,
        pace=Pace(requests_per_second=own.requests_per_second),
        candles_per_request=own.candles_per_request,
    )


def build_contexts(settings: Settings) -> CoinGecko | None:
    """The facts of the whole market, where the candles are of it. For the gateway alone: their file has one writer."""
    if settings.market.provider in {"synthetic", "replay"} or not settings.coingecko.enabled:
        return None
    return build_coingecko(settings, settings.runtime.state_folder.resolve() / "market_facts.json")


def build_coingecko(settings: Settings, file: Path) -> CoinGecko:
    """The sources of those facts; what they told and what they cost is kept in the file."""
    from core.adapters.coingecko.facts import CoinGecko

    key = settings.coingecko.api_key
    return CoinGecko(
        file,
        api_key=key.get_secret_value() if key else None,
        base_url=settings.coingecko.base_url,
        fear_greed_url=settings.coingecko.fear_greed_url,
        monthly_credits=settings.coingecko.monthly_credits,
    )
