"""The pictures of a simulation, as SVG that needs no program but a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final, NamedTuple

import numpy as np

from cli import chart
from core.market import COLUMNS, Candles, Floats, interval_seconds, milliseconds
from core.risk.booking import Outcome
from core.simulation_findings import Findings
from core.trade import Direction

WIDTH: Final = 1_000
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 56, 30
LINE, LOSS, FAINT = "#2563eb", "#d9483b", "#94a3b8"


class Panel(NamedTuple):
    """A rectangle on the paper and what its edges stand for."""

    top: float
    height: float
    across: tuple[float, float]
    upward: tuple[float, float]

    def x(self, value: float) -> float:
        """How far to the right."""
        low, high = self.across
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)

    def y(self, value: float) -> float:
        """How far down."""
        low, high = self.upward
        return self.top + self.height * (high - value) / (high - low)


def draw_equity(findings: Findings) -> str:
    """The balance after each closed trade, and below it how far it lies under its highest so far."""
    course, capital = findings.course, float(findings.span.capital)
    begin, end = course.start.timestamp(), (course.last + course.step).timestamp()
    times = np.array([begin, *(each.closed_at.timestamp() for each in findings.closed)])
    balance = capital + np.concatenate([[0.0], np.cumsum([float(each.pnl) for each in findings.closed])])
    end = max(end, float(times[-1]))
    fall = 100.0 * (balance / np.maximum.accumulate(balance) - 1.0)
    upper = Panel(TOP, 220.0, (begin, end), _room(balance, least=capital * 1e-3))
    lower = Panel(TOP + 250.0, 90.0, (begin, end), (min(float(fall.min()) * 1.1, -0.1), 0.0))
    n = len(findings.closed)
    words = f"n = {n} closed trades of an invented market; below: percent under the highest balance so far"
    parts = [
        *_scale(upper, lambda value: f"{value:,.0f}"),
        *_scale(lower, lambda value: f"{value:.2f} %", ticks=2),
        *_days(lower, begin, end),
        f'<path d="{_steps(upper, times, balance, end)}" fill="none" stroke="{LINE}" stroke-width="1.6"/>',
        f'<path d="{_steps(lower, times, fall, end)}L{lower.x(end):.1f} {lower.y(0):.1f}'
        f'L{lower.x(begin):.1f} {lower.y(0):.1f}Z" fill="{LOSS}" fill-opacity=".25" stroke="{LOSS}"/>',
    ]
    return _picture("Balance in US dollars, and drawdown", words, parts, lower.top + lower.height + BOTTOM)


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


def draw_confidence(findings: Findings) -> str:
    """What was said against what came: the share of wins by confidence, with exact 95 % intervals."""
    panel = Panel(TOP, 260.0, (0.5, 1.0), (0.0, 1.0))
    parts = [
        *_scale(panel, lambda value: f"{value:.0%}", ticks=5),
        *(_tick(panel, 0.5 + 0.1 * place, f"{0.5 + 0.1 * place:.0%}") for place in range(6)),
        f'<path d="M{panel.x(0.5):.1f} {panel.y(0.5):.1f}L{panel.x(1.0):.1f} {panel.y(1.0):.1f}" '
        f'stroke="{FAINT}" stroke-dasharray="5 4"/>',
    ]
    for each in findings.bins:
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
    return _picture("Confidence against outcome", words, parts, TOP + 260.0 + BOTTOM)


def draw_holds(findings: Findings) -> str:
    """The share of decisions that were no signal, week by week, as bars from 0 to all."""
    weeks = findings.weeks
    panel = Panel(TOP, 180.0, (0.0, float(len(weeks))), (0.0, 1.0))
    parts = [*_scale(panel, lambda value: f"{value:.0%}", ticks=4)]
    for place, week in enumerate(weeks):
        share = week.hold_share.value or 0.0
        left, right = panel.x(place + 0.12), panel.x(place + 0.88)
        parts += [
            f'<rect x="{left:.1f}" y="{panel.y(share):.1f}" width="{right - left:.1f}" '
            f'height="{panel.y(0) - panel.y(share):.1f}" fill="{FAINT}" fill-opacity=".6"/>',
            f'<text class="middle" x="{(left + right) / 2:.1f}" y="{panel.y(share) - 6:.1f}">{share:.2%}</text>',
            _tick(panel, place + 0.5, f"{week.begins.day} {week.begins:%b}"),
        ]
    words = f"of {findings.hold_share.n:,} decisions; below each bar the day on which its week began"
    return _picture("Share of HOLD by week", words, parts, TOP + 180.0 + BOTTOM)


def _picture(title: str, words: str, parts: Iterable[str], height: float) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">',
            f"<title>{escape(title)}</title><style>{chart.STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height:.0f}"/>',
            f'<text class="title" x="16" y="24">{escape(title)}</text>',
            f'<text x="16" y="42">{escape(words)}</text>',
            *parts,
            "</svg>",
        ]
    )


def _scale(panel: Panel, label: Callable[[float], str], *, ticks: int = 4) -> Iterable[str]:
    """Lines across with what they stand for."""
    for value in np.linspace(*panel.upward, ticks + 1).tolist():
        y = panel.y(value)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="right" x="{LEFT - 8}" y="{y + 4:.1f}">{label(value)}</text>'


def _days(panel: Panel, begin: float, end: float) -> Iterable[str]:
    days = max(1, round((end - begin) / 86_400))
    step = max(1, -(-days // 8))
    first = datetime.fromtimestamp(begin, UTC)
    for place in range(0, days, step):
        day = first + timedelta(days=place)
        yield _tick(panel, day.timestamp(), f"{day.day} {day:%b}")


def _tick(panel: Panel, value: float, words: str) -> str:
    y = panel.top + panel.height + 18
    return f'<text class="middle" x="{panel.x(value):.1f}" y="{y:.1f}">{words}</text>'


def _steps(panel: Panel, times: Floats, values: Floats, end: float) -> str:
    """A line that stays until the next value."""
    path = f"M{panel.x(times[0]):.1f} {panel.y(values[0]):.1f}"
    for at, value in zip(times[1:].tolist(), values[1:].tolist(), strict=True):
        path += f"H{panel.x(at):.1f}V{panel.y(value):.1f}"
    return f"{path}H{panel.x(end):.1f}"


def _room(values: Floats, *, least: float) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    margin = max(0.06 * (high - low), least)
    return low - margin, high + margin
