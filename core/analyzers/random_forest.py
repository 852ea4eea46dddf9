"""Whether the present pattern says anything about the next 15 minutes: a random forest, and its record unseen.

Twenty facts about the last 48 candles (FEATURES of core/kernels/pattern.py) go through 100 decision trees, each grown
on another random part of the coin's history; `probability_up` is the mean share of rises in the leaves they reach.

- Label: 1 if the close h candles on is higher, 0 if lower, left out if equal. h is as many candles as make 15 minutes
  (15 of 1m, 3 of 5m, 1 of 15m); of longer candles it is the next one, and `horizon_minutes` says so.
- `auc` is the chance that the forest ranks a candle before a rise above one before a fall: 0.5 is a coin. It is
  measured on candles not seen before: four times a forest grown on the past alone ranks the stretch that follows, after
  a gap of h + 48 candles, so that no candle stands on both sides. A shuffled cross-validation lets overlapping labels
  leak and finds 0.6 and more in pure noise.
- Within a stretch only candles h + 48 or more apart are compared. Nearer, the later one's inputs hold the earlier one's
  outcome, and betting against the last moves looks wise: AUC 0.53 for pure noise in stretches of 300 candles.
- `auc_low` .. `auc_high` is its 95 % interval: each candle's influence on the AUC (DeLong) is added up over blocks of
  h + 48 candles, because neighbours share moves, and Student's t is read with (blocks - stretches) degrees of freedom.
- `probability_continues` is `probability_up` or its complement, whichever repeats the direction of the last h candles.
- `tree_spread` is the disagreement among trees, `standard_error` what is left of it in the mean of 100: the error of
  growing few trees, not of having little history.

An AUC proves that candles are ranked, not how often the close is higher anyway: `base_rate`. So the vote takes the
smaller of two edges, probability_up - 0.5 and probability_up - base_rate, over 0.2, cut at -1 and 1, times the part of
the skill that is proved, (auc_low - 0.5) / (auc - 0.5). It is 0 where the edges differ in sign, unless the whole
interval lies above 0.5, and unless the smaller edge is more than two standard errors.
Expect no vote on most coins: the direction of 15 minutes is all but unpredictable, and to say so is the point.

Good for: patterns of several inputs at once, with the proof beside them. Not good for: what the history never showed;
steady drift, which ranks no candle above another; and no promise of profit, because costs are not in the label.

Sources: Breiman 2001, doi 10.1023/A:1010933404324; DeLong, DeLong and Clarke-Pearson 1988, doi 10.2307/2531595; Lopez
de Prado 2018, Advances in Financial Machine Learning, chapters 4 and 7 (overlapping labels, purging, embargo).
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import stdtrit

from core.analysis import Columns, Field, Opinion, Values
from core.errors import invalid
from core.kernels.pattern import (
    FEATURES,  # noqa: F401  # the manifest of a fit names them
    LOOKBACK,
    Inputs,
    compute_features,
)
from core.market import Candles, Floats, Instants, Windows, interval_seconds, stack_windows

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

HORIZON_SECONDS = 900

FIELDS = {
    "probability_up": Field("probability that the close after the horizon is higher", low=0.0, high=1.0),
    "probability_continues": Field("probability that it goes on as in the last horizon", low=0.0, high=1.0),
    "tree_spread": Field("standard deviation of the probability among trees", low=0.0, high=0.5),
    "standard_error": Field("error of the probability from growing only so many trees", low=0.0, high=0.5),
    "auc": Field("out-of-sample chance to rank a rise above a fall: 0.5 no skill", low=0.0, high=1.0),
    "auc_low": Field("lower end of its 95 % interval", low=0.0, high=1.0),
    "auc_high": Field("upper end of its 95 % interval", low=0.0, high=1.0),
    "auc_n": Field("candles it was measured on, none seen before", low=0.0),
    "base_rate": Field("share of higher closes in the whole history", low=0.0, high=1.0),
    "horizon_minutes": Field("minutes from the last close to the one foretold", low=1.0),
}
MIN_LENGTH = LOOKBACK + 1
UNDEFINED = "the last 48 moves are all the same size (or there are none): no pattern to compare"

# A probability of 0.7 for one direction is far beyond what markets offer: a whole vote.
FULL_VOTE_EDGE = 0.2
# From here on the words say how often the close is higher anyway.
FAR_BASE_RATE = 0.03
# Half of the interval's missing 5 %.
TAIL = 0.025

TREES = 100
DEPTH = 6
# A tree sees at most so many candles: as good as more where skill is small, and a year of history stays quick to learn.
ROWS_A_TREE = 2_000
# Moves that overlap count as one, so that a leaf of pure chance strays from the base rate by 0.07 at most (one sd).
OUTCOMES_A_LEAF = 50
# The first third is only learned from; the rest is foretold in four stretches.
STRETCHES = 4
FEWEST_EXAMPLES = 1_500
RAREST = 0.05


class Fitted(NamedTuple):
    """A forest as flat arrays, one entry a node, and what it was worth on candles it had not seen.

    A node sends an input at or below its threshold to the left; a leaf has -1 there and its share of rises as value.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int16]
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Floats
    auc: Floats
    auc_low: Floats
    auc_high: Floats
    auc_n: Floats
    base_rate: Floats
    horizon_minutes: Floats


