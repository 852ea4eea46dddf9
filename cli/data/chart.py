"""A picture of a series: candles, volume, holes and defects, as SVG that needs no program but a browser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final, NamedTuple

import numpy as np

from core.market import Floats, Instants, instant

WIDTH: Final = 1_280
LEFT, RIGHT, TOP = 16, 84, 64
PRICE_HEIGHT, MARK_HEIGHT, VOLUME_HEIGHT, GAP = 400, 26, 110, 10
VOLUME_BOTTOM: Final = TOP + PRICE_HEIGHT + MARK_HEIGHT + VOLUME_HEIGHT + 2 * GAP
HEIGHT: Final = VOLUME_BOTTOM + 30

# Bars that can still be told apart at this width, and how many minutes one may stand for.
MOST_BARS: Final = 240
BAR_MINUTES: Final = (1, 2, 3, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1_440, 2_880, 4_320, 7_200, 10_080, 20_160)
MOST_TICKS: Final = 10
FEWEST_MONTHS: Final = 4  # from so many on, months are told instead of days
MINUTE_MS: Final = 60_000
DAY_MS: Final = 1_440 * MINUTE_MS
LOGARITHMIC_FROM: Final = 4.0  # times as high as low: equal moves then look equal

STYLE: Final = """
svg{font:12px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}.title{font-size:17px;font-weight:600;fill:#1f2937}
text{fill:#6b7280}.paper{fill:#fff}.grid{stroke:#e5e7eb}.up{stroke:#0f9d72;fill:#0f9d72}.down{stroke:#d9483b;fill:#d9483b}
.body{stroke:none}.volume{stroke:none;opacity:.5}.hole{opacity:.3}.right{text-anchor:end}.middle{text-anchor:middle}
@media(prefers-color-scheme:dark){text{fill:#94a3b8}.title{fill:#e5e7eb}.paper{fill:#11161d}.grid{stroke:#273140}}
"""
HOLE_COLORS: Final = {"not_traded": "#94a3b8", "missing": "#94a3b8", "not_told": "#f59e0b"}  # any other is a fault
FAULT_COLOR: Final = "#ef4444"
MARK_COLORS: Final = ("#7c3aed", "#2563eb", "#db2777", "#b45309", "#0e7490", "#4d7c0f", "#dc2626", "#475569")


class Marks(NamedTuple):
    """One kind of what is worth a look: starts (ms) and lengths (ms). Holes are shaded, everything else is a mark."""

    kind: str
    times: Instants
    lengths: Instants
    is_hole: bool


class Bars(NamedTuple):
    """Candles as they are drawn: (N,) starts, (5, N) open, high, low, close, volume."""

    minutes: int
    times: Instants
    block: Floats


def draw(title: str, times: Instants, block: Floats, *, step_ms: int, marks: Sequence[Marks]) -> str:
    """The picture as one SVG element. At least one candle is needed."""
    bars = gather(times, block, step_ms)
    frame = _Frame(bars, int(times[0]), int(times[-1]) + step_ms)
    subtitle = (
        f"{len(times):,} candles from {_minute(int(times[0]))} to {_minute(int(times[-1]) + step_ms)} UTC; "
        f"a bar is {_length(bars.minutes)}; last price {block[3, -1]:,.8g}"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="{LEFT}" y="26">{escape(title)}</text>',
        f'<text x="{LEFT}" y="46">{escape(subtitle)}</text>',
        *_grid(frame),
        *_holes(frame, [each for each in marks if each.is_hole]),
        *_bars(frame, bars),
        *_marks(frame, [each for each in marks if not each.is_hole]),
        *_legend(marks, step_ms),
        "</svg>",
    ]
    return "\n".join(parts)


def gather(times: Instants, block: Floats, step_ms: int) -> Bars:
    """The candles in at most 240 bars, on whole minutes, hours or days. A bar without a candle is not there."""
    minutes = step_ms // MINUTE_MS
    span = (int(times[-1]) - int(times[0])) // MINUTE_MS + minutes
    size = next((each for each in BAR_MINUTES if each % minutes == 0 and span <= each * MOST_BARS), None)
    size = size or -(-span // MOST_BARS // minutes) * minutes
    places = times // (size * MINUTE_MS)
    firsts = np.flatnonzero(np.diff(places, prepend=places[0] - 1))
    lasts = np.append(firsts[1:], len(times)) - 1
    opens, high, low, close, volume = block
    merged = np.array(
        [
            opens[firsts],
            np.maximum.reduceat(high, firsts),
            np.minimum.reduceat(low, firsts),
            close[lasts],
            np.add.reduceat(volume, firsts),
        ]
    )
    return Bars(size, places[firsts] * size * MINUTE_MS, merged)


class _Frame:
    """Where an instant, a price and a volume lie on the paper."""

    def __init__(self, bars: Bars, begin: int, end: int) -> None:
        self.begin, self.end = begin, end
        low, high = float(bars.block[2].min()), float(bars.block[1].max())
        self.is_logarithmic = high / low >= LOGARITHMIC_FROM
        edges = np.array([low, high])
        bottom, top = np.log(edges) if self.is_logarithmic else edges
        pad = 0.04 * (top - bottom) or 0.01 * abs(top) or 1.0
        self._bottom, self._top = float(bottom - pad), float(top + pad)
        self.most_volume = float(bars.block[4].max())

    def x(self, at: float) -> float:
        return LEFT + (at - self.begin) / (self.end - self.begin) * (WIDTH - LEFT - RIGHT)

    def y(self, price: float) -> float:
        value = float(np.log(price)) if self.is_logarithmic else price
        return TOP + (self._top - value) / (self._top - self._bottom) * PRICE_HEIGHT

    def volume_y(self, volume: float) -> float:
        return VOLUME_BOTTOM - VOLUME_HEIGHT * (volume / self.most_volume if self.most_volume else 0.0)

    def prices(self) -> list[float]:
        """Round numbers about 60 pixels apart."""
        low, high = (float(np.exp(each)) if self.is_logarithmic else each for each in (self._bottom, self._top))
        if self.is_logarithmic:
            decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
            found = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
        else:
            rough = (high - low) / 6
            power = 10.0 ** np.floor(np.log10(rough))
            size = power * min((1, 2, 5, 10), key=lambda digit: abs(digit * power - rough))
            found = [float(size * place) for place in range(int(np.ceil(low / size)), int(high / size) + 1)]
        return [price for price in found if low < price < high]

    def instants(self) -> list[tuple[int, str]]:
        """Round instants with their names, at most ten of them: minutes, hours, days or months."""
        first, last = instant(self.begin), instant(self.end)
        months = range(12 * first.year + first.month, 12 * last.year + last.month)
        if len(months) >= FEWEST_MONTHS:
            size = next((each for each in (1, 2, 3, 6) if len(months) <= each * MOST_TICKS), 12)
            days = [datetime(each // 12, each % 12 + 1, 1, tzinfo=UTC) for each in months if each % size == 0]
            return [(round(day.timestamp() * 1_000), f"{day:%b %Y}") for day in days]
        span = (self.end - self.begin) // MINUTE_MS
        size = MINUTE_MS * next((each for each in BAR_MINUTES if span <= each * MOST_TICKS), BAR_MINUTES[-1])
        return [(at, _name_of(at)) for at in range(-(-self.begin // size) * size, self.end, size)]


def _grid(frame: _Frame) -> Iterable[str]:
    right = WIDTH - RIGHT
    for price in frame.prices():
        y = frame.y(price)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>'
        yield f'<text x="{right + 8}" y="{y + 4:.1f}">{price:,.6g}</text>'
    for at, name in frame.instants():
        x = frame.x(at)
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{VOLUME_BOTTOM}"/>'
        yield f'<text class="middle" x="{max(x, 2.0 * LEFT):.1f}" y="{VOLUME_BOTTOM + 18}">{name}</text>'
    yield f'<path class="grid" d="M{LEFT} {VOLUME_BOTTOM}H{right}"/>'
    yield f'<text x="{right + 8}" y="{VOLUME_BOTTOM - VOLUME_HEIGHT + 10}">{_short(frame.most_volume)}</text>'
    yield f'<text x="{right + 8}" y="{VOLUME_BOTTOM}">volume</text>'


def _bars(frame: _Frame, bars: Bars) -> Iterable[str]:
    length = bars.minutes * MINUTE_MS
    width = max(1.0, 0.7 * (frame.x(length) - frame.x(0)))
    for at, opens, high, low, close, volume in zip(bars.times.tolist(), *bars.block.tolist(), strict=True):
        middle = frame.x(at + length / 2)
        side = "up" if close >= opens else "down"
        top, bottom = frame.y(max(opens, close)), frame.y(min(opens, close))
        words = f"{_minute(at)}  O {opens:g}  H {high:g}  L {low:g}  C {close:g}  V {volume:.6g}"
        left, volume_top = middle - width / 2, frame.volume_y(volume)
        yield (
            f'<g class="{side}"><title>{words}</title>'
            f'<path d="M{middle:.1f} {frame.y(high):.1f}V{frame.y(low):.1f}"/>'
            f'<rect class="body" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
            f'height="{max(bottom - top, 0.8):.1f}"/>'
            f'<rect class="volume" x="{left:.1f}" y="{volume_top:.1f}" width="{width:.1f}" '
            f'height="{VOLUME_BOTTOM - volume_top:.1f}"/></g>'
        )


def _holes(frame: _Frame, marks: Sequence[Marks]) -> Iterable[str]:
    for each in marks:
        color = HOLE_COLORS.get(each.kind, FAULT_COLOR)
        for left, width, words in _boxes(frame, each, least=2.5):
            yield (
                f'<rect class="hole" x="{left:.1f}" y="{TOP}" width="{width:.1f}" height="{VOLUME_BOTTOM - TOP}" '
                f'fill="{color}"><title>{words}</title></rect>'
            )


def _marks(frame: _Frame, marks: Sequence[Marks]) -> Iterable[str]:
    for place, each in enumerate(marks):
        color = MARK_COLORS[place % len(MARK_COLORS)]
        y = TOP + PRICE_HEIGHT + 6 + place % 3 * 8
        for left, width, words in _boxes(frame, each, least=3.0):
            box = f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="6" fill="{color}">'
            yield f"{box}<title>{words}</title></rect>"


def _boxes(frame: _Frame, marks: Marks, *, least: float) -> Iterable[tuple[float, float, str]]:
    """Left edge, width and words of each mark; those that would lie on one pixel are one."""
    drawn = None
    for at, length in zip(marks.times.tolist(), marks.lengths.tolist(), strict=True):
        begin, end = max(at, frame.begin), min(at + length, frame.end)
        left, right = frame.x(begin), frame.x(end)
        if end <= begin or (drawn is not None and right < drawn + 1.0):
            continue
        width = max(least, right - left)
        drawn = left + width
        yield (
            min(left, WIDTH - RIGHT - width),
            width,
            f"{marks.kind} from {_minute(at)}, {_length(length // MINUTE_MS)}",
        )


def _legend(marks: Sequence[Marks], step_ms: int) -> Iterable[str]:
    """What the colours mean, from the right edge to the left; without a defect, that there is none."""
    words = []
    places = {each.kind: place for place, each in enumerate(each for each in marks if not each.is_hole)}
    for each in marks:
        candles = int(each.lengths.sum()) // step_ms
        color = (
            HOLE_COLORS.get(each.kind, FAULT_COLOR)
            if each.is_hole
            else MARK_COLORS[places[each.kind] % len(MARK_COLORS)]
        )
        count = f"{len(each.times):,} ({candles:,} candles)" if candles != len(each.times) else f"{candles:,}"
        words.append(f'<tspan fill="{color}">■</tspan> {each.kind.replace("_", " ")} {count}')
    text = "  ".join(words) or "no defect"
    yield f'<text class="right" x="{WIDTH - RIGHT}" y="26" xml:space="preserve">{text}</text>'


def _name_of(at: int) -> str:
    """The time of day, and at midnight the day."""
    when = instant(at)
    return f"{when:%H:%M}" if at % DAY_MS else f"{when.day} {when:%b}"


def _short(number: float) -> str:
    """With a letter for thousands and more.

    >>> [_short(number) for number in (4.5, 15_910_000.0, 2_000.0)]
    ['4.5', '15.9M', '2k']
    """
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def _minute(at: int) -> str:
    return f"{instant(at):%Y-%m-%d %H:%M}"


def _length(minutes: int) -> str:
    """The greatest unit that fits.

    >>> [_length(minutes) for minutes in (1, 90, 120, 1_440)]
    ['1 minute', '90 minutes', '2 hours', '1 day']
    """
    count, unit = next(
        (minutes // size, unit) for size, unit in ((1_440, "day"), (60, "hour"), (1, "minute")) if minutes % size == 0
    )
    return f"{count:,} {unit}{'' if count == 1 else 's'}"
