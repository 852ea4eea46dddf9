"""What a trader can ask about results: statistics, the worth of each theory, the review, the equity, the calibration.

Nothing is computed here: resampling takes a tenth of a second and making decisions again takes seconds, so a process
of its own does both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from core.errors import CrpbotError, invalid
from core.idempotency import Attempt
from core.market import parse_symbol
from core.performance.question import (
    EvaluateTheoriesRequest,
    ListTheoryPerformanceRequest,
    MeasureRequest,
    PerformanceRequest,
)
from core.performance.report import Calibration, EquityCurve, PerformanceReport, check_question
from core.performance.review import Review
from core.performance.theories import ALL, ContributionReport, ListTheoryPerformanceResponse, TheoryPerformance
from core.risk.account import Clock, Moment

logger = logging.getLogger(__name__)

MAX_PAGE: Final = 500
PAUSE: Final = timedelta(hours=1)  # until an evaluation that failed is tried again
PAGE: Final = 200  # one evaluation of the theories on eleven symbols and on all of them


class Statistics(Protocol):
    """Whoever computes from the books. Each request names its account."""

    async def performance(self, request: PerformanceRequest, now: datetime) -> PerformanceReport:
        """Every statistic."""
        ...

    async def contribution(self, request: MeasureRequest) -> ContributionReport:
        """What each theory is worth."""
        ...

    async def review(self, request: MeasureRequest, now: datetime) -> Review:
        """The rule's advice."""
        ...

    async def equity(self, request: MeasureRequest) -> EquityCurve:
        """The balance after each trade."""
        ...

    async def calibration(self, request: MeasureRequest) -> Calibration:
        """Confidence against outcome."""
        ...

    async def evaluate(self, account: str, at: datetime) -> Sequence[TheoryPerformance]:
        """Every theory on every symbol of an account."""
        ...


class Figures(Protocol):
    """Where evaluations of theories are kept."""

    async def store(self, rows: Sequence[TheoryPerformance], attempt: Attempt | None = None) -> None:
        """Store one evaluation, and that the attempt has done its work; one of the same instant stays."""
        ...

    async def list(self, wanted: ListTheoryPerformanceRequest, *, limit: int) -> tuple[TheoryPerformance, ...]:
        """The newest evaluations first."""
        ...

    async def due(self, account: str, midnight: datetime) -> bool:
        """Whether trades closed before that midnight and nothing has been evaluated since."""
        ...


class PerformanceDesk:
    """Answers questions about results, and evaluates the theories once a day."""

    def __init__(
        self,
        *,
        statistics: Statistics,
        figures: Figures,
        clock: Clock,
        name_account: Callable[[str | None], str],
    ) -> None:
        self._statistics = statistics
        self._figures = figures
        self._clock = clock
        self._name_account = name_account
        self._evaluation: asyncio.Task[None] | None = None
        self._evaluated: datetime | None = None  # the midnight up to which it is done
        self._again: datetime | None = None  # after a failure: it takes the one worker for seconds

    async def performance(self, request: PerformanceRequest) -> PerformanceReport:
        """Every statistic of the trades asked for."""
        now = self._clock().at
        check_question(request, now)
        return await self._statistics.performance(self._complete(request), now)

    async def contribution(self, request: MeasureRequest) -> ContributionReport:
        """What each theory is worth on them."""
        return await self._statistics.contribution(self._checked(request))

    async def review(self, request: MeasureRequest) -> Review:
        """What the rule says about them, and what they allow to say."""
        return await self._statistics.review(self._checked(request), self._clock().at)

    async def equity(self, request: MeasureRequest) -> EquityCurve:
        """The balance after each of them."""
        return await self._statistics.equity(self._checked(request))

    async def calibration(self, request: MeasureRequest) -> Calibration:
        """Their confidence against their outcome."""
        return await self._statistics.calibration(self._checked(request))

    async def evaluations(self, request: ListTheoryPerformanceRequest) -> ListTheoryPerformanceResponse:
        """Stored evaluations, newest first."""
        limit = PAGE if request.limit is None else request.limit
        if not 1 <= limit <= MAX_PAGE:
            raise invalid("limit", f"is {limit}; 1 to {MAX_PAGE} is allowed")
        symbol = request.symbol
        if symbol is not None and symbol != ALL:
            symbol = parse_symbol(symbol, field="symbol")
        wanted = replace(request, symbol=symbol)
        return ListTheoryPerformanceResponse(await self._figures.list(wanted, limit=limit))

    async def evaluate(
        self, request: EvaluateTheoriesRequest, attempt: Attempt | None = None
    ) -> ListTheoryPerformanceResponse:
        """Evaluate the theories on an account now, and store it."""
        sealed = None if attempt is None else attempt.answering(ListTheoryPerformanceResponse)
        account = self._name_account(request.account)
        return ListTheoryPerformanceResponse(await self._evaluate(account, self._clock().at, sealed))

    async def evaluate_daily(self, moment: Moment) -> None:
        """Begin the evaluation of all before this midnight where there is none yet. Does not wait for its end."""
        midnight = moment.at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if self._evaluated == midnight or (self._evaluation is not None and not self._evaluation.done()):
            return
        if self._again is not None and moment.at < self._again:
            return
        account = self._name_account(None)
        if await self._figures.due(account, midnight):
            self._evaluation = asyncio.create_task(self._evaluate_quietly(account, midnight))
        else:
            self._evaluated = midnight

    async def settled(self) -> None:
        """Wait for the evaluation that runs by itself, if one does."""
        if self._evaluation is not None:
            await self._evaluation

    async def close(self) -> None:
        """End what runs by itself."""
        if self._evaluation is not None:
            self._evaluation.cancel()
            await asyncio.gather(self._evaluation, return_exceptions=True)

    async def _evaluate_quietly(self, account: str, midnight: datetime) -> None:
        """What closed before midnight, so that two gateways find and store the same."""
        self._again = self._clock().at + PAUSE
        try:
            rows = await self._evaluate(account, midnight)
        except CrpbotError as error:
            logger.warning("the theories were not evaluated: %s", error.detail)
        except Exception:
            logger.exception("the theories were not evaluated; it is tried again")
        else:
            self._evaluated = midnight
            logger.info("theories evaluated on account %s: %d rows", account, len(rows))

    async def _evaluate(
        self, account: str, at: datetime, attempt: Attempt | None = None
    ) -> tuple[TheoryPerformance, ...]:
        rows = tuple(await self._statistics.evaluate(account, at))
        await self._figures.store(rows, attempt)
        return rows

    def _checked(self, request: MeasureRequest) -> MeasureRequest:
        check_question(request, self._clock().at)
        symbol = None if request.symbol is None else parse_symbol(request.symbol, field="symbol")
        return replace(request, account=self._name_account(request.account), symbol=symbol)

    def _complete(self, request: PerformanceRequest) -> PerformanceRequest:
        symbol = None if request.symbol is None else parse_symbol(request.symbol, field="symbol")
        return replace(request, account=self._name_account(request.account), symbol=symbol)
