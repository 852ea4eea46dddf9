"""Pays for attempts: room in the budget before each, and what it did cost in its place afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core.adapters.chat.answer import Completion, Mishap
from core.errors import CrpbotError
from core.llm.asking import Budget, BudgetRefusal, FailureReason, RefusedBy, Reservation, SpendLabel
from core.llm.price import PriceBook, Span
from core.money import from_units
from core.risk.account import Clock

logger = logging.getLogger(__name__)

# a ledger slower than this keeps the reservation as the charge: at the deadline, and where there is time left
LEAST_SETTLE_SECONDS: Final = 0.5
MOST_SETTLE_SECONDS: Final = 2.0


@dataclass(slots=True)
class Bill:
    """What one question has cost so far, and the reservation of the attempt that is under way."""

    label: SpendLabel
    charged_units: int = 0
    open: Reservation | None = None
    span: Span | None = None
    lifts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Purse:
    """The budget as one client uses it: for one model and one length of replies."""

    budget: Budget
    prices: PriceBook
    clock: Clock
    model: str
    max_tokens: int
    is_free: bool

    async def reserve(self, bill: Bill, texts: Iterable[str], *, seconds: float) -> Mishap | None:
        """Room for one attempt of at most so many seconds; else why there is none."""
        if self.is_free:
            return None
        now = self.clock()
        bill.span = (now.at, now.at + timedelta(seconds=max(0.0, seconds)))
        most = self.prices.reserve(texts, self.max_tokens, model=self.model, span=bill.span)
        if most is None:
            return Mishap(FailureReason.UNKNOWN_PRICE, f"no price is known for {self.model!r}", is_owed=False)
        try:
            answer = await self.budget.reserve(most, now, bill.label)
        except CrpbotError as error:
            return Mishap(FailureReason.LEDGER, f"the reservation could not be stored: {error.reason}", is_owed=False)
        if isinstance(answer, Reservation):
            bill.open = answer
            return None
        bill.lifts_at = answer.lifts_at
        reason = FailureReason.BUDGET_DAY if answer.by is RefusedBy.DAY else FailureReason.BUDGET_MONTH
        return Mishap(reason, _explain(answer), is_owed=False)

    async def settle(self, bill: Bill, outcome: Completion | Mishap, *, seconds: float) -> None:
        """Puts what the attempt cost in the place of its reservation. Whatever goes wrong here leaves it charged."""
        reservation, bill.open = bill.open, None
        if reservation is None:
            return
        bill.charged_units += reservation.units
        owed = self._owed(bill, outcome)
        try:
            async with asyncio.timeout(min(MOST_SETTLE_SECONDS, max(LEAST_SETTLE_SECONDS, seconds))):
                if owed is None:
                    charged = await self.budget.abandon(reservation, self.clock())
                else:
                    charged = await self.budget.settle(reservation, owed, self.clock())
        except (TimeoutError, CrpbotError) as error:
            logger.warning("reservation %d was not settled and stays charged: %s", reservation.id, type(error).__name__)
            return
        bill.charged_units += charged - reservation.units

    def _owed(self, bill: Bill, outcome: Completion | Mishap) -> int | None:
        """Units for the last attempt; None where nobody knows, so that the reservation stays."""
        if isinstance(outcome, Mishap) and not outcome.is_owed:
            return 0
        if outcome.usage is None or bill.span is None:
            return None
        return self.prices.charge(outcome.usage, model=self.model, span=(bill.span[0], self.clock().at))


def _explain(refusal: BudgetRefusal) -> str:
    spent, cap, asked = (from_units(units) for units in (refusal.spent_units, refusal.cap_units, refusal.asked_units))
    until = f"{refusal.lifts_at:%Y-%m-%d %H:%M} UTC"
    return f"{spent} of the {refusal.by.value}'s {cap} USD are spent, and {asked} would not fit; begins anew {until}"
