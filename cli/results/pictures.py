"""The pictures of results, as SVG that needs no program but a browser: the balance, and confidence against outcome."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.performance.confidence_bins import ConfidenceBin
from core.picture import BOTTOM, FAINT, LINE, LOSS, TOP, Panel, days, frame, room, scale, steps, tick


def draw_balance(
    closed_at: Sequence[float], results: Sequence[float], *, capital: float, begin: float, end: float, words: str
) -> str:
    """The balance after each result (instants in seconds), and below it how far it lies under its highest so far."""
    times = np.array([begin, *closed_at])
    balance = capital + np.concatenate([[0.0], np.cumsum(results)])
    end = max(end, float(times[-1]))
    fall = 100.0 * (balance / np.maximum.accumulate(balance) - 1.0)
    upper = Panel(TOP, 220.0, (begin, end), room(balance, least=capital * 1e-3))
    lower = Panel(TOP + 250.0, 90.0, (begin, end), (min(float(fall.min()) * 1.1, -0.1), 0.0))
    parts = [
        *scale(upper, lambda value: f"{value:,.0f}"),
        *scale(lower, lambda value: f"{value:.2f} %", ticks=2),
        *days(lower, begin, end),
        f'<path d="{steps(upper, times, balance, end)}" fill="none" stroke="{LINE}" stroke-width="1.6"/>',
        f'<path d="{steps(lower, times, fall, end)}L{lower.x(end):.1f} {lower.y(0):.1f}'
        f'L{lower.x(begin):.1f} {lower.y(0):.1f}Z" fill="{LOSS}" fill-opacity=".25" stroke="{LOSS}"/>',
    ]
    below = f"{words}; below: percent under the highest balance so far"
    return frame("Balance in US dollars, and drawdown", below, parts, lower.top + lower.height + BOTTOM)


def draw_calibration(bins: Sequence[ConfidenceBin]) -> str:
    """What was said against what came: the share of wins by confidence, with exact 95 % intervals."""
    lowest = min([0.5, *(each.low for each in bins)])
    panel = Panel(TOP, 260.0, (lowest, 1.0), (0.0, 1.0))
    ticks = [0.1 * place for place in range(int(10.0 * lowest + 1e-9), 11) if 0.1 * place >= lowest - 1e-9]
    parts = [
        *scale(panel, lambda value: f"{value:.0%}", ticks=5),
        *(tick(panel, value, f"{value:.0%}") for value in ticks),
        f'<path d="M{panel.x(lowest):.1f} {panel.y(lowest):.1f}L{panel.x(1.0):.1f} {panel.y(1.0):.1f}" '
        f'stroke="{FAINT}" stroke-dasharray="5 4"/>',
    ]
    for each in bins:
        value, low, high = each.won.value, each.won.low, each.won.high
        if value is None or low is None or high is None:
            continue
        x = panel.x(each.mean)
        parts += [
            f'<path d="M{x:.1f} {panel.y(low):.1f}V{panel.y(high):.1f}" stroke="{LINE}" stroke-width="2"/>',
            f'<circle cx="{x:.1f}" cy="{panel.y(value):.1f}" r="5" fill="{LINE}"/>',
            f'<text x="{x + 9:.1f}" y="{panel.y(value) + 4:.1f}">{value:.0%}, n = {each.won.n}</text>',
        ]
    words = (
        "share of wins (up) by stated confidence (across), exact 95 % intervals; dashed: as many wins as were stated"
    )
    return frame("Confidence against outcome", words, parts, TOP + 260.0 + BOTTOM)
