"""What both regime theories share: a hidden Markov model learned from long history, and how far to believe its names.

Fitting: returns over their standard deviation; expectation-maximisation (core/kernels/hidden_markov.py) from each of
the layout's starts for a few steps, the most likely one to its end. The same candles give the same fit.

Believing: likelihood finds three different means in every history, also in a walk. So the history is cut into eight
pieces; the odd ones are read by a model fitted on the even ones, and the other way round, and the returns there are
regressed on the trend probabilities that stood one candle before (weights 1 / expected variance; errors from sums over
blocks of candles, so that neither clusters of volatility nor a drift left over feign precision): means m with
covariance V. `trend_separation` is z = (m_up - m_down) / its standard error; the belief is (z - 2) / 4, cut at 0 and 1.
The labels down, flat and up are the ranks of means drawn from N(m, 4 V) with this belief, and drawn by lot without it:
`labels[s, l]` is the chance that state s deserves label l. What is shown are the filtered probabilities times `labels`.
So where the means do not differ by two standard errors, each trend is shown at exactly one third, however sure the
filter is of its states; trends that come back on unseen candles keep their names.

Sources: Baum, Petrie, Soules, Weiss 1970, doi 10.1214/aoms/1177697196; Hamilton 1989, doi 10.2307/1912559; White 1980,
doi 10.2307/1912934 (errors).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from core.errors import invalid
from core.kernels.hidden_markov import Indices, filter_path, maximise
from core.market import Candles, Floats

# A standard deviation of the log returns below this is rounding.
ROUNDING = 1e-12
TRENDS = 3
# Each half must show regimes of tens of candles many times over. It is made of every other piece, because a market that
# only falls for months would leave one half of a plain cut without any rise to learn.
FEWEST_CANDLES = 2_000
PIECES = 8
# Most steps and least gain of a step in nats: first from every start, then from the best one.
SHORT_RUN, LONG_RUN = (12, 0.1), (100, 0.02)
# A state may not shrink onto a few equal returns; what ends within four candles on average is no regime; twenty candles
# without a move keep the mean of a state from following one odd candle; and regimes are few, so that where they lead is
# known from tens of changes: so many more are spread evenly over the other states.
LEAST_DEVIATION, LEAST_STAY, PULL, CHANGES = 0.05, 0.75, 20.0, 20.0
# No change is impossible: a market may do what its history did not.
SMALLEST_CHANCE = 1e-6
# A move beyond this many deviations says no more of the regime than one of this size; fat tails would buy states.
LARGEST_MOVE = 5.0
# One walk in forty has a separation of two by chance, none has six. Between neighbours errors count double.
UNBELIEVED, BELIEVED = 2.0, 6.0
CAUTION = 2.0
DRAWS = 10_000
# Standard deviation of a trend's mean before any candle is seen: drifts of a third of a candle's deviation are rare.
PRIOR = 0.1
# Nobody calls a market flat whose drift is half of a trend of 0.3 deviations a candle.
STRONG_DRIFT = 0.15
# Candles in a block: longer than most echoes, and still seventy blocks in a history of 7,000.
BLOCK = 100


class Start(NamedTuple):
    """Where a fit may begin: means and deviations of the states, and the chance to stay in one."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]
    stay: float


class Layout(NamedTuple):
    """How the K states are built: three trends from down to up, in each as many volatilities from low to high.

    `classes`: states of one class share their deviation; either a class for each volatility or one for each state.
    """

    classes: Indices
    starts: tuple[Start, ...]


class Fitted(NamedTuple):
    """What was learned from one coin's history, returns in units of `scale`; states ordered by mean, then deviation."""

    scale: Floats
    emission: Floats
    transition: Floats
    start: Floats
    labels: Floats
    label_means: Floats
    label_transition: Floats
    trend_separation: Floats
    volatility_ratio: Floats
    log_likelihood: Floats
    history_size: Floats


class Model(NamedTuple):
    """A hidden Markov model and its log likelihood: means and deviations (2, K), (K, K), (K,)."""

    emission: Floats
    transition: Floats
    start: Floats
    likelihood: float = -math.inf


class Models(NamedTuple):
    """The different models of a batch, stacked for the kernels, and the number of each row's."""

    rows: Indices
    units: tuple[Floats, float]
    parameters: tuple[Floats, Floats, Floats]
    labelled: tuple[Floats, Floats, Floats]
    metrics: Floats


def fit_history(history: Candles, layout: Layout) -> Fitted:
    """Learn from the closes of one coin; a history that is too short is refused."""
    if len(history) < FEWEST_CANDLES:
        detail = f"{len(history)} candles are too few to learn regimes from; at least {FEWEST_CANDLES:,} are needed"
        raise invalid("history", detail, reason="HISTORY_TOO_SHORT")
    return fit_returns(np.diff(np.log(history.close))[None, :], layout)


