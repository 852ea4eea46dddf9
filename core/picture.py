"""Pictures of figures as SVG text, which any browser shows without another program: a frame, panels, scales, lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final, NamedTuple

import numpy as np

from core.market import Floats

WIDTH: Final = 1_000
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 56, 30
LINE, LOSS, FAINT = "#2563eb", "#d9483b", "#94a3b8"
STYLE: Final = """
svg{font:12px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}.title{font-size:17px;font-weight:600;fill:#1f2937}
text{fill:#6b7280}.paper{fill:#fff}.grid{stroke:#e5e7eb}.right{text-anchor:end}.middle{text-anchor:middle}
@media(prefers-color-scheme:dark){text{fill:#94a3b8}.title{fill:#e5e7eb}.paper{fill:#11161d}.grid{stroke:#273140}}
"""


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


def frame(title: str, words: str, parts: Iterable[str], height: float) -> str:
    """The whole picture: its title, a line that says what is seen, and what is drawn."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">',
            f"<title>{escape(title)}</title><style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height:.0f}"/>',
            f'<text class="title" x="16" y="24">{escape(title)}</text>',
            f'<text x="16" y="42">{escape(words)}</text>',
            *parts,
            "</svg>",
        ]
    )


def scale(panel: Panel, label: Callable[[float], str], *, ticks: int = 4) -> Iterable[str]:
    """Lines across, each with what it stands for."""
    for value in np.linspace(*panel.upward, ticks + 1).tolist():
        y = panel.y(value)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="right" x="{LEFT - 8}" y="{y + 4:.1f}">{label(value)}</text>'


def tick(panel: Panel, value: float, words: str) -> str:
    """What a place along the lower edge stands for."""
    y = panel.top + panel.height + 18
    return f'<text class="middle" x="{panel.x(value):.1f}" y="{y:.1f}">{words}</text>'


def days(panel: Panel, begin: float, end: float) -> Iterable[str]:
    """The days along the lower edge, from second to second since 1970; at most eight of them are named."""
    count = max(1, round((end - begin) / 86_400))
    first = datetime.fromtimestamp(begin, UTC)
    for place in range(0, count, max(1, -(-count // 8))):
        day = first + timedelta(days=place)
        yield tick(panel, day.timestamp(), f"{day.day} {day:%b}")


def steps(panel: Panel, times: Floats, values: Floats, end: float) -> str:
    """A line that stays until the next value."""
    path = f"M{panel.x(times[0]):.1f} {panel.y(values[0]):.1f}"
    for at, value in zip(times[1:].tolist(), values[1:].tolist(), strict=True):
        path += f"H{panel.x(at):.1f}V{panel.y(value):.1f}"
    return f"{path}H{panel.x(end):.1f}"


def polyline(panel: Panel, across: Floats, upward: Floats, color: str, *, dash: str = "") -> str:
    """A line from point to point."""
    points = " ".join(
        f"{panel.x(x):.1f},{panel.y(y):.1f}" for x, y in zip(across.tolist(), upward.tolist(), strict=True)
    )
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.8"{dashed}/>'


def room(values: Floats, *, least: float) -> tuple[float, float]:
    """Edges with a margin, so that no line lies on the frame."""
    low, high = float(np.min(values)), float(np.max(values))
    margin = max(0.06 * (high - low), least)
    return low - margin, high + margin
