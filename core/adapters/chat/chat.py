"""Asks the language model: paid for before it is asked, never longer than the deadline, never more than it helps.

Each attempt reserves the most that it can cost, and what it did cost takes that place afterwards. Another attempt is
made only where the server asked for patience or may be well in a moment, where the deadline leaves time and the budget
room. A server that fails five times in a row is left alone for two minutes, one that refuses the key or the account for
ten. Neither key nor prompt nor a word of the server's errors is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from core.adapters.chat.answer import Completion, Mishap
from core.adapters.chat.breaker import Breaker, Standing
from core.adapters.chat.http import ChatHttp, ChatOptions
from core.adapters.chat.models import ModelCheck, check_model
from core.adapters.chat.prices import require_price
from core.adapters.chat.purse import Bill, Purse
from core.adapters.exchange_http import Surroundings
from core.llm.asking import (
    ACCOUNT_TROUBLE,
    ANSWERED,
    ATTEMPTS,
    DEADLINE_SECONDS,
    UNASKED,
    Budget,
    FailureReason,
    LlmFailure,
    Prompt,
    Reply,
    SpendLabel,
)
from core.llm.price import PriceBook
from core.llm.redaction import Redactor
from core.money import from_units
from core.risk.account import Moment

logger = logging.getLogger(__name__)

FIRST_WAIT_SECONDS: Final = 0.5
LONGEST_WAIT_SECONDS: Final = 8.0


@dataclass(slots=True)
class _Run:
    """One question on its way through its attempts."""

    prompt: Prompt
    body: bytes
    bill: Bill
    begun: float
    deadline: float
    attempts: int = 0


class ChatClient:
    """A `LanguageModel` behind OpenAI's chat completions. Belongs to one event loop."""

    def __init__(
        self,
        options: ChatOptions,
        *,
        budget: Budget,
        prices: PriceBook,
        secrets: Iterable[str] = (),
        surroundings: Surroundings | None = None,
    ) -> None:
        self._options = options
        self._world = surroundings or Surroundings()
        if options.api_key and not options.is_free:
            require_price(prices, options.model, self._moment().at)
        self._http = ChatHttp(options, self._world)
        self._purse = Purse(budget, prices, self._moment, options.model, options.max_tokens, options.is_free)
        self._redactor = Redactor([*secrets, *([options.api_key] if options.api_key else [])])
        self._breaker = Breaker()

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._http.close()

    def standing(self) -> Standing:
        """How the breaker stands."""
        return self._breaker.standing(self._world.monotonic())

    def reset(self) -> None:
        """Closes the breaker by hand: the key was changed, or the account filled."""
        self._breaker.succeeded()

    async def check_models(self) -> ModelCheck:
        """Whether the server offers the configured model. To be asked at the start: names are retired."""
        found = await check_model(self._http, self._options.model)
        if found.is_listed is not True:
            logger.warning("%s", self._redactor.clean(found.detail))
        return found

    async def ask(
        self, prompt: Prompt, *, purpose: SpendLabel, deadline_seconds: float = DEADLINE_SECONDS
    ) -> Reply | LlmFailure:
        """One reply within the deadline, or why there is none."""
        now = self._world.monotonic()
        if not self._options.api_key:
            return LlmFailure(FailureReason.NO_KEY, "DEEPSEEK_API_KEY is not set")
        if not self._breaker.admit(now):
            standing = self._breaker.standing(now)
            cause = standing.reason.value if standing.reason else "trouble"
            detail = f"left alone after {cause}; tried again in {standing.probe_in_seconds:.0f} s"
            return LlmFailure(FailureReason.BREAKER_OPEN, detail)
        run = _Run(prompt, self._http.encode(prompt), Bill(purpose), now, now + deadline_seconds)
        try:
            outcome = await self._pursue(run)
        except BaseException:
            self._breaker.released()
            raise
        self._tell_breaker(outcome, run)
        await self._purse.settle(run.bill, outcome, seconds=self._left(run))
        answer = self._reply(outcome, run) if isinstance(outcome, Completion) else self._failure(outcome, run)
        self._log(answer, run)
        return answer

    async def _pursue(self, run: _Run) -> Completion | Mishap:
        """The completion, its reservation still open, or the last mishap."""
        seconds = run.deadline - run.begun
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._attempt_all(run)
        if run.attempts == 0:
            return Mishap(FailureReason.LEDGER, f"the reservation was not stored within {seconds:.1f} s")
        return Mishap(FailureReason.TIMEOUT, f"no whole answer came within {seconds:.1f} s")

    async def _attempt_all(self, run: _Run) -> Completion | Mishap:
        last: Mishap | None = None
        texts = (run.prompt.system, run.prompt.user, self._options.extra_body)
        while True:
            refusal = await self._purse.reserve(run.bill, texts, seconds=self._left(run))
            if refusal is not None:
                return last or refusal
            run.attempts += 1
            try:
                return await self._http.complete(run.body)
            except Mishap as mishap:
                last = mishap
            wait = self._wait(last, run.attempts)
            if not last.passes or run.attempts >= ATTEMPTS or wait >= self._left(run):
                return last
            await self._purse.settle(run.bill, last, seconds=self._left(run))
            await self._world.sleep(wait)

    def _wait(self, mishap: Mishap, attempt: int) -> float:
        """Seconds until the next attempt: what the server asked for, else a wait that doubles, drawn by chance."""
        if mishap.wait_seconds is not None:
            return mishap.wait_seconds
        return self._world.jitter(min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (attempt - 1)))

    def _tell_breaker(self, outcome: Completion | Mishap, run: _Run) -> None:
        if run.attempts == 0:
            self._breaker.released()
        elif isinstance(outcome, Completion) or outcome.reason in ANSWERED:
            self._breaker.succeeded()
        elif self._breaker.failed(outcome.reason, self._world.monotonic()):
            level = logging.ERROR if outcome.reason in ACCOUNT_TROUBLE else logging.WARNING
            seconds = self.standing().probe_in_seconds
            logger.log(level, "language model left alone for %.0f s: %s", seconds, outcome.words)

    def _reply(self, found: Completion, run: _Run) -> Reply:
        return Reply(
            text=self._redactor.clean(found.text),
            model=self._redactor.clean(found.model),
            finish_reason=found.finish_reason,
            usage=found.usage,
            cost_usd=from_units(run.bill.charged_units),
            latency_ms=self._since(run),
            attempts=run.attempts,
            request_id=self._redactor.clean(found.request_id),
        )

    def _failure(self, mishap: Mishap, run: _Run) -> LlmFailure:
        charged = from_units(run.bill.charged_units)
        return LlmFailure(mishap.reason, mishap.words, run.attempts, charged, self._since(run), run.bill.lifts_at)

    def _log(self, answer: Reply | LlmFailure, run: _Run) -> None:
        """One line for each question. The prompt is told by its hash."""
        outcome = f"reply of {answer.model}" if isinstance(answer, Reply) else answer.reason.value
        cost = answer.cost_usd if isinstance(answer, Reply) else answer.charged_usd
        is_normal = isinstance(answer, Reply) or answer.reason in UNASKED
        logger.log(
            logging.INFO if is_normal else logging.WARNING,
            "asked for %s: %s, %d attempts, %.0f ms, %s USD, prompt %s",
            run.bill.label.symbol,
            outcome,
            run.attempts,
            answer.latency_ms,
            f"{cost:f}",
            run.prompt.sha256[:12],
        )

    def _left(self, run: _Run) -> float:
        return run.deadline - self._world.monotonic()

    def _since(self, run: _Run) -> float:
        return (self._world.monotonic() - run.begun) * 1_000.0

    def _moment(self) -> Moment:
        now_ms = self._world.now_ms()
        return Moment(datetime.fromtimestamp(now_ms / 1_000, UTC), int(self._world.monotonic() * 1_000))
