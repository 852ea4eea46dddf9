"""What a question about signals may ask: how many symbols, and which slot of the grid."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from core.errors import Code, CrpbotError, invalid

MAX_SYMBOLS: Final = 64  # in one call
OLDEST_SLOT: Final = timedelta(minutes=15)  # a signal is good for so long; one of an older slot would be born expired
SLOT_SECONDS: Final = 60  # the finest grid
NEWEST_SLOT: Final = timedelta(seconds=5)  # so far the clocks of a scheduler and a server may differ


def check_slot(slot: datetime, now: datetime) -> None:
    """A slot is a grid time of now: not to come, and not so old that its signal would be born expired."""
    if slot.timestamp() % SLOT_SECONDS:
        raise invalid("slot", f"{slot.isoformat()} is no whole minute; give the grid time of the scheduler")
    if slot > now + NEWEST_SLOT:
        raise invalid("slot", f"{slot.isoformat()} is to come, it is {now.isoformat()}", reason="SLOT_IN_FUTURE")
    if slot < now - OLDEST_SLOT:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"slot: {slot.isoformat()} is older than {OLDEST_SLOT.seconds // 60} minutes, it is {now.isoformat()}; "
            "a signal of then would be born expired: ask for the newest slot",
            reason="SLOT_TOO_OLD",
        )
