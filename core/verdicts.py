"""Who is asked about a market, and what they said: the rule always, the language model where it may help.

One call to the model serves both variants: they read the same prompt and differ in what its answer may do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol

from core.confidence import Records, Threshold, calibrate, pool, profile_threshold, raise_threshold
from core.decision import UNANIMOUS_HOLD, Case, Decision, Reply, decide, is_model_needed, weigh_case
from core.fitted import Library, Wanted
from core.levels import measure
from core.llm import LanguageModel, LlmFailure, Prompt, SpendLabel, SpendStatus, what_follows
from core.llm import Reply as ModelReply
from core.market import Candles, interval_seconds
from core.prompt import Question, write_prompt
from core.reply import parse_reply
from core.risk.account import Moment
from core.signal import LlmUse, Mode, Refusal, Unasked, Variant
from core.signal_ports import Study
from core.trade import Book
from core.variants import assign, assign_pair
from core.weights import choose_rule

DAY_SECONDS: Final = 86_400
NO_MODEL: Final = Unasked("no_key", "no language model is configured")


@dataclass(frozen=True, slots=True)
class Habits:
    """How this server decides where the request does not say: mode, threshold, and when the model is asked."""

    mode: Mode
    confidence_threshold: float
    skip_unanimous_hold: bool
    compare_variants: bool
    on_outage: Literal["hold", "rules"]
    model_seconds: float


@dataclass(frozen=True, slots=True)
class Consultation:
    """What one variant makes of a market: the case with its decision, and what was said on the way."""

    book: Book
    case: Case
    decision: Decision
    mode: Mode
    prompt: Prompt | None
    reply: str | None
    llm: LlmUse | None
    calibrated: float | None = None  # the share of such signals that ended as wins, once there are enough


class Asked(NamedTuple):
    """A question to the model, and what came of it."""

    reply: Reply
    prompt: Prompt | None = None
    text: str | None = None
    use: LlmUse | None = None


class Purse(Protocol):
    """Whoever knows what was spent."""

    async def status(self, moment: Moment) -> SpendStatus:
        """The day's and the month's figures."""
        ...


class Verdicts:
    """Consults the rule and the model. Without a model the rule decides, and says so."""

    def __init__(
        self,
        *,
        habits: Habits,
        library: Callable[[], Library],
        purse: Purse,
        model: LanguageModel | None = None,
    ) -> None:
        self.habits = habits
        self._library = library
        self._purse = purse
        self._model = model

    async def consult(
        self, study: Study, *, mode: Mode, slot: datetime, records: Records, seconds: float
    ) -> tuple[Consultation, ...]:
        """The published variant's view of a market, and the other one's where both are compared."""
        symbol, as_of = study.analysis.symbol, study.candles.as_of
        rule = choose_rule(self._library(), Wanted(study.identity, study.analysis.interval, symbol, as_of))
        drawn = assign(symbol, slot)
        profile = profile_threshold(mode, self.habits.confidence_threshold)
        yardstick = measure(study.candles)

        def threshold(variant: Variant | None) -> Threshold:
            return raise_threshold(profile, records.get(variant, {}))

        record = None if study.records is None else pool(study.records)
        blank = Case(study.analysis, rule, NO_MODEL, drawn, threshold(drawn), yardstick, record)
        asked = await self._ask(study, blank, mode, seconds)
        if isinstance(asked.reply, Unasked):
            case = replace(blank, reply=asked.reply, threshold=threshold(None))
            return (_conclude(Book.PRIMARY, case, mode, asked, records),)
        pair = assign_pair(symbol, slot) if self.habits.compare_variants else assign_pair(symbol, slot)[:1]
        found = []
        for variant, book in pair:
            case = replace(blank, reply=asked.reply, variant=variant, threshold=threshold(variant))
            found.append(_conclude(book, case, mode, asked, records))
        return tuple(found)

    async def spend(self, moment: Moment) -> SpendStatus:
        """What the model has cost."""
        return await self._purse.status(moment)

    async def _ask(self, study: Study, blank: Case, mode: Mode, seconds: float) -> Asked:
        if self._model is None:
            return Asked(NO_MODEL)
        if not is_model_needed(weigh_case(blank), skip_unanimous_hold=self.habits.skip_unanimous_hold):
            return Asked(UNANIMOUS_HOLD)
        prompt = write_prompt(
            Question(
                study.analysis,
                mode,
                blank.threshold.value,
                blank.yardstick,
                change_24h_percent=change_24h_percent(study.candles),
            )
        )
        label = SpendLabel(study.analysis.symbol, blank.variant.value)
        said = await self._model.ask(prompt, purpose=label, deadline_seconds=min(seconds, self.habits.model_seconds))
        if isinstance(said, LlmFailure):
            return Asked(self._after(said), prompt, None, _used(said))
        return Asked(parse_reply(said.text), prompt, said.text, _used(said))

    def _after(self, failure: LlmFailure) -> Reply:
        if what_follows(failure, self.habits.on_outage) == "rules":
            return Unasked(failure.reason.value, failure.detail)
        return Refusal(f"llm_{failure.reason.value}", failure.detail)


def _conclude(book: Book, case: Case, mode: Mode, asked: Asked, records: Records) -> Consultation:
    """The decision of a case, and what such decisions were worth. The one call to the model is charged once."""
    decision = decide(case)
    record = records.get(decision.variant, {}).get(decision.tier) if decision.tier is not None else None
    use = asked.use if book is Book.PRIMARY else None
    return Consultation(book, case, decision, mode, asked.prompt, asked.text, use, calibrate(record))


def change_24h_percent(candles: Candles) -> float | None:
    """How much the close moved in 24 hours; None where the window is shorter."""
    back = DAY_SECONDS // interval_seconds(candles.interval)
    if back >= len(candles):
        return None
    return float(100.0 * (candles.close[-1] / candles.close[-1 - back] - 1.0))


def _used(said: ModelReply | LlmFailure) -> LlmUse | None:
    if isinstance(said, LlmFailure):
        if said.attempts == 0:
            return None
        return LlmUse("", said.charged_usd, 0, 0, 0, said.attempts, said.latency_ms)
    usage = said.usage
    counts = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) if usage else (0, 0, 0)
    return LlmUse(said.model, said.cost_usd, *counts, said.attempts, said.latency_ms)