class Skill(NamedTuple):
    """An AUC with its 95 % interval and the number of candles it was measured on."""

    auc: float
    low: float
    high: float
    size: int


def analyze(windows: Windows, fitted: Sequence[Fitted]) -> Columns:
    """The forest of each row on its newest candle, and that forest's record.

    Shape: (B, T) and B forests -> (B,) for every field.
    Edge cases: the last 48 returns all equal give NaN; a close equal to that of one horizon ago continues nothing.
    """
    inputs = compute_features(windows, newest=1)
    found = np.array([predict(state, row)[0] for state, row in zip(fitted, inputs, strict=True)])
    probability, spread = np.ascontiguousarray(found.T)
    trees = np.array([len(state.roots) for state in fitted], dtype=np.float64)
    last = windows.close[:, -1] - windows.close[:, -1 - horizon_candles(windows.interval)]
    record = {
        name: np.array([float(getattr(state, name)) for state in fitted])
        for name in ("auc", "auc_low", "auc_high", "auc_n", "base_rate", "horizon_minutes")
    }
    return {
        "probability_up": probability,
        "probability_continues": np.where(last == 0.0, np.nan, np.where(last > 0.0, probability, 1.0 - probability)),
        "tree_spread": spread,
        "standard_error": spread / np.sqrt(trees),
        **record,
    }


def read(values: Values) -> Opinion:
    """Vote with the probability where the forest has proved itself and it lies beyond the usual, else stay out."""
    probability, low, high = values["probability_up"], values["auc_low"], values["auc_high"]
    record = f"AUC {values['auc']:.3f} ({low:.3f}-{high:.3f})"
    if high < 0.5:
        return Opinion(0.0, f"The forest was worse than chance on this coin: {record}, so it has no vote.")
    if low <= 0.5:
        return Opinion(0.0, f"The forest has shown no skill on this coin: {record}, so it has no vote.")
    chances = f"{100 * probability:.0f} % for a higher close in {_span(values['horizon_minutes'])}"
    usual = values["base_rate"]
    if abs(usual - 0.5) > FAR_BASE_RATE:
        chances += f", {100 * usual:.0f} % being usual"
    # The AUC proves that candles are ranked, not that rises outweigh falls: both edges must point the same way.
    edge = min(probability - 0.5, probability - usual, key=abs)
    agreed = (probability - 0.5) * (probability - usual) > 0.0
    if not agreed or abs(edge) <= 2.0 * values["standard_error"]:
        return Opinion(0.0, f"The pattern leaves the direction open: {chances}, {record} unseen.")
    proved = (low - 0.5) / (values["auc"] - 0.5)
    vote = proved * min(max(edge / FULL_VOTE_EDGE, -1.0), 1.0)
    continues = values.get("probability_continues")
    move = "" if continues is None else f", the last move should {'go on' if continues > 0.5 else 'turn'}"
    return Opinion(vote, f"The pattern points {'up' if vote > 0.0 else 'down'}: {chances}{move}; {record} unseen.")


