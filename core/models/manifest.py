"""What a model learned, from which market and when: the text beside its weights that vouches for them.

A manifest is checked when it is made, so it cannot be wrong in itself; whether it suits the features and the market of
whoever wants to use it, `suitability.py` says. Nothing here needs torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np

from core.errors import CrpbotError, invalid
from core.features import FEATURES, fingerprint
from core.market import interval_seconds
from core.models.bounds import MOST_PARAMETERS
from core.models.calibration import Platt
from core.models.scaler import Scaler

VERSION_DIGITS: Final = 8
# They become parts of file names, of commands and of tables.
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SYMBOL: Final = re.compile(r"[A-Z0-9]{1,16}-[A-Z0-9]{1,16}")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")
MOST_CANDLES: Final = 10_000  # of a window or a horizon: a week of minutes


class Kind(StrEnum):
    """What a model is."""

    LSTM = "lstm"
    TRANSFORMER = "transformer"
    PPO = "ppo"


class Span(NamedTuple):
    """A part of the history, by the starts of its first and its last candle."""

    first: datetime
    last: datetime


class Spans(NamedTuple):
    """What was learned from, what said when to stop, what calibrated, and what was never touched."""

    train: Span
    stop: Span | None
    calibrate: Span | None
    test: Span


# What a label means, so that a reader of the manifest need not know the code; for PPO it is the reward.
LABELS: Final = {
    Kind.LSTM: "1 if the close after the horizon is higher than the last close of the window, else 0",
    Kind.TRANSFORMER: "logistic of the move over the horizon in units of ATR: 0 strong down, 0.5 none, 1 strong up",
    Kind.PPO: "change of equity after spread, slippage and fees",
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Manifest:
    """All that must be known to use a model, or to refuse it."""

    kind: Kind
    symbols: tuple[str, ...]
    interval: str
    origin: str  # the identity of the market, such as synthetic-7-edge
    architecture: Mapping[str, int | float | bool]  # the fields of the network's Config
    window: int  # candles it reads; a policy, which sees one moment, has 1
    horizon: int  # candles it looks ahead
    features: tuple[str, ...] = FEATURES
    fingerprint: str = fingerprint()
    state: tuple[str, ...] = ()  # what a policy sees beside the features, such as its position
    label: str
    scaler: Scaler  # of several coins one row for each, in the order of the symbols
    spans: Spans
    metrics: Mapping[str, float]
    platt: Platt | None
    seed: int
    data_hash: str
    code_hash: str
    run: str
    created_at: datetime
    parameters: int
    sha256: str  # of the weights
    probe: tuple[float, ...]  # what the network answered to the seeded batch when it was saved

    def __post_init__(self) -> None:
        _check_names(self)
        _check_counts(self)
        _check_spans(self)
        _check_numbers(self)

    @property
    def version(self) -> str:
        """Its name in answers, tables and commands: two models with the same weights are one."""
        return f"{self.kind}-{self.sha256[:VERSION_DIGITS]}"

    @property
    def learned_until(self) -> datetime:
        """The start of the last candle that had any part in what it is."""
        return max(span.last for span in self.spans[:3] if span is not None)


def damaged(field: str, detail: str) -> CrpbotError:
    """An entry of a manifest that cannot be."""
    return invalid(f"manifest.{field}", detail, reason="BAD_MANIFEST")


def _check_names(manifest: Manifest) -> None:
    for field, names in (
        ("symbols", manifest.symbols),
        ("features", manifest.features),
        ("state", manifest.state),
        ("origin", (manifest.origin,)),
        ("run", (manifest.run,)),
    ):
        for name in names:
            if not NAME.fullmatch(name):
                raise damaged(
                    field, f"{name[:80]!r} is no name of at most 64 letters, digits, points, dashes, underscores"
                )
        if len(set(names)) < len(names):
            raise damaged(field, "names one twice")
    for symbol in manifest.symbols:
        if not SYMBOL.fullmatch(symbol):
            raise damaged("symbols", f"{symbol!r} is no symbol such as BTC-USD")
    for field, names in (("symbols", manifest.symbols), ("features", manifest.features)):
        if not names:
            raise damaged(field, "is empty")
    if not DIGEST.fullmatch(manifest.sha256):
        raise damaged("sha256", f"{manifest.sha256[:80]!r} is not 64 hexadecimal digits")


def _check_counts(manifest: Manifest) -> None:
    interval_seconds(manifest.interval, field="manifest.interval")
    for field, value, most in (
        ("window", manifest.window, MOST_CANDLES),
        ("horizon", manifest.horizon, MOST_CANDLES),
        ("parameters", manifest.parameters, MOST_PARAMETERS),
    ):
        if not 1 <= value <= most:
            raise damaged(field, f"{value} is not within 1 .. {most}")


def _check_spans(manifest: Manifest) -> None:
    if manifest.created_at.tzinfo is None:
        raise damaged("created_at", "has no time zone")
    before: datetime | None = None
    for name, span in zip(Spans._fields, manifest.spans, strict=True):
        if span is None:
            continue
        if span.first.tzinfo is None or span.last.tzinfo is None:
            raise damaged(f"spans.{name}", "has no time zone")
        if span.first > span.last or (before is not None and span.first <= before):
            raise damaged(f"spans.{name}", f"begins {span.first:%Y-%m-%d %H:%M}, before what it must follow has ended")
        before = span.last


def _check_numbers(manifest: Manifest) -> None:
    if not manifest.probe:
        raise damaged("probe", "is empty: it holds what the network answered when it was saved")
    _check_finite("probe", manifest.probe)
    for name, value in manifest.metrics.items():
        _check_finite(f"metrics.{name}", (value,))
    if manifest.platt is not None:
        _check_finite("platt", manifest.platt)
        if manifest.platt.slope < 0.0:
            raise damaged("platt.slope", f"{manifest.platt.slope} is below 0: it would turn every answer upside down")
    width, coins = len(manifest.features), len(manifest.symbols)
    allowed = [(coins, width)] if coins > 1 else [(width,), (1, width)]
    for part, values in zip(Scaler._fields, manifest.scaler, strict=True):
        if values.shape not in allowed:
            shape = " x ".join(str(size) for size in values.shape)
            raise damaged(f"scaler.{part}", f"has {shape} numbers for {coins} coins of {width} features")
        _check_finite(f"scaler.{part}", values.flat)
    if not (manifest.scaler.scale > 0.0).all():
        raise damaged("scaler.scale", f"{manifest.scaler.scale.min()} is not above 0")


def _check_finite(field: str, values: Iterable[float]) -> None:
    for place, value in enumerate(values):
        if not np.isfinite(value):
            raise damaged(field, f"number {place} is {value}")
