"""Asking a language model: what is asked, what comes back, what may go wrong, and who watches the money.

Nothing here raises for a model that fails. Each failure is a value with a stable reason, because each one ends in a
stored decision: HOLD, or the deterministic rule where no model was asked at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import ClassVar, Final, Literal, Protocol

from core.llm.price import Usage
from core.risk.account import Moment
from core.trade import STRICT

DEADLINE_SECONDS: Final = 20.0  # over all attempts; a signal's request ends after 30
ATTEMPTS: Final = 3


class FailureReason(Enum):
    """Why there is no reply, as a word for programs."""

    NO_KEY = "no_key"
    BUDGET_DAY = "budget_day"
    BUDGET_MONTH = "budget_month"
    UNKNOWN_PRICE = "unknown_price"
    LEDGER = "ledger"  # the reservation could not be stored, so nothing was spent
    BREAKER_OPEN = "breaker_open"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"  # refused, reset, or no such host
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNAUTHORIZED = "unauthorized"
    NO_BALANCE = "no_balance"
    REFUSED_REQUEST = "refused_request"
    BROKEN_TRANSPORT = "broken_transport"  # an answer that is none: cut, HTML, too large, no JSON, another shape
    BROKEN_CONTENT = "broken_content"  # an answer whose text is blank or cannot be stored
    TRUNCATED = "truncated"
    CONTENT_FILTER = "content_filter"
    TOOL_CALL = "tool_call"


UNASKED: Final = frozenset({FailureReason.NO_KEY, FailureReason.BUDGET_DAY, FailureReason.BUDGET_MONTH})

# What says that the server is ill. The others are about one request, or about us.
SERVER_TROUBLE: Final = frozenset(
    {
        FailureReason.TIMEOUT,
        FailureReason.UNREACHABLE,
        FailureReason.RATE_LIMITED,
        FailureReason.SERVER_ERROR,
        FailureReason.UNAUTHORIZED,
        FailureReason.NO_BALANCE,
        FailureReason.BROKEN_TRANSPORT,
    }
)
# The server is well, and its reply is of no use.
ANSWERED: Final = frozenset(
    {FailureReason.BROKEN_CONTENT, FailureReason.TRUNCATED, FailureReason.CONTENT_FILTER, FailureReason.TOOL_CALL}
)
ACCOUNT_TROUBLE: Final = frozenset({FailureReason.UNAUTHORIZED, FailureReason.NO_BALANCE})  # only a person helps


class RefusedBy(Enum):
    """Which cap a reservation would have passed."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent: the part that never changes first, so that the server can keep it."""

    system: str
    user: str

    @property
    def sha256(self) -> str:
        """Its fingerprint: what a log and a table may say of it."""
        return sha256(f"{self.system}\0{self.user}".encode(errors="replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class SpendLabel:
    """On whose account a call goes."""

    symbol: str
    variant: str
    signal: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote, and what it took. Cost and attempts include those that failed before.

    `text` is data of a stranger with every configured secret taken out. `model` is the name that the server gave, which
    may differ from the one asked for. `usage` is None where the server told none that can be believed.
    """

    text: str
    model: str
    finish_reason: str
    usage: Usage | None
    cost_usd: Decimal
    latency_ms: float
    attempts: int
    request_id: str


@dataclass(frozen=True, slots=True)
class LlmFailure:
    """Why there is no reply. `detail` is ours: no word of the server's and no secret is in it."""

    reason: FailureReason
    detail: str
    attempts: int = 0
    charged_usd: Decimal = Decimal(0)
    latency_ms: float = 0.0
    lifts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room in the budget that one attempt holds until it is settled. It belongs to the UTC day in which it was made."""

    id: int
    units: int
    day: str


@dataclass(frozen=True, slots=True)
class BudgetRefusal:
    """The reservation does not fit: amounts in units of 1e-8 USD, and when the cap begins anew."""

    by: RefusedBy
    asked_units: int
    spent_units: int
    cap_units: int
    lifts_at: datetime


@dataclass(frozen=True, slots=True)
class SpendStatus:
    """What the model has cost, calls in flight and calls given up on included, against its caps."""

    __pydantic_config__: ClassVar = STRICT
    day: str
    day_spent_usd: Decimal
    day_cap_usd: Decimal
    day_calls: int
    day_alarm: bool  # 80 % of the cap are spent
    month: str
    month_spent_usd: Decimal
    month_cap_usd: Decimal
    month_calls: int
    month_alarm: bool
    in_flight: int
    day_resets_at: datetime
    month_resets_at: datetime


@dataclass(frozen=True, slots=True)
class SpendLine:
    """What one symbol, variant or signal has cost."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    spent_usd: Decimal
    calls: int


class LanguageModel(Protocol):
    """Somebody who answers a prompt."""

    async def ask(
        self, prompt: Prompt, *, purpose: SpendLabel, deadline_seconds: float = DEADLINE_SECONDS
    ) -> Reply | LlmFailure:
        """One reply within the deadline, or why there is none. Raises nothing but cancellation."""
        ...


class Budget(Protocol):
    """Who says whether a call may be paid, before it is made. Amounts are whole units of 1e-8 USD."""

    async def reserve(self, units: int, moment: Moment, label: SpendLabel) -> Reservation | BudgetRefusal:
        """Room for one attempt, exact whatever else is reserved at the same time."""
        ...

    async def settle(self, reservation: Reservation, charged_units: int, moment: Moment) -> int:
        """What the attempt did cost takes the place of the reservation. The answer is what now counts as spent."""
        ...

    async def abandon(self, reservation: Reservation, moment: Moment) -> int:
        """The attempt was given up and nobody knows what it cost: the whole reservation stays charged."""
        ...


def what_follows(failure: LlmFailure, on_outage: Literal["hold", "rules"]) -> Literal["hold", "rules"]:
    """The rule decides where no model could be asked; a call that was made and failed is never replaced by a guess."""
    if failure.reason in UNASKED and failure.attempts == 0:
        return "rules"
    return on_outage if failure.reason is FailureReason.BREAKER_OPEN else "hold"
