"""Who is asked about a market, and what they said: theories with rule and language model, the models, or both by vote.

One call to the language model serves both variants: they read the same prompt and differ in what its answer may do. One
strategy decides what is published; where a model is promoted, the others decide on the same candle to be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol

from core.deciding.confidence import Threshold, pool, profile_threshold, raise_threshold
from core.deciding.consultation import (
    Consultation,
    RecordsOf,
    Sideline,
    Sight,
    arrange,
    consult_both,
    consult_models,
    consulted,
)
from core.deciding.decision import UNANIMOUS_HOLD, Case, Reply, is_model_needed, weigh_case
from core.deciding.levels import measure
from core.deciding.variants import assign, assign_pair
from core.deciding.weights import choose_rule
from core.fitted import Library, Wanted
from core.forecasts.lineup import Lineup, silent_outlook
from core.llm.asking import LanguageModel, LlmFailure, Prompt, SpendLabel, SpendStatus, what_follows
from core.llm.asking import Reply as ModelReply
from core.llm.prompt import Question, hash_prompt, write_prompt
from core.llm.reply import parse_reply
from core.market import Candles, interval_seconds
from core.risk.account import Moment
from core.signal import LlmUse, Mode, Refusal, Strategy, Unasked, Variant, Version
from core.signals.ports import Study
from core.trade import Book

DAY_SECONDS: Final = 86_400
NO_MODEL: Final = Unasked("no_key", "no language model is configured")


@dataclass(frozen=True, slots=True)
class Habits:
    """How this server decides where the request does not say: mode, threshold, and when the language model is asked.

    `strategy` decides what is published. With `compare_strategies` the others go to the shadow book; what a vote rests
    on goes there always, else nobody could take it again.
    """

    mode: Mode
    confidence_threshold: float
    skip_unanimous_hold: bool
    compare_variants: bool
    on_outage: Literal["hold", "rules"]
    model_seconds: float
    strategy: Strategy = Strategy.V7
    compare_strategies: bool = True


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
    """Consults the rule and the model. Without a model the rule decides, and says so.

    `sideline` counts what failed of that which only compares.
    """

    def __init__(
        self,
        *,
        habits: Habits,
        library: Callable[[], Library],
        purse: Purse,
        model: LanguageModel | None = None,
        sideline: Sideline | None = None,
    ) -> None:
        self.habits = habits
        self.sideline = sideline or Sideline()
        self._library = library
        self._purse = purse
        self._model = model

    def strategies(self, study: Study) -> frozenset[Strategy]:
        """Which decide on a market: what is published, the sides of a vote, and all where they are compared."""
        outlook, primary = study.outlook, self.habits.strategy
        is_staffed = outlook is not None and outlook.is_staffed
        if is_staffed and (self.habits.compare_strategies or primary is Strategy.VOTE):
            return frozenset(Strategy)
        return frozenset({Strategy.V7, primary} if primary is Strategy.VOTE else {primary})

    async def consult(
        self,
        study: Study,
        *,
        mode: Mode,
        slot: datetime,
        records: RecordsOf,
        seconds: float,
        unasked: Unasked | None = None,
    ) -> tuple[Consultation, ...]:
        """What is published first, then what is compared with it: the other variant's view, the other strategies'.

        Nothing that goes wrong in what only compares reaches what is published. It may make it wait: where the models
        are what is published, the answer comes after that of the language model that the theories asked. `unasked` is
        why it is not to be asked at all.
        """
        primary, wanted = self.habits.strategy, self.strategies(study)
        rests_on = frozenset(Strategy) if primary is Strategy.VOTE else {primary}
        profile = profile_threshold(mode, self.habits.confidence_threshold)
        sight = Sight(study, mode, profile, measure(study.candles), records)
        found: dict[Strategy, tuple[Consultation, ...]] = {}

        def guard(strategy: Strategy) -> AbstractContextManager[None]:
            return self.sideline.guard(strategy.value, study.analysis.symbol, compared=strategy not in rests_on)

        if Strategy.V7 in wanted:
            with guard(Strategy.V7):
                found[Strategy.V7] = await self._consult_theories(sight, slot, seconds, unasked)
        if wanted != {Strategy.V7}:
            with guard(Strategy.V6):
                outlook = study.outlook or silent_outlook(study.analysis.symbol, Lineup(), "")
                found[Strategy.V6] = (consult_models(sight, outlook),)
        if Strategy.VOTE in wanted and found.keys() == {Strategy.V7, Strategy.V6}:
            with guard(Strategy.VOTE):
                found[Strategy.VOTE] = (consult_both(sight, found[Strategy.V7][0], found[Strategy.V6][0]),)
        return tuple(arrange({each: found[each] for each in found if each in wanted}, primary))

    async def spend(self, moment: Moment) -> SpendStatus:
        """What the model has cost."""
        return await self._purse.status(moment)

    async def _consult_theories(
        self, sight: Sight, slot: datetime, seconds: float, unasked: Unasked | None
    ) -> tuple[Consultation, ...]:
        """The drawn variant's view, and the other one's where both are compared."""
        study, records = sight.study, sight.records.get(Strategy.V7, {})
        symbol, as_of = study.analysis.symbol, study.candles.as_of
        rule = choose_rule(self._library(), Wanted(study.identity, study.analysis.interval, symbol, as_of))
        drawn = assign(symbol, slot)

        def threshold(variant: Variant | None) -> Threshold:
            return raise_threshold(sight.profile, records.get(variant, {}))

        record = None if study.records is None else pool(study.records)
        blank = Case(study.analysis, rule, NO_MODEL, drawn, threshold(drawn), sight.yardstick, record)
        asked = Asked(unasked) if unasked else await self._ask(study, blank, sight.mode, seconds)
        if isinstance(asked.reply, Unasked):
            case = replace(blank, reply=asked.reply, threshold=threshold(None))
            return (_conclude(Book.PRIMARY, case, sight, asked),)
        is_pair = self.habits.compare_variants and self.habits.strategy is Strategy.V7
        pair = assign_pair(symbol, slot) if is_pair else assign_pair(symbol, slot)[:1]
        found = []
        for variant, book in pair:
            with self.sideline.guard(variant.value, symbol, compared=book is Book.SHADOW):
                case = replace(blank, reply=asked.reply, variant=variant, threshold=threshold(variant))
                found.append(_conclude(book, case, sight, asked))
        return tuple(found)

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


def _conclude(book: Book, case: Case, sight: Sight, asked: Asked) -> Consultation:
    """The decision of a case of the theories. The one call to the language model is charged once."""
    use = asked.use if book is Book.PRIMARY else None
    versions = [Version("rule", case.rule.label)]
    if asked.prompt is not None:
        versions.append(Version("prompt", hash_prompt(asked.prompt)))
    found = replace(consulted(case, sight), versions=tuple(versions))
    return replace(found, book=book, prompt=asked.prompt, reply=asked.text, llm=use)


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