def fit_returns(returns: Floats, layout: Layout) -> Fitted:
    """Learn from one or several stretches of log returns of equal length.

    Shape: (S, n). Edge case: returns that do not move are refused.
    """
    scale = float(returns.std())
    if scale <= ROUNDING:
        raise invalid("history", "the closes never move: there are no regimes to learn", reason="FLAT_HISTORY")
    values = np.clip(returns / scale, -LARGEST_MOVE, LARGEST_MOVE)
    length = values.shape[1] // PIECES
    pieces = values[:, : PIECES * length].reshape(-1, length)
    halves = [np.ascontiguousarray(pieces[0::2]), np.ascontiguousarray(pieces[1::2])]
    models = [_fit_from(half, [begin(start) for start in layout.starts], layout) for half in halves]
    model = _fit_from(values, models, layout)
    return assemble(scale, model, *_unseen_means(halves, models), size=values.size)


def begin(start: Start) -> Model:
    """A start as a model."""
    states = len(start.means)
    transition = np.full((states, states), (1.0 - start.stay) / (states - 1))
    np.fill_diagonal(transition, start.stay)
    return Model(np.array([start.means, start.deviations]), transition, np.full(states, 1.0 / states))


def assemble(scale: float, model: Model, means: Floats, covariance: Floats, *, size: int) -> Fitted:
    """A model with its labels, given the trends' means on unseen candles: averaged over how the trends may rank."""
    states = len(model.start)
    volatilities = np.arange(states // TRENDS)
    transition = (1.0 - SMALLEST_CHANCE) * model.transition + SMALLEST_CHANCE / states
    start = stationary(transition)
    separation = trend_separation(means, covariance)
    belief = min(max((separation - UNBELIEVED) / (BELIEVED - UNBELIEVED), 0.0), 1.0)
    labels, flows = np.zeros((2, states, states))
    drifts = (start * model.emission[0]).reshape(TRENDS, -1).sum(axis=1) / start.reshape(TRENDS, -1).sum(axis=1)
    believed = {ranks: belief * chance for ranks, chance in rankings(means, covariance, drifts).items()}
    by_lot = {ranks: (1.0 - belief) / math.factorial(TRENDS) for ranks in permutations(range(TRENDS))}
    for trends, weight in (*believed.items(), *by_lot.items()):
        places = (np.array(trends)[:, None] * len(volatilities) + volatilities).ravel()
        labels[np.arange(states), places] += weight
        np.add.at(flows, np.ix_(places, places), weight * start[:, None] * transition)
    shares = flows.sum(axis=1, keepdims=True)
    return Fitted(
        scale=np.array(scale),
        emission=model.emission,
        transition=transition,
        start=start,
        labels=labels,
        label_means=belief * model.emission[0] + (1.0 - belief) * (start @ model.emission[0]),
        # A label that no state deserves is never shown; its row is only kept sound.
        label_transition=np.where(shares > 0.0, flows / np.where(shares > 0.0, shares, 1.0), 1.0 / states),
        trend_separation=np.array(separation),
        volatility_ratio=np.array(model.emission[1].max() / model.emission[1].min()),
        log_likelihood=np.array(model.likelihood / size),
        history_size=np.array(float(size)),
    )


def stationary(transition: Floats) -> Floats:
    """The shares of time that a chain spends in its states: what is known before the first candle of a window."""
    states = len(transition)
    system = np.vstack([transition.T - np.eye(states), np.ones(states)])
    shares = np.maximum(np.linalg.lstsq(system, np.append(np.zeros(states), 1.0), rcond=None)[0], 0.0)
    return np.asarray(shares / shares.sum())


def trend_separation(means: Floats, covariance: Floats) -> float:
    """By how many standard errors the mean of the up trend lies above that of the down trend."""
    variance = covariance[0, 0] + covariance[2, 2] - 2.0 * covariance[0, 2]
    return float((means[2] - means[0]) / math.sqrt(variance))


def rankings(means: Floats, covariance: Floats, drifts: Floats) -> dict[tuple[int, ...], float]:
    """The names of the trends (0 down, 1 flat, 2 up), and how often each set of names occurs.

    The means on unseen candles are drawn with their errors doubled and ranked. The middle one keeps the name flat
    unless it drifts as another does, in the draw or in the model (`drifts`).
    """
    noise = np.random.default_rng(0).standard_normal((DRAWS, TRENDS)) @ np.linalg.cholesky(CAUTION**2 * covariance).T
    drawn = means + np.concatenate([noise, -noise])
    names = np.argsort(np.argsort(drawn, axis=1), axis=1)
    middle = middle_names(np.sort(drawn, axis=1))
    names = np.where(names == 1, np.where(middle == 1, middle_names(drifts[None, :]), middle)[:, None], names)
    found, counts = np.unique(names, axis=0, return_counts=True)
    return {tuple(row): count / len(names) for row, count in zip(found.tolist(), counts.tolist(), strict=True)}


def middle_names(drifts: Floats) -> Indices:
    """What the middle one of three ordered drifts is: 0 or 2 if strong and nearer to that one than to 0, else 1.

    A history of two trends leaves the third state to double one of them, and a strong drift is not called flat. Weak
    drifts keep three names: their order is known too badly to give one up. Shape: (D, 3) -> (D,).

    >>> middle_names(np.array([[-0.3, 0.27, 0.3], [-0.2, 0.05, 0.15], [-0.3, -0.2, 0.3]])).tolist()
    [2, 1, 0]
    """
    low, middle, high = drifts.T
    is_up = middle > np.maximum(STRONG_DRIFT, high - middle)
    is_down = -middle > np.maximum(STRONG_DRIFT, middle - low)
    return np.where(is_up, 2, np.where(is_down, 0, 1))


def stack_models(fitted: Sequence[Fitted]) -> Models:
    """The models of a batch for the kernels, each once however many rows share it."""
    known: dict[int, int] = {}
    rows = np.array([known.setdefault(id(each), len(known)) for each in fitted])
    different = list({id(each): each for each in fitted}.values())
    return Models(
        rows=rows,
        units=(np.array([each.scale for each in different])[rows], LARGEST_MOVE),
        parameters=(
            np.array([each.emission for each in different]),
            np.array([each.transition for each in different]),
            np.array([each.start for each in different]),
        ),
        labelled=(
            np.array([each.labels for each in different]),
            np.array([each.label_means for each in different]),
            np.array([each.label_transition for each in different]),
        ),
        metrics=np.array([[each.trend_separation, each.volatility_ratio, each.history_size] for each in different])[
            rows
        ].T,
    )


def _fit_from(values: Floats, starts: list[Model], layout: Layout) -> Model:
    """The best of the starts after a short run, run to its end, its states in order."""
    tried = [_run(values, start, layout, SHORT_RUN) for start in starts]
    best = _run(values, max(tried, key=lambda model: model.likelihood), layout, LONG_RUN)
    states = len(best.start)
    shared = layout.classes.max() + 1 < states
    # With shared deviations the kernel keeps the means of a class in order, so that only the classes may have swapped.
    trends = np.arange(states) // (states // TRENDS)
    order = np.lexsort((best.emission[1], trends if shared else best.emission[0]))
    return Model(best.emission[:, order], best.transition[np.ix_(order, order)], best.start[order], best.likelihood)


def _run(values: Floats, model: Model, layout: Layout, run: tuple[int, float]) -> Model:
    emission, transition, start = (np.array(part, order="C") for part in model[:3])
    limits = (*run, LEAST_DEVIATION, LEAST_STAY, PULL, CHANGES / (len(start) - 1))
    likelihood, _ = maximise(values, emission, transition, start, layout.classes, limits)
    return Model(emission, transition, start, likelihood)


def _unseen_means(halves: list[Floats], models: list[Model]) -> tuple[Floats, Floats]:
    """Mean return of each trend on candles that its model has not seen, and their covariance.

    The prior about 0 keeps a trend that hardly occurs there from being taken for anything.
    """
    information, noise, sums = np.eye(TRENDS) / PRIOR**2, np.eye(TRENDS) / PRIOR**2, np.zeros(TRENDS)
    parts = []
    for half, model in zip(halves, reversed(models), strict=True):
        emission, transition = np.ascontiguousarray(model.emission), np.ascontiguousarray(model.transition)
        for row in half:
            path, _ = filter_path(row, emission, transition, stationary(transition))
            expected = path[:-1] @ transition
            trends = expected.reshape(len(expected), TRENDS, -1).sum(axis=2)
            weights = 1.0 / (expected @ emission[1] ** 2)
            parts.append((trends, weights, row[1:]))
            information += (trends * weights[:, None]).T @ trends
            sums += trends.T @ (weights * row[1:])
    inverse = np.linalg.inv(information)
    means = inverse @ sums
    for trends, weights, row in parts:
        scores = trends * (weights * (row - trends @ means))[:, None]
        blocks = np.add.reduceat(scores, np.arange(0, len(scores), BLOCK))
        noise += blocks.T @ blocks
    return means, inverse @ noise @ inverse
