"""What can be asked about models, and what is answered: the catalogue, one model with all its facts, and forecasts.

The dataclasses here, the messages of `protos/crpbot.proto` and the REST schema carry the same field names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import ClassVar

from core.ensemble import Ensemble, Forecast
from core.forecasts.score import LiveCount, LiveScore
from core.models.judgement import Verdict
from core.models.manifest import Kind
from core.models.promotion import Promotion
from core.trade import STRICT


class ModelState(Enum):
    """What a model is in the store: it decides, it is on trial, it is only kept, or its file cannot be read."""

    PROMOTED = "promoted"
    CANDIDATE = "candidate"
    KEPT = "kept"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class ListModelsRequest:
    """Which models; None does not ask. A model of several coins is one of each of them."""

    __pydantic_config__: ClassVar = STRICT
    kind: Kind | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model in short. Of a damaged one only the file, the state and the fault are known.

    `serving` says whether this server asks it now; `verdict` is the promotion gate's, where there is a report.
    """

    __pydantic_config__: ClassVar = STRICT
    file: str
    state: ModelState
    serving: bool
    version: str | None
    kind: Kind | None
    symbols: tuple[str, ...]
    created_at: datetime | None
    learned_until: datetime | None
    metrics: dict[str, float]
    verdict: Verdict | None
    live: LiveCount | None
    fault: str | None


@dataclass(frozen=True, slots=True)
class LineupSeat:
    """A model that this server asks now. A candidate is asked like the others, and without effect."""

    __pydantic_config__: ClassVar = STRICT
    kind: Kind
    version: str
    symbols: tuple[str, ...]
    candidate: bool


@dataclass(frozen=True, slots=True)
class LineupReport:
    """Which models this server asks now; `faults` has a sentence for each that it should ask and cannot."""

    __pydantic_config__: ClassVar = STRICT
    seats: tuple[LineupSeat, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListModelsResponse:
    """Every model of the folder, oldest first, damaged ones last.

    `live_problem` says why no model has live counts; None: they could be read.
    """

    __pydantic_config__: ClassVar = STRICT
    models: tuple[ModelSummary, ...]
    lineup: LineupReport
    live_problem: str | None


@dataclass(frozen=True, slots=True)
class GetModelRequest:
    """Which model."""

    __pydantic_config__: ClassVar = STRICT
    version: str


@dataclass(frozen=True, slots=True)
class ModelSpan:
    """A part of the history, by the starts of its first and last candle: train, stop, calibrate or test."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class ModelScaler:
    """What each feature is put in proportion with, in the order of the features: (value - mean) / scale.

    `symbol` is absent where all symbols of the model share it.
    """

    __pydantic_config__: ClassVar = STRICT
    symbol: str | None
    mean: tuple[float, ...]
    scale: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GateRuling:
    """One rule of the promotion gate, applied to one symbol. `by_bound`: its 95 % bound decides, not the value."""

    __pydantic_config__: ClassVar = STRICT
    rule: str
    symbol: str
    value: float | None
    bound: float | None
    by_bound: bool
    relation: str
    limit: float
    n: int
    outcome: str
    sentence: str


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the promotion gate found, with every number that led there."""

    __pydantic_config__: ClassVar = STRICT
    verdict: Verdict
    sentence: str
    at: datetime
    first: datetime
    last: datetime
    threshold: float
    trials: int
    champion: str | None
    rulings: tuple[GateRuling, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """All about a model: what it reads and learned, what the gate found, who decided when, and its live score.

    It reads `window` candles of `interval`, each as the `features` and, for a policy, the `state_features` beside them.
    `fault` says why it cannot be used, `live_problem` why there is no live score. `gate` is the newest judgement,
    `promoted_with` the earlier one that it was promoted with, where these are two.
    """

    __pydantic_config__: ClassVar = STRICT
    file: str
    state: ModelState
    serving: bool
    version: str
    kind: Kind
    symbols: tuple[str, ...]
    interval: str
    window: int
    horizon: int
    label: str
    origin: str
    run: str
    created_at: datetime
    learned_until: datetime
    spans: tuple[ModelSpan, ...]
    features: tuple[str, ...]
    state_features: tuple[str, ...]
    fingerprint: str
    scalers: tuple[ModelScaler, ...]
    architecture: dict[str, float]
    parameters: int
    sha256: str
    data_sha256: str
    code_sha256: str
    seed: int
    metrics: dict[str, float]
    platt_slope: float | None
    platt_intercept: float | None
    gate: GateReport | None
    history: tuple[Promotion, ...]
    live: LiveScore | None
    fault: str | None
    live_problem: str | None
    promoted_with: GateReport | None


@dataclass(frozen=True, slots=True)
class GetModelReportRequest:
    """The gate's report of which model."""

    __pydantic_config__: ClassVar = STRICT
    version: str


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The gate's report as a page of HTML that needs nothing beside it."""

    __pydantic_config__: ClassVar = STRICT
    version: str
    page: str


@dataclass(frozen=True, slots=True)
class ForecastRequest:
    """Of which symbols the models are asked: one, or several, each once."""

    __pydantic_config__: ClassVar = STRICT
    symbol: str | None = None
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SymbolForecast:
    """What the models say of one symbol now: together, each alone, and those on trial, which have no effect.

    `as_of` is the close of the last minute that they read; absent: none could be read, and each says why.
    """

    __pydantic_config__: ClassVar = STRICT
    symbol: str
    as_of: datetime | None
    ensemble: Ensemble
    forecasts: tuple[Forecast, ...]
    candidates: tuple[Forecast, ...]


@dataclass(frozen=True, slots=True)
class ForecastResponse:
    """What the models say, in the order of the symbols. A model that does not speak says why, and costs coverage."""

    __pydantic_config__: ClassVar = STRICT
    forecasts: tuple[SymbolForecast, ...]
