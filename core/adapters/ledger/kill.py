"""The kill switch in the database: when a call to set it has returned, nothing that it forbids is born any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.audit import append_entry
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.facts import read_switch
from core.adapters.ledger.idempotency import conclude, hold
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.locks import take_switch
from core.adapters.ledger.risk_schema import kill_switch
from core.errors import Code, CrpbotError
from core.idempotency import Attempt
from core.risk.account import Clock, KillLevel, KillSwitch
from core.risk.booking import check_word

_SWITCH = select(kill_switch.c.level, kill_switch.c.set_by, kill_switch.c.reason, kill_switch.c.at)


def forced_switch(at: datetime) -> KillSwitch:
    """The switch of a server that was started with KILL_SWITCH=true: whatever the database says, it is halted."""
    return KillSwitch(KillLevel.HALT, "KILL_SWITCH", "the server was started with KILL_SWITCH=true", at, forced=True)


async def write_switch(connection: AsyncConnection, wanted: KillSwitch) -> None:
    """Set it inside the caller's transaction, which has taken the switch, with an entry in the audit log."""
    before = read_switch((await connection.execute(_SWITCH)).all())
    values = {"level": wanted.level.value, "set_by": wanted.by, "reason": wanted.reason, "at": wanted.at}
    await connection.execute(update(kill_switch).values(values))
    detail = {"before": before.level.value, "level": wanted.level.value, "reason": wanted.reason}
    await append_entry(connection, AuditEvent(wanted.at, wanted.by, "kill_switch.set", "kill_switch", detail))


@dataclass(frozen=True, slots=True)
class StoredSwitch:
    """One switch for all gateways. `forced` is this server's own, and wins."""

    ledger: Ledger
    forced: KillSwitch | None = None

    async def read(self) -> KillSwitch:
        """How it stands now."""
        if self.forced is not None:
            return self.forced
        async with self.ledger.reading() as connection:
            return read_switch((await connection.execute(_SWITCH)).all())

    async def set(
        self, level: KillLevel, *, by: str, reason: str, clock: Clock, attempt: Attempt | None = None
    ) -> KillSwitch:
        """Set it, with an entry in the audit log. Returns after the commit."""
        check_word("by", by)
        check_word("reason", reason)
        if self.forced is not None and level is not KillLevel.HALT:
            raise CrpbotError(
                Code.FAILED_PRECONDITION,
                f"level: {level.value} cannot be set: the server was started with KILL_SWITCH=true; start it without",
                reason="KILL_SWITCH_FORCED",
            )
        async with self.ledger.writing() as connection:
            if attempt is not None:
                await hold(connection, attempt)
            await take_switch(connection)
            wanted = KillSwitch(level, by, reason, clock().at)
            await write_switch(connection, wanted)
            answer = self.forced or wanted
            await conclude(connection, attempt, answer)
        return answer
