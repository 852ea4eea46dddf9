"""The models asked side by side: what each network says of a market's last minutes, or why it says nothing.

Asking is what `core.panel` is for theories: each model by itself, so that the fault or lateness of one sinks no other,
and what comes out are readings named by the model's version. All inputs come from `core.features.compute`, the one
function of training too. A network gets all rows that it knows in one forward pass; a row's answer does not depend on
its neighbours by more than 1e-6, the fineness in which answers are kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from scipy.special import expit

from core.analysis import Missing, Reading
from core.ensemble import quantise
from core.errors import CrpbotError, invalid
from core.features import WARM_UP, compute
from core.fitted import Wanted
from core.forecasts.lineup import CALIBRATED, PROBABILITY
from core.kernels.features import FloatMatrix
from core.market import Candles, Floats, Windows, interval_seconds
from core.models.answers import LATE, Outcome, Told
from core.models.calibration import log_odds
from core.models.manifest import Manifest
from core.models.policy import Policy
from core.models.policy import forecast as forecast_moments
from core.models.shelf import ModelShelf, OpenModel
from core.models.suitability import check_wanted

logger = logging.getLogger(__name__)


class Rows:
    """The windows of a question one by one, with the inputs of each computed once however many models read them.

    All of them together before the first model: between two networks each would find its code gone from the processor's
    cache, and ten coins would take 2 ms more.
    """

    def __init__(self, batches: Sequence[Windows]) -> None:
        self._places = [(batch, row) for batch in batches for row in range(len(batch))]
        self._tables = [_describe(batch, row) for batch, row in self._places]

    def __len__(self) -> int:
        return len(self._places)

    def symbol(self, place: int) -> str:
        """Whose minutes these are."""
        batch, row = self._places[place]
        return batch.symbols[row]

    def wanted(self, place: int) -> Wanted:
        """Which market the row is of, and the instant that it could see."""
        batch, row = self._places[place]
        origin = batch.origins[row] if batch.origins else ""
        return Wanted(origin, batch.interval, batch.symbols[row], int(batch.as_of[row]))

    def inputs(self, place: int, manifest: Manifest) -> FloatMatrix:
        """What a model reads of a row, on its own scale. Shape: (window, features). Raises what speaks against it."""
        batch, _ = self._places[place]
        needed = WARM_UP + manifest.window
        if batch.length < needed:
            detail = f"{batch.length} minutes are known of {self.symbol(place)}, {manifest.version} needs {needed}"
            raise invalid("candles", detail, reason="TOO_FEW_CANDLES")
        table = self._tables[place]
        if isinstance(table, CrpbotError):
            raise table
        coin = manifest.symbols.index(self.symbol(place))
        return manifest.scaler.coin(coin).apply(table[-manifest.window :])


def warm_up() -> None:
    """Computes the inputs once, so that no question pays for the loading of their kernel."""
    flat = np.ones(WARM_UP + 1)
    times = 60_000 * np.arange(len(flat), dtype=np.int64)
    compute(Candles("BTC-USD", "1m", times, flat, flat, flat, flat, flat))


def ask_each(
    shelf: ModelShelf, batches: Sequence[Windows], versions: Sequence[str], seconds_left: Callable[[], float]
) -> Iterator[tuple[str, Told]]:
    """What each model says of the rows whose symbol it knows. Who fails or is late is named, not hidden.

    One model after the other, so that whoever gives up waiting has the answers of those before.
    """
    rows = Rows(batches)
    for version in dict.fromkeys(versions):
        if seconds_left() <= 0:
            yield version, _missing(version, "deadline", LATE) * len(rows)
        else:
            yield version, _ask(shelf, rows, version)


def _describe(batch: Windows, row: int) -> FloatMatrix | CrpbotError:
    """The inputs of a window, or what speaks against its candles."""
    columns = (batch.block[column, row] for column in range(len(batch.block)))
    try:
        return compute(Candles(batch.symbols[row], batch.interval, batch.open_times[row], *columns))
    except CrpbotError as error:
        return error


def _ask(shelf: ModelShelf, rows: Rows, version: str) -> Told:
    try:
        model = shelf.find(version)
    except CrpbotError as error:
        return _missing(version, "failed", error.detail) * len(rows)
    except Exception as error:  # whatever a library raises over one file must not sink the other models
        logger.exception("model %s cannot be opened", version)
        return _missing(version, "failed", _failure(error)) * len(rows)
    told: Told = [None] * len(rows)
    inputs: dict[int, FloatMatrix] = {}
    for place in range(len(rows)):
        if rows.symbol(place) in model.manifest.symbols:
            try:
                check_wanted(model.manifest, rows.wanted(place))
                inputs[place] = rows.inputs(place, model.manifest)
            except CrpbotError as error:
                told[place] = _no_reading(version, error.detail)
    for place, outcome in _answer(model, inputs):
        told[place] = outcome
    return told


def _answer(model: OpenModel, inputs: Mapping[int, FloatMatrix]) -> Iterator[tuple[int, Outcome]]:
    """What a model says of the rows that it may speak of, all in one forward pass."""
    if not inputs:
        return
    version = model.manifest.version
    try:
        odds = read_odds(model, np.stack(list(inputs.values()))).tolist()
    except Exception as error:  # one model's fault must not sink the others: it is logged and named in the answer
        if len(inputs) > 1:  # nor may one row's fault sink its neighbours
            for place, row in inputs.items():
                yield from _answer(model, {place: row})
            return
        logger.exception("model %s failed", version)
        yield next(iter(inputs)), Missing(version, "failed", _failure(error))
        return
    for place, value in zip(inputs, odds, strict=True):
        yield place, _read(model.manifest, value)


def read_odds(model: OpenModel, windows: FloatMatrix) -> Floats:
    """The log odds of a rise as the network itself says them, as training scores it. Shape: (B, window, 31) -> (B,)"""
    network = model.network
    if isinstance(network, Policy):
        return log_odds(forecast_moments(network, windows[:, -1]))
    with torch.inference_mode():
        found: Floats = network(torch.from_numpy(windows).to(model.weight)).double().cpu().numpy()
    return found


def _read(manifest: Manifest, odds: float) -> Reading:
    if not np.isfinite(odds):
        return _no_reading(manifest.version, f"{manifest.version} answered {odds}, which is no number: it has no say")
    probability = quantise(float(expit(odds)))
    minutes = manifest.horizon * interval_seconds(manifest.interval) // 60
    words = f"a rise over the next {minutes} minutes: {probability:.1%}"
    if manifest.platt is None:
        return Reading(manifest.version, {PROBABILITY: probability}, 2.0 * probability - 1.0, words)
    calibrated = quantise(float(manifest.platt.apply(np.array([odds]))[0]))
    told = f"{words}, calibrated {calibrated:.1%}"
    return Reading(manifest.version, {PROBABILITY: probability, CALIBRATED: calibrated}, 2.0 * calibrated - 1.0, told)


def _no_reading(version: str, problem: str) -> Reading:
    return Reading(version, {}, 0.0, "", problem)


def _missing(version: str, reason: str, detail: str) -> Told:
    return [Missing(version, reason, detail)]


def _failure(error: Exception) -> str:
    return f"the model raised {type(error).__name__}; the log has the trace"
