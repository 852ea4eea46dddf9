"""Everything a model learns from: one row of inputs for each candle, what came after it, and who may see which rows.

Windows are never stored. A window is the row of its last candle and the rows before it, and `gather` takes a batch of
them out of the one table; two years of minutes are 122 MiB, in memory or mapped from a file.

What a row may see is fixed here once: the inputs of `core.features`, which look back only; a scaler fitted on the rows
of the training part only; labels that end inside their part. No window and no label crosses a hole in the candles.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import invalid
from core.features import FEATURES, WARM_UP, compute, fingerprint
from core.kernels.features import FloatMatrix
from core.market import COLUMNS, INTERVAL_SECONDS, Candles, Floats, Instants
from core.models.scaler import Scaler, fit_scaler, stack_scalers
from training.label import Labels, label
from training.leak import check_leaks
from training.split import SHARES, Part, Reach, candles_needed, check_borders, cut_part, draw_borders, reach_of
from training.table import map_table

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

JOINED: Final = "multi"  # the symbol of a data set of several coins
HORIZON: Final = 15


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """The candles of one coin, or of several behind one another, as a model sees them.

    N rows, one for each candle after the warm-up of its stretch; `rows` of a part index all columns. The labels `up`,
    `trend` and `move` (see `training.label`) are NaN where the future is not there. `borders` are the five instants
    (ms) between which the parts lie. Several coins are called `multi`: `symbols` has their names, `scaler` a row for
    each, and coin k has the rows from `starts[k]` to `starts[k + 1]`.
    """

    symbol: str
    interval: str
    origin: str
    horizon: int
    window: int
    features: FloatMatrix  # (N, 31), scaled, in memory or mapped
    open_times: Instants
    closes: Floats
    up: NDArray[np.float32]
    trend: NDArray[np.float32]
    move: Floats
    scaler: Scaler
    train: Part
    stop: Part
    calibrate: Part
    test: Part
    data_hash: str
    symbols: tuple[str, ...]
    starts: tuple[int, ...]
    borders: tuple[int, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """All four, oldest first."""
        return self.train, self.stop, self.calibrate, self.test


def build_dataset(
    candles: Candles | Sequence[Candles],
    *,
    origin: str,
    window: int,
    horizon: int = HORIZON,
    folder: Path | None = None,
    borders: Sequence[int] | None = None,
) -> Dataset:
    """The data set of one coin from its candles, or from its stretches of candles where minutes are missing.

    `origin` names the market of the candles; with `folder` the inputs lie in a file there and are mapped. `borders`,
    five instants in ms, take the place of 70, 7.5, 7.5 and 15 % of the time.
    """
    stretches = [candles] if isinstance(candles, Candles) else list(candles)
    borders = _check(stretches, window, horizon, borders)
    reach, step = reach_of(window, horizon), 1_000 * INTERVAL_SECONDS[stretches[0].interval]
    kept = _long_enough(stretches, reach)
    check_leaks(kept, compute)
    table = np.concatenate([compute(stretch) for stretch in kept])
    labels = _label(kept, table, horizon)
    times = np.concatenate([stretch.open_times[WARM_UP:] for stretch in kept])
    is_whole = np.concatenate([np.arange(len(stretch) - WARM_UP) >= window - 1 for stretch in kept])
    is_whole &= ~np.isnan(labels.move)
    spans = zip(SHARES, pairwise(borders), strict=True)
    parts = [cut_part(name, times, is_whole, span, reach=reach, step=step) for name, span in spans]
    scaler = fit_scaler(table[parts[0].rows[0] - window + 1 : parts[0].rows[-1] + 1])
    scaler.apply(table, out=table)
    data_hash = _hash(stretches, origin)
    if folder is not None:
        table = map_table(folder / _name(data_hash, scaler), [table])
    symbol, interval = stretches[0].symbol, stretches[0].interval
    for part in parts:
        logger.info("%s %s: %d windows, %s to %s", symbol, part.name, len(part.rows), part.first, part.last)
    closes = np.concatenate([stretch.close[WARM_UP:] for stretch in kept])
    return Dataset(
        symbol=symbol,
        interval=interval,
        origin=origin,
        horizon=horizon,
        window=window,
        features=table,
        open_times=times,
        closes=closes,
        up=labels.up,
        trend=labels.trend,
        move=labels.move,
        scaler=scaler,
        train=parts[0],
        stop=parts[1],
        calibrate=parts[2],
        test=parts[3],
        data_hash=data_hash,
        symbols=(symbol,),
        starts=(0, len(table)),
        borders=borders,
    )


def gather(table: torch.Tensor, rows: torch.Tensor, window: int) -> torch.Tensor:
    """The windows that end with `rows`, out of a contiguous (N, F) table: a view of all windows, indexed once.

    Shape: (B,) int64, each at least `window - 1` -> (B, window, F); nothing but the batch is copied.
    """
    length, width = table.shape
    windows = table.as_strided((length - window + 1, window, width), (width, width, 1))
    return windows.index_select(0, rows - (window - 1))


def join(datasets: Sequence[Dataset], *, folder: Path | None = None) -> Dataset:
    """Several coins as one data set, for a model over all of them: each keeps its scaler and its rows.

    All must have the same borders in time: coins move together, so one coin's test span is not another's to learn from.
    """
    first = datasets[0]
    for each in datasets[1:]:
        for field in ("interval", "origin", "horizon", "window", "borders"):
            found, wanted = getattr(each, field), getattr(first, field)
            if found != wanted:
                raise invalid(field, f"{each.symbol} has {found}, {first.symbol} has {wanted}; join only what agrees")
    starts = tuple(np.cumsum([0, *(len(each.open_times) for each in datasets)]).tolist())
    scaler = stack_scalers([each.scaler for each in datasets])
    data_hash = sha256("".join(each.data_hash for each in datasets).encode()).hexdigest()
    blocks = [each.features for each in datasets]
    table = np.concatenate(blocks) if folder is None else map_table(folder / _name(data_hash, scaler), blocks)
    parts = [_join_parts([each.parts[place] for each in datasets], starts) for place in range(len(SHARES))]
    return replace(
        first,
        symbol=JOINED,
        features=table,
        open_times=np.concatenate([each.open_times for each in datasets]),
        closes=np.concatenate([each.closes for each in datasets]),
        up=np.concatenate([each.up for each in datasets]),
        trend=np.concatenate([each.trend for each in datasets]),
        move=np.concatenate([each.move for each in datasets]),
        scaler=scaler,
        train=parts[0],
        stop=parts[1],
        calibrate=parts[2],
        test=parts[3],
        data_hash=data_hash,
        symbols=tuple(each.symbol for each in datasets),
        starts=starts,
    )


def _check(stretches: Sequence[Candles], window: int, horizon: int, borders: Sequence[int] | None) -> tuple[int, ...]:
    """Refuse what gives no data set, and say between which instants the parts lie."""
    for field, value in (("window", window), ("horizon", horizon), ("candles", len(stretches))):
        if value < 1:
            raise invalid(field, f"{value} is below 1")
    first = stretches[0]
    for before, after in pairwise(stretches):
        if (after.symbol, after.interval) != (first.symbol, first.interval) or after.open_times[0] < before.as_of:
            raise invalid(
                "candles",
                f"{after.symbol} {after.interval} from {after.open_times[0]} does not continue {before.symbol} "
                f"{before.interval}, which ends at {before.as_of}; give stretches of one series, oldest first",
            )
    if borders is not None:
        return check_borders(borders)
    reach = reach_of(window, horizon)
    found, needed = sum(map(len, stretches)), candles_needed(reach)
    if found < needed:
        raise invalid(
            "candles",
            f"{first.symbol} has {found} candles of {first.interval}; a window of {window}, {WARM_UP} before "
            f"it and {horizon} after it need {needed}, so that {min(SHARES.values()):.1%} of them hold one: "
            f"{needed - found} are missing; give a longer span",
            reason="TOO_FEW_CANDLES",
        )
    return draw_borders(int(first.open_times[0]), stretches[-1].as_of, step=1_000 * INTERVAL_SECONDS[first.interval])


def _long_enough(stretches: Sequence[Candles], reach: Reach) -> list[Candles]:
    """The stretches that give inputs at all."""
    kept = [stretch for stretch in stretches if len(stretch) > WARM_UP]
    if not kept:
        detail = (
            f"the longest stretch of {stretches[0].symbol} without a hole has {max(map(len, stretches))} candles; one "
            f"window, {WARM_UP} before it and its label need {reach.candles}: give a longer span, or fill the holes"
        )
        raise invalid("candles", detail, reason="TOO_FEW_CANDLES")
    return kept


def _label(stretches: Sequence[Candles], table: FloatMatrix, horizon: int) -> Labels:
    """The labels of all stretches, each by itself: no future lies behind a hole."""
    atr = table[:, FEATURES.index("atr")].astype(np.float64)
    starts = np.cumsum([len(each) - WARM_UP for each in stretches])[:-1]
    each_atr = np.split(atr, starts)
    labels = [label(each.close[WARM_UP:], part, horizon) for each, part in zip(stretches, each_atr, strict=True)]
    return Labels(*(np.concatenate(column) for column in zip(*labels, strict=True)))


def _hash(stretches: Sequence[Candles], origin: str) -> str:
    """What was learned from: sha256 over market, series, formulas of the inputs, and every candle."""
    digest = sha256(f"{origin}/{stretches[0].symbol}/{stretches[0].interval}/{fingerprint()}".encode())
    for stretch in stretches:
        for column in ("open_times", *COLUMNS):
            digest.update(np.ascontiguousarray(getattr(stretch, column)).data)
    return digest.hexdigest()


def _name(data_hash: str, scaler: Scaler) -> str:
    """What tells one scaled table from another."""
    return sha256(data_hash.encode() + scaler.mean.tobytes() + scaler.scale.tobytes()).hexdigest()[:16] + ".npy"


def _join_parts(parts: Sequence[Part], starts: Sequence[int]) -> Part:
    rows = np.concatenate([part.rows + begin for part, begin in zip(parts, starts, strict=False)])
    return Part(parts[0].name, rows, min(part.first for part in parts), max(part.last for part in parts))
