"""A decision as it is stored and shown: what to do, how sure, at which prices, what forbade it and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import ClassVar

from core.ensemble import Ensemble
from core.trade import STRICT, Book, Direction, Levels, Tier


class Mode(Enum):
    """How readings are judged: conservative waits for agreement, aggressive takes a lean and asks for less."""

    CONSERVATIVE = "conservative"
    AGGRESSIVE = "aggressive"


class Strategy(Enum):
    """Which way of deciding: the fifteen theories (v7), the models' ensemble (v6), or both by vote."""

    V7 = "v7"
    V6 = "v6"
    VOTE = "vote"


class Variant(Enum):
    """Who decides where a language model was asked: the model alone, or the votes, which it may only calm."""

    V7_DEEPSEEK_ONLY = "v7_deepseek_only"
    V7_FULL_MATH = "v7_full_math"


class Synthesis(Enum):
    """What turned readings into a verdict: the language model, the rule, or nothing because a check came first."""

    LLM = "llm"
    RULES = "rules"
    NONE = "none"


class RuntimeMode(Enum):
    """Dryrun stores and paper-trades; live may alert and be traded."""

    DRYRUN = "dryrun"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Veto:
    """Which rule forbade it, its value, its limit, and when it lifts by itself."""

    __pydantic_config__: ClassVar = STRICT
    rule: str
    value: str
    limit: str
    detail: str
    lifts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the language model or the rule says, before any limit. `raw` is the model's reply as it came."""

    direction: Direction
    confidence: float
    reasoning: str
    levels: Levels | None
    by: Synthesis
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no verdict although one was asked for: a call that failed or a reply that cannot be used."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Unasked:
    """Why no language model was asked; the rule decides instead."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Degradation:
    """Something the decision had to do without: a stable word and a sentence."""

    __pydantic_config__: ClassVar = STRICT
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Vote:
    """One theory's line in a decision: its vote, how far it moved the log-odds of a rise, and its words.

    A model's pull is on the mean before its calibration.
    """

    __pydantic_config__: ClassVar = STRICT
    theory: str
    vote: float
    pull: float
    words: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class LlmUse:
    """What asking the language model took, over all attempts."""

    __pydantic_config__: ClassVar = STRICT
    model: str
    cost_usd: Decimal
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    attempts: int
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Version:
    """Which version of a part took part: code, prompt, weights, numerics, a model."""

    __pydantic_config__: ClassVar = STRICT
    part: str
    version: str


@dataclass(frozen=True, slots=True)
class Signal:
    """The decision. It never changes: a correction is a new row, and what became of it stands in other tables.

    `timestamp` is when it was decided, `as_of` the close of the theories' last candle. Prices, size and
    `stop_first` are absent for HOLD. `confidence` is what the verdict said, `calibrated_confidence` the share of such
    signals that ended as wins, absent until there are enough. `tier` follows from the confidence also where it was not
    enough. `ftmo_compliant` is false where a rule of the firm forbade the signal. `ensemble` is what the models said,
    of a decision that is theirs.
    """

    __pydantic_config__: ClassVar = STRICT
    id: str
    account: str
    book: Book
    symbol: str
    slot: datetime | None
    timestamp: datetime
    as_of: datetime | None
    interval: str
    window: int
    strategy: Strategy
    variant: Variant | None
    mode: Mode
    runtime_mode: RuntimeMode
    direction: Direction
    confidence: float
    calibrated_confidence: float | None
    tier: Tier | None
    threshold: float
    synthesis: Synthesis
    synthesis_reason: str
    reasoning: str
    entry: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None
    stop_first: float | None
    quantity: Decimal | None
    lots: Decimal | None
    risk_usd: Decimal | None
    size_limit: str | None
    vetoes: tuple[Veto, ...]
    degraded: bool
    degradations: tuple[Degradation, ...]
    ftmo_compliant: bool
    price: Decimal | None
    change_24h_percent: float | None
    source: str
    synthetic: bool
    executed: bool
    llm: LlmUse | None
    coverage: float
    votes: tuple[Vote, ...]
    timings_ms: dict[str, float]
    versions: tuple[Version, ...]
    ensemble: Ensemble | None = None
