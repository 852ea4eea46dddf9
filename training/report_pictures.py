"""The pictures of a report: the gate's rules, how the loss fell, whether probabilities keep their word, the trades."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

import numpy as np

from core.market import Floats
from core.models.judgement import Outcome, Relation, Ruling
from core.picture import BOTTOM, FAINT, LINE, LOSS, TOP, Panel, days, frame, polyline, room, scale, steps, tick

TINY: Final = 1e-12  # a number on its limit has no scale
COLUMNS: Final = 450  # steps of a line: more cannot be told apart
ROW: Final = 26.0  # height of a rule
NAMES, NUMBERS = 148, 716  # where a rule's name ends and its numbers begin, its scale between them
OUTCOMES: Final = {
    Outcome.FAIL: LOSS,
    Outcome.INSUFFICIENT: "#b45309",
    Outcome.PASS: LINE,
    Outcome.NOT_APPLICABLE: FAINT,
}  # worst first


class Epoch(NamedTuple):
    """One pass over the training windows: the mean loss on them, and on those that say when to stop."""

    number: int
    train: float
    stop: float
    precision: str = ""  # in which numbers it was computed


class Bin(NamedTuple):
    """Forecasts that are alike: their mean, the share that rose with its exact 95 % interval, and their number."""

    mean: float
    share: float
    low: float
    high: float
    n: int


def draw_gate(rulings: Sequence[Ruling]) -> str:
    """Each rule's deciding number beside its limit, on a scale of its own; of several coins the worst one's."""
    rules = dict.fromkeys(each.rule for each in rulings)
    worst = [min((each for each in rulings if each.rule is rule), key=_standing) for rule in rules]
    foot = TOP + ROW * len(worst)
    limit = (NAMES + NUMBERS) / 2
    parts = [f'<path class="grid" d="M{limit:.1f} {TOP}V{foot:.1f}" stroke-width="2"/>']
    for place, each in enumerate(worst):
        parts += _draw_rule(each, TOP + ROW * (place + 0.5))
    words = "middle: the limit, right of it holds; dot: the number that decides, line: from the value to its 95 % bound"
    return frame("The gate, each rule on a scale of its own", words, parts, foot + BOTTOM / 2)


def draw_loss(epochs: Sequence[Epoch]) -> str:
    """The loss on training and on stopping windows, epoch by epoch; the kept epoch is marked."""
    across = np.array([float(each.number) for each in epochs])
    train, stop = (np.array([getattr(each, name) for each in epochs]) for name in ("train", "stop"))
    best = int(stop.argmin())
    panel = Panel(TOP, 260.0, (0.5, max(across[-1], 1.0) + 0.5), room(np.concatenate([train, stop]), least=1e-4))
    step = max(1, -(-len(epochs) // 20))
    parts = [
        *scale(panel, lambda value: f"{value:.4f}"),
        *(tick(panel, each.number, str(each.number)) for each in epochs[::step]),
        polyline(panel, across, train, FAINT, dash="5 4"),
        polyline(panel, across, stop, LINE),
        f'<circle cx="{panel.x(across[best]):.1f}" cy="{panel.y(stop[best]):.1f}" r="5" fill="{LINE}"/>',
    ]
    words = "mean loss by epoch: dashed on training windows, solid on later ones that decide when to stop; dot: kept"
    return frame("Loss", words, parts, TOP + 260.0 + BOTTOM)


def draw_calibration(bins: Sequence[Bin]) -> str:
    """How often the price rose against how often it was said to; dots on the dashed line keep their word."""
    reach = np.array([value for each in bins for value in (each.mean, each.low, each.high)] or [0.0, 1.0])
    low, high = room(reach, least=0.02)
    edges = (max(low, 0.0), min(high, 1.0))
    panel = Panel(TOP, 300.0, edges, edges)
    parts = [
        *scale(panel, lambda value: f"{value:.0%}", ticks=5),
        *(tick(panel, value, f"{value:.0%}") for value in np.linspace(*edges, 6).tolist()),
        f'<path d="M{panel.x(edges[0]):.1f} {panel.y(edges[0]):.1f}L{panel.x(edges[1]):.1f} {panel.y(edges[1]):.1f}" '
        f'stroke="{FAINT}" stroke-dasharray="5 4"/>',
    ]
    for each in bins:
        x = panel.x(each.mean)
        parts += [
            f'<path d="M{x:.1f} {panel.y(each.low):.1f}V{panel.y(each.high):.1f}" stroke="{LINE}" stroke-width="2"/>',
            f'<circle cx="{x:.1f}" cy="{panel.y(each.share):.1f}" r="5" fill="{LINE}"/>',
        ]
    n = sum(each.n for each in bins)
    words = f"share of rises (up) by stated probability (across) on untouched windows, n = {n:,}; exact 95 % intervals"
    return frame("Calibration", words, parts, TOP + 300.0 + BOTTOM)


def draw_equity(exits: Floats, net: Floats) -> str:
    """What one unit of capital became, trade after trade, costs included; below, how far it lay under its highest.

    Shape: seconds since 1970 of each exit, rising (N,), net return of each (N,); N of at least one.
    """
    wealth = np.concatenate([[1.0], np.cumprod(1.0 + net)])
    times = np.concatenate([exits[:1] - 3_600.0, exits])
    fall = 100.0 * (wealth / np.maximum.accumulate(wealth) - 1.0)
    span = (float(times[0]), float(times[-1]))
    # as many steps as the paper is wide: the last balance of each, and the deepest fall
    _, first = np.unique(np.floor((COLUMNS - 1) * (times - span[0]) / (span[1] - span[0])), return_index=True)
    times, wealth = times[first], wealth[np.append(first[1:], len(wealth)) - 1]
    fall = np.minimum.reduceat(fall, first)
    upper = Panel(TOP, 220.0, span, room(wealth, least=1e-3))
    lower = Panel(TOP + 250.0, 90.0, span, (min(float(fall.min()) * 1.1, -0.1), 0.0))
    parts = [
        *scale(upper, lambda value: f"{value:.3f}"),
        *scale(lower, lambda value: f"{value:.1f} %", ticks=2),
        *days(lower, *span),
        f'<path d="{steps(upper, times, wealth, span[1])}" fill="none" stroke="{LINE}" stroke-width="1.6"/>',
        f'<path d="{steps(lower, times, fall, span[1])}L{lower.x(span[1]):.1f} {lower.y(0):.1f}'
        f'L{lower.x(span[0]):.1f} {lower.y(0):.1f}Z" fill="{LOSS}" fill-opacity=".25" stroke="{LOSS}"/>',
    ]
    words = f"n = {len(net):,} trades on untouched windows, costs included; below: percent under the highest so far"
    return frame("What one dollar became", words, parts, lower.top + lower.height + BOTTOM)


def _standing(ruling: Ruling) -> tuple[int, float]:
    """Smaller is worse."""
    decides = _decides(ruling)
    return list(OUTCOMES).index(ruling.outcome), np.inf if decides is None else _margin(ruling, decides)


def _decides(ruling: Ruling) -> float | None:
    return ruling.bound if ruling.by_bound else ruling.value


def _margin(ruling: Ruling, number: float) -> float:
    """How far a number is on the right side of the limit, in its own unit."""
    is_upward = ruling.relation in {Relation.AT_LEAST, Relation.ABOVE}
    return number - ruling.limit if is_upward else ruling.limit - number


def _draw_rule(ruling: Ruling, y: float) -> Iterator[str]:
    color = OUTCOMES[ruling.outcome]
    yield f'<text class="right" x="{NAMES - 12}" y="{y + 4:.1f}">{ruling.rule}</text>'
    decides = _decides(ruling)
    if decides is None:
        yield f'<text x="{NUMBERS + 12}" y="{y + 4:.1f}">{ruling.outcome.replace("_", " ")}</text>'
        return
    told = f"{decides:,.4g} {ruling.relation} {ruling.limit:,.4g}, n = {ruling.n:,}"
    yield f'<text x="{NUMBERS + 12}" y="{y + 4:.1f}">{escape(told)}</text>'
    margins = [_margin(ruling, each) for each in (ruling.value, ruling.bound) if each is not None]
    reach = max(*map(abs, margins), TINY)
    middle, half = (NAMES + NUMBERS) / 2, (NUMBERS - NAMES) / 2 - 6
    ends = [middle + half * each / reach for each in margins]
    dot = middle + half * _margin(ruling, decides) / reach
    yield f'<path d="M{middle:.1f} {y:.1f}H{dot:.1f}" stroke="{FAINT}"/>'
    yield f'<path d="M{min(ends):.1f} {y:.1f}H{max(ends):.1f}" stroke="{color}" stroke-width="4" opacity=".5"/>'
    yield f'<circle cx="{dot:.1f}" cy="{y:.1f}" r="5" fill="{color}"/>'
