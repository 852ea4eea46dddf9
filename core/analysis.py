"""What a theory says about a market, and the shape of an analysis as every face of the server shows it.

The dataclasses here, the messages of `protos/crpbot.proto` and the REST schema carry the same field names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, NamedTuple

from core.market import Floats
from core.signal import Degradation
from core.trade import STRICT

Columns = Mapping[str, Floats]
Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Field:
    """One number that a theory gives: what it means and between which bounds it lies (None: unbounded)."""

    meaning: str
    low: float | None = None
    high: float | None = None


class Opinion(NamedTuple):
    """One row's numbers as a trader reads them: a vote in [-1, 1] (up is positive) and a sentence."""

    vote: float
    words: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one theory says about one window: values, vote and words, or the problem that prevented it."""

    __pydantic_config__: ClassVar = STRICT
    theory: str
    values: dict[str, float]
    vote: float
    words: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A theory that was asked and did not answer in time or at all, and why."""

    __pydantic_config__: ClassVar = STRICT
    theory: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class RefusedSymbol:
    """A symbol whose candles could not be read, and why: a word for programs, a sentence for people."""

    __pydantic_config__: ClassVar = STRICT
    symbol: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All that the analysts found on one window."""

    readings: tuple[Reading, ...]
    missing: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """All readings of one symbol at one instant, what was missing, and what speaks against its candles."""

    __pydantic_config__: ClassVar = STRICT
    symbol: str
    interval: str
    window: int
    as_of: datetime
    price: Decimal
    source: str
    synthetic: bool
    readings: tuple[Reading, ...]
    missing: tuple[Missing, ...]
    coverage: float
    degradations: tuple[Degradation, ...] = ()


@dataclass(frozen=True, slots=True)
class CandleColumns:
    """Candles sent by the caller, as named columns."""

    __pydantic_config__: ClassVar = STRICT
    symbol: str
    interval: str
    open_times_ms: tuple[int, ...]
    open: tuple[float, ...]
    high: tuple[float, ...]
    low: tuple[float, ...]
    close: tuple[float, ...]
    volume: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CcxtCandles:
    """Candles sent by the caller as ccxt gives them: rows of [ms, open, high, low, close, volume]."""

    __pydantic_config__: ClassVar = STRICT
    symbol: str
    interval: str
    rows: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class AnalyzeRequest:
    """Which windows to analyse (a symbol, several symbols, or candles of the caller's own) and by which theories."""

    __pydantic_config__: ClassVar = STRICT
    symbol: str | None = None
    symbols: tuple[str, ...] = ()
    candles: tuple[CandleColumns, ...] = ()
    ccxt: tuple[CcxtCandles, ...] = ()
    theories: tuple[str, ...] = ()
    window: int | None = None
    interval: str | None = None


@dataclass(frozen=True, slots=True)
class AnalyzeResponse:
    """One analysis for each window asked for, in the order of the request: symbols, then candles, then ccxt.

    A symbol whose candles could not be read is refused by name and has no analysis; the others are answered.
    """

    __pydantic_config__: ClassVar = STRICT
    analyses: tuple[Analysis, ...]
    refused: tuple[RefusedSymbol, ...] = ()


@dataclass(frozen=True, slots=True)
class TheoryField:
    """One number that a theory gives, as the catalogue lists it."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    meaning: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Theory:
    """One theory of the catalogue: its name is its id everywhere. Variants are asked for by their own names."""

    __pydantic_config__: ClassVar = STRICT
    name: str
    summary: str
    min_length: int
    fields: tuple[TheoryField, ...]
    variants: tuple[str, ...]
    fitted: bool


@dataclass(frozen=True, slots=True)
class ListTheoriesRequest:
    """The catalogue takes no argument."""

    __pydantic_config__: ClassVar = STRICT


@dataclass(frozen=True, slots=True)
class ListTheoriesResponse:
    """Every theory this server can compute."""

    __pydantic_config__: ClassVar = STRICT
    theories: tuple[Theory, ...]
