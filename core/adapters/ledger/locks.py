"""Who waits for whom: the order in which the ledger's locks are taken, the same in every transaction.

On PostgreSQL: the switch, the account, later the budget, the audit head last. On SQLite a writing transaction is the
only one from its beginning, so there is nothing more to lock.
"""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.facts import ACCOUNT, read_as_made, read_facts, since, to_account
from core.adapters.ledger.risk_schema import accounts, kill_switch
from core.errors import unknown
from core.risk.account import Account, AccountFacts, Clock, KillSwitch, Moment

_SHARE_SWITCH = select(kill_switch.c.id).with_for_update(read=True)
# both locks of a birth in one round trip: the table of the switch is waited for before any row is looked at
_LOCK_BIRTH = text(
    "SELECT accounts.id FROM kill_switch, accounts WHERE accounts.id = :account_id "
    "FOR SHARE OF kill_switch FOR UPDATE OF accounts"
)
# A row lock alone would let births that come later overtake a waiting kill call for ever: they share the row with those
# that hold it. A table lock is queued for in turn, and every FOR SHARE asks for the table first.
_TAKE_SWITCH = text("LOCK TABLE kill_switch IN EXCLUSIVE MODE")


async def share_switch(connection: AsyncConnection) -> None:
    """From here to the end of the transaction no kill call can come in between."""
    if connection.dialect.name != "sqlite":
        await connection.execute(_SHARE_SWITCH)


async def take_switch(connection: AsyncConnection) -> None:
    """Wait for every birth that has begun, and let no other begin before the end of the transaction."""
    if connection.dialect.name != "sqlite":
        await connection.execute(_TAKE_SWITCH)


async def lock_account(connection: AsyncConnection, account_id: str) -> Account:
    """The account, which nobody else can book on before the end of the transaction."""
    query = select(*ACCOUNT).where(accounts.c.id == account_id).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        known = await connection.execute(select(accounts.c.id).order_by(accounts.c.id))
        raise unknown("account", "account", account_id, known.scalars())
    return to_account([*row])


async def locked_facts(
    connection: AsyncConnection, account_id: str, *, clock: Clock, window_ms: int, forced: KillSwitch | None = None
) -> tuple[AccountFacts, Moment]:
    """Take the locks of a birth, then read the clock and the facts: both hold until the transaction ends.

    The steady instant is never earlier than the newest emission, so that a second machine whose clock is behind cannot
    see an emptier window than the first.
    """
    await _lock_birth(connection, account_id)
    moment = clock()
    opens = moment.steady_ms - window_ms
    facts = await read_facts(connection, account_id, since_steady_ms=opens, forced=forced)
    newest = facts.emissions[-1].steady_ms if facts.emissions else moment.steady_ms
    if newest <= moment.steady_ms:
        return facts, moment
    return since(facts, newest - window_ms), moment._replace(steady_ms=newest)


async def locked_as_made(
    connection: AsyncConnection, account_id: str, *, clock: Clock, forced: KillSwitch | None = None
) -> tuple[AccountFacts, Moment]:
    """Take the locks of a birth, then read the clock, the switch and the account as it was made."""
    await _lock_birth(connection, account_id)
    moment = clock()
    return await read_as_made(connection, account_id, forced=forced), moment


async def _lock_birth(connection: AsyncConnection, account_id: str) -> None:
    if connection.dialect.name != "sqlite":
        await connection.execute(_LOCK_BIRTH, {"account_id": account_id})
