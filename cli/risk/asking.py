"""Asks a server about risk; sets the kill switch in the ledger itself, so that it works when no server runs."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from client.sdk import ApiError, Client
from core.errors import Code, CrpbotError, invalid
from core.risk.account import KillLevel, KillSwitch
from serving.probe import server_url

Json = dict[str, Any]  # Any: decoded JSON


def read_risk(url: str | None, account: str | None) -> Json:
    """How an account stands."""
    with _client(url) as client:
        return client.risk(account)


def read_accounts(url: str | None) -> Json:
    """The accounts."""
    with _client(url) as client:
        return client.get("/v1/accounts")


def make_account(url: str | None, name: str, *, capital: str, pack: str | None, reported: bool) -> Json:
    """A new account."""
    body = {"id": name, "kind": "reported" if reported else "paper", "initial_capital": capital, "by": _me(None)}
    with _client(url) as client:
        return client.post("/v1/accounts", body | ({} if pack is None else {"pack": pack}))


def tell_account(
    url: str | None,
    name: str,
    *,
    balance: str,
    equity: str,
    midnight: str | None,
    days: int | None,
    positions: Sequence[str],
) -> Json:
    """Tell a reported account's figures; the answer is how it stands then."""
    optional = {"midnight_balance": midnight, "trading_days": days}
    body = {
        "account": name,
        "balance": balance,
        "equity": equity,
        "positions": [_position(text) for text in positions],
        "by": _me(None),
        **{field: value for field, value in optional.items() if value is not None},
    }
    with _client(url) as client:
        return client.post("/v1/account-reports", body)


def lift(url: str | None, name: str, kind: str, *, by: str | None, reason: str) -> Json:
    """Lift what has tripped."""
    with _client(url) as client:
        return client.post("/v1/risk/lift", {"account": name, "kind": kind, "by": _me(by), "reason": reason})


def read_switch() -> Json:
    """The kill switch as the ledger has it."""
    return asyncio.run(_with_switch(None, by="", reason=""))


def set_switch(level: str, *, by: str | None, reason: str) -> Json:
    """Set it; when this returns, every gateway on this ledger obeys."""
    return asyncio.run(_with_switch(KillLevel(level), by=_me(by), reason=reason))


async def _with_switch(level: KillLevel | None, *, by: str, reason: str) -> Json:
    from core.adapters.ledger.kill import StoredSwitch
    from core.adapters.ledger.ledger import Ledger
    from serving.configuration import load
    from serving.risk import forced_switch, steady_clock

    settings = load().settings
    ledger = await Ledger.open(settings.database_url.get_secret_value())
    try:
        switch = StoredSwitch(ledger, forced=forced_switch(settings))
        if level is None:
            return _shown(await switch.read())
        return _shown(await switch.set(level, by=by, reason=reason, clock=steady_clock(settings)))
    finally:
        await ledger.close()


def _shown(switch: KillSwitch) -> Json:
    return {
        "level": switch.level.value,
        "by": switch.by,
        "reason": switch.reason,
        "at": switch.at.isoformat(),
        "forced": switch.forced,
    }


def _position(text: str) -> Json:
    """SYMBOL:SIDE:QUANTITY:ENTRY[:STOP] as the API takes it; the server checks the values."""
    parts = text.split(":")
    if len(parts) not in (4, 5):
        raise invalid("--position", f"{text[:64]!r} is not SYMBOL:BUY|SELL:QUANTITY:ENTRY[:STOP]")
    names = ("symbol", "direction", "quantity", "entry", "stop_loss")
    return dict(zip(names, parts, strict=False))


def _me(by: str | None) -> str:
    return by or getpass.getuser()


@contextmanager
def _client(url: str | None) -> Iterator[Client]:
    """A server to ask; where it refuses, or none is there, its words are the error."""
    from serving.configuration import load

    try:
        with Client(url or server_url(load().settings)) as client:
            yield client
    except ApiError as error:
        raise CrpbotError(Code.UNAVAILABLE, str(error), reason="SERVER_REFUSED") from None
