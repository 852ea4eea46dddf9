"""The pictures of a simulation, as SVG that needs no program but a browser."""

from __future__ import annotations

import numpy as np

from cli.data import chart
from cli.results.pictures import draw_balance, draw_calibration
from core.market import COLUMNS, Candles, interval_seconds, milliseconds
from core.picture import BOTTOM, FAINT, TOP, Panel, frame, scale, tick
from core.risk.booking import Outcome
from core.simulating.findings import Findings
from core.trade import Direction


def draw_equity(findings: Findings) -> str:
    """The balance after each closed trade, and below it how far it lies under its highest so far."""
    course, closed = findings.course, findings.closed
    return draw_balance(
        [each.closed_at.timestamp() for each in closed],
        [float(each.pnl) for each in closed],
        capital=float(findings.span.capital),
        begin=course.start.timestamp(),
        end=(course.last + course.step).timestamp(),
        words=f"n = {len(closed)} closed trades of an invented market",
    )


def draw_confidence(findings: Findings) -> str:
    """What was said against what came."""
    return draw_calibration(findings.bins)


def draw_trades(findings: Findings, candles: Candles) -> str:
    """The price, and below it from when to when each trade was in the market, by direction and outcome."""
    first = int(np.searchsorted(candles.open_times, milliseconds(findings.course.start)))
    block = np.stack([getattr(candles, name)[first:] for name in COLUMNS])
    times = candles.open_times[first:]
    marks = []
    for direction in (Direction.BUY, Direction.SELL):
        for outcome in (Outcome.WIN, Outcome.LOSS, Outcome.BREAKEVEN):
            found = [each for each in findings.closed if (each.direction, each.outcome) == (direction, outcome)]
            if found:
                begins = np.array([milliseconds(each.opened_at) for each in found])
                ends = np.array([milliseconds(each.closed_at) for each in found])
                order = np.argsort(begins, kind="stable")
                kind = f"{direction.value} {outcome.value}"
                marks.append(chart.Marks(kind, begins[order], (ends - begins)[order], False))
    title = f"{findings.course.symbol}, invented prices, with {len(findings.closed)} closed trades"
    step_ms = 1_000 * interval_seconds(candles.interval)
    return chart.draw(title, times, block, step_ms=step_ms, marks=marks)


def draw_holds(findings: Findings) -> str:
    """The share of decisions that were no signal, week by week, as bars from 0 to all."""
    weeks = findings.weeks
    panel = Panel(TOP, 180.0, (0.0, float(len(weeks))), (0.0, 1.0))
    parts = [*scale(panel, lambda value: f"{value:.0%}", ticks=4)]
    for place, week in enumerate(weeks):
        share = week.hold_share.value or 0.0
        left, right = panel.x(place + 0.12), panel.x(place + 0.88)
        parts += [
            f'<rect x="{left:.1f}" y="{panel.y(share):.1f}" width="{right - left:.1f}" '
            f'height="{panel.y(0) - panel.y(share):.1f}" fill="{FAINT}" fill-opacity=".6"/>',
            f'<text class="middle" x="{(left + right) / 2:.1f}" y="{panel.y(share) - 6:.1f}">{share:.2%}</text>',
            tick(panel, place + 0.5, f"{week.begins.day} {week.begins:%b}"),
        ]
    words = f"of {findings.hold_share.n:,} decisions; below each bar the day on which its week began"
    return frame("Share of HOLD by week", words, parts, TOP + 180.0 + BOTTOM)