def horizon_candles(interval: str) -> int:
    """Candles from the last close to the one foretold: as many as make 15 minutes, at least one.

    >>> [horizon_candles(interval) for interval in ("1m", "5m", "15m", "1h")]
    [15, 3, 1, 1]
    """
    return max(1, HORIZON_SECONDS // interval_seconds(interval))


def predict(fitted: Fitted, inputs: Inputs) -> Floats:
    """Mean and standard deviation over the trees of the share of rises.

    Shape: (N, 20) -> (N, 2). The mean is that of scikit-learn's `predict_proba` to the last bit; NaN where an input is.
    """
    table = np.full((len(inputs), 2), np.nan)
    _walk(inputs, fitted.roots, fitted.feature, fitted.threshold, (fitted.left, fitted.right), fitted.value, table)
    return table


def fit(history: Candles) -> Fitted:
    """Grow a coin's forest on its history and measure it on stretches that it had not seen.

    The same history gives the same forest; ten thousand candles take about two seconds. Refused: fewer than 1,500
    candles with a label, or more than 95 % of them of one direction.
    """
    horizon = horizon_candles(history.interval)
    places, inputs, labels = label_examples(history, horizon)
    if len(labels) < FEWEST_EXAMPLES:
        detail = f"{len(history)} candles give {len(labels)} with pattern and outcome; {FEWEST_EXAMPLES} are needed"
        raise invalid("history", detail, reason="HISTORY_TOO_SHORT")
    rises = labels.mean()
    if not RAREST <= rises <= 1.0 - RAREST:
        raise invalid("history", f"{100 * rises:.0f} % of the moves are rises: nothing to tell apart")
    scored = []
    for learned, foretold in split_forward(places, horizon + LOOKBACK):
        forest = grow(inputs[learned], labels[learned], horizon, history.symbol)
        chances = forest.predict_proba(inputs[foretold])[:, forest.classes_ == 1].sum(axis=1)
        scored.append((chances, labels[foretold]))
    skill = measure_skill(scored, horizon + LOOKBACK)
    facts = {
        "auc": skill.auc,
        "auc_low": skill.low,
        "auc_high": skill.high,
        "auc_n": skill.size,
        "base_rate": rises,
        "horizon_minutes": horizon * interval_seconds(history.interval) / 60,
    }
    forest = flatten(grow(inputs, labels, horizon, history.symbol))
    return Fitted(**forest, **{name: np.asarray(float(fact)) for name, fact in facts.items()})


def label_examples(history: Candles, horizon: int) -> tuple[Instants, Inputs, Instants]:
    """Places, inputs and labels of the candles that have both: 1 for a rise over the horizon, 0 for a fall."""
    inputs = compute_features(stack_windows([history], len(history)))[0, : max(0, len(history) - horizon)]
    later, now = history.close[horizon:], history.close[: len(inputs)]
    places = np.flatnonzero(~np.isnan(inputs[:, 0]) & (later != now))
    return places, np.ascontiguousarray(inputs[places]), (later > now)[places].astype(np.int64)


def split_forward(places: Instants, gap: int) -> list[tuple[slice, slice]]:
    """The stretches to be foretold, each with the examples that end more than `gap` candles before it."""
    borders = np.linspace(len(places) // 3, len(places), STRETCHES + 1).astype(int).tolist()
    return [
        (slice(0, int(np.searchsorted(places, places[start] - gap))), slice(start, end))
        for start, end in itertools.pairwise(borders)
    ]


def grow(inputs: Inputs, labels: Instants, horizon: int, symbol: str) -> RandomForestClassifier:
    """A forest of scikit-learn's: shallow, with large leaves, because there is little to learn and much to imagine.

    Chance is seeded by the symbol.
    """
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415  # offline only: serving never imports it

    rows = min(len(labels), ROWS_A_TREE)
    overlap = max(1.0, horizon * rows / len(labels))
    forest = RandomForestClassifier(
        TREES,
        max_depth=DEPTH,
        min_samples_leaf=round(OUTCOMES_A_LEAF * overlap),
        max_samples=rows,
        n_jobs=1,
        random_state=zlib.crc32(symbol.encode()),
    )
    return forest.fit(inputs, labels)


def flatten(forest: RandomForestClassifier) -> dict[str, NDArray[Any]]:  # Any: whole numbers and fractions
    """The nodes of all trees one after another, children counted from the first tree's root."""
    trees = [tree.tree_ for tree in forest.estimators_]
    sizes = [tree.node_count for tree in trees]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    shift = np.repeat(roots, sizes)

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(tree, name) for tree in trees])

    left, right = joined("children_left"), joined("children_right")
    return {
        "roots": roots.astype(np.int32),
        "feature": joined("feature").astype(np.int16),
        "threshold": joined("threshold"),
        "left": np.where(left < 0, -1, left + shift).astype(np.int32),
        "right": np.where(right < 0, -1, right + shift).astype(np.int32),
        "value": np.ascontiguousarray(joined("value")[:, 0, 1]),
    }


def measure_skill(stretches: Sequence[tuple[Floats, Instants]], gap: int) -> Skill:
    """AUC of scores against labels (1 rise, 0 fall) with a 95 % interval that overlapping labels do not narrow.

    AUC = W / P: of P pairs of a rise and a fall, W have the higher score before the rise (equal scores count half).
    Only candles of one stretch (oldest first) are paired, because each stretch was scored by a forest of its own,
    and only if `gap` or more apart: nearer, the later one's inputs hold the earlier one's outcome, which makes betting
    against the last moves look wise in any short stretch of a random walk.
    A candle's influence is (its w - AUC x its p) / P; blocks of `gap` candles add up theirs.
    """
    counted = [_count_pairs(scores, labels, gap) for scores, labels in stretches]
    pairs = sum(float(compared.sum()) for _, compared in counted) / 2.0
    if pairs == 0.0:
        raise invalid("history", "no rise and fall stand far enough apart: no ranking to measure")
    auc = sum(float(won.sum()) for won, _ in counted) / 2.0 / pairs
    influence = np.concatenate(
        [np.add.reduceat(won - auc * compared, np.arange(0, len(won), gap)) / pairs for won, compared in counted]
    )
    freedom = max(1, len(influence) - len(stretches))
    error = math.sqrt(float(influence @ influence) * len(influence) / freedom)
    reach = float(stdtrit(freedom, 1.0 - TAIL)) * error
    size = sum(len(labels) for _, labels in stretches)
    return Skill(auc, max(0.0, auc - reach), min(1.0, auc + reach), size)


def sample() -> Fitted:
    """Three trees that follow the last moves and a modest record: for tests and for compiling before the first call."""
    return Fitted(
        roots=np.array([0, 3, 8], dtype=np.int32),
        feature=np.array([0, -2, -2, 7, 10, -2, -2, -2, 3, -2, -2], dtype=np.int16),
        threshold=np.array([0.1, -2.0, -2.0, 0.55, 0.35, -2.0, -2.0, -2.0, -0.2, -2.0, -2.0]),
        left=np.array([1, -1, -1, 4, 5, -1, -1, -1, 9, -1, -1], dtype=np.int32),
        right=np.array([2, -1, -1, 7, 6, -1, -1, -1, 10, -1, -1], dtype=np.int32),
        value=np.array([0.5, 0.42, 0.6, 0.5, 0.47, 0.4, 0.52, 0.63, 0.5, 0.44, 0.57]),
        auc=np.asarray(0.55),
        auc_low=np.asarray(0.53),
        auc_high=np.asarray(0.57),
        auc_n=np.asarray(6_600.0),
        base_rate=np.asarray(0.5),
        horizon_minutes=np.asarray(15.0),
    )


def _count_pairs(scores: Floats, labels: Instants, gap: int) -> tuple[Floats, Floats]:
    """For each candle the pairs won and made with candles of the other kind that are `gap` or more away."""
    rise = labels == 1
    above, below = np.sort(scores[rise]), np.sort(scores[~rise])
    over_falls = (np.searchsorted(below, scores) + np.searchsorted(below, scores, "right")) / 2.0
    over_rises = (np.searchsorted(above, scores) + np.searchsorted(above, scores, "right")) / 2.0
    won = np.where(rise, over_falls, len(above) - over_rises)
    compared = np.where(rise, len(below), len(above)).astype(np.float64)
    _withdraw_near_pairs(scores, labels, gap, won, compared)
    return won, compared


def _span(minutes: float) -> str:
    """A horizon in words."""
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"


@njit(cache=True, nogil=True)
def _withdraw_near_pairs(scores: Floats, labels: Instants, gap: int, won: Floats, compared: Floats) -> None:
    """Take the pairs of a rise and a fall less than `gap` apart out of both counts."""
    size = len(scores)
    for first in range(size):
        for second in range(first + 1, min(first + gap, size)):
            if labels[first] == labels[second]:
                continue
            lead = scores[first] - scores[second] if labels[first] == 1 else scores[second] - scores[first]
            points = (1.0 + np.sign(lead)) / 2.0
            for candle in (first, second):
                won[candle] -= points
                compared[candle] -= 1.0


@njit(cache=True, nogil=True)
def _walk(
    inputs: Inputs,
    roots: NDArray[np.int32],
    feature: NDArray[np.int16],
    threshold: Floats,
    children: tuple[NDArray[np.int32], NDArray[np.int32]],
    value: Floats,
    table: Floats,
) -> None:
    """Mean and standard deviation of the leaves that each row of inputs reaches; a row with NaN stays NaN."""
    left, right = children
    trees = len(roots)
    leaves = np.empty(trees)
    for row in range(inputs.shape[0]):
        if math.isnan(inputs[row, 0]):
            continue
        total = 0.0
        for tree in range(trees):
            node = roots[tree]
            while left[node] >= 0:
                node = left[node] if inputs[row, feature[node]] <= threshold[node] else right[node]
            leaves[tree] = value[node]
            total += value[node]
        mean = total / trees
        squares = 0.0
        for tree in range(trees):
            squares += (leaves[tree] - mean) ** 2
        table[row, 0] = mean
        table[row, 1] = math.sqrt(squares / trees)
