"""How a theory's month is drawn: the price with the votes above, the headline number below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from core.analysis import Reading, Values
from core.analyzers import (
    autocorrelation,
    fractal_dimension,
    kalman_filter,
    kolmogorov_complexity,
    shannon_entropy,
    stationarity,
    variance_tests,
)

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from core.market import Floats, Instants, Windows

INK, FAINT = "#2f3b4c", "#7d838d"
LINE, COMPANION, MARK = "#2f6690", "#9a6fb0", "#d9822b"
UP, DOWN = "#2e9e6b", "#d1495b"
PALEST, DEEPEST = 0.25, 0.70  # opacity of the weakest and of a whole vote
INCHES, DOTS_PER_INCH, COLOURS = (9.0, 3.8), 100, 256
STYLE = {
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "legend.fontsize": 8.0,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
NORMAL_95 = 1.96


class Claim(NamedTuple):
    """What a theory holds for proven in some windows: these are marked."""

    words: str
    holds: Callable[[Values], bool]


@dataclass(frozen=True, slots=True)
class Sketch:
    """What the lower picture shows besides the headline number."""

    headline: str  # in words
    reference: float | None = None
    reference_words: str = ""
    interval: tuple[str, ...] = ()  # two fields, its ends; or one, a standard error
    interval_words: str = "95 % interval"
    band: tuple[float, float] | None = None  # within it chance explains the number
    companion: tuple[str, str] | None = None  # another field, and its words
    claim: Claim | None = None
    limits: tuple[float, float | None] | None = None  # of the axis, so that chance does not look like news
    votes: bool = True
    logarithmic: bool = False


def _chance_of_either(values: Values) -> float:
    return 2.0 * min(values.get("p_value", 1.0), values.get("sign_p_value", 1.0))


def _keeps_to_a_level(values: Values) -> bool:
    return values["adf_p_value"] < stationarity.LEVEL <= values["kpss_p_value"]


def _excludes_a_walk(values: Values) -> bool:
    lows, highs = ((values[f"hurst_{end}"], values[f"hurst_robust_{end}"]) for end in ("low", "high"))
    return min(lows) > 0.5 or max(highs) < 0.5


SKETCHES = {
    "autocorrelation": Sketch(
        "echo of the last move, autocorrelation at lag 1",
        0.0,
        "no echo",
        limits=(-0.3, 0.3),
        claim=Claim("echo beyond chance", lambda values: values["robust_p_value"] < autocorrelation.LEVEL),
    ),
    "fractal_dimension": Sketch(
        "fractal dimension of the price line",
        1.5,
        "random walk; below smooth, above choppy",
        interval=("dimension_low", "dimension_high"),
        limits=(1.2, 1.8),
        claim=Claim("not a random walk", lambda values: values.get("p_value", 1.0) < fractal_dimension.LEVEL),
        votes=False,
    ),
    "hurst_exponent": Sketch(
        "Hurst exponent",
        0.5,
        "random walk; above trending, below reverting",
        interval=("hurst_low", "hurst_high"),
        limits=(0.2, 0.8),
        claim=Claim("0.5 excluded by both estimates", _excludes_a_walk),
    ),
    "kalman_filter": Sketch(
        "slope of the denoised price, in standard errors",
        0.0,
        "no slope",
        band=(-kalman_filter.QUIET_SLOPE, kalman_filter.QUIET_SLOPE),
        limits=(-kalman_filter.FULL_VOTE_SLOPE, kalman_filter.FULL_VOTE_SLOPE),
    ),
    "kolmogorov_complexity": Sketch(
        "complexity of the moves",
        1.0,
        "pure chance; below a pattern",
        limits=(0.8, 1.2),
        claim=Claim(
            "pattern beyond chance", lambda values: _chance_of_either(values) < kolmogorov_complexity.PATTERN_LEVEL
        ),
        votes=False,
    ),
    "market_regime": Sketch(
        "probability of a bull market",
        1.0 / 3.0,
        "bull, sideways and bear equally likely",
        limits=(0.0, 1.0),
    ),
    "markov_regime": Sketch("probability of high volatility", 0.5, "as likely as not", limits=(-0.02, 1.02)),
    "monte_carlo": Sketch(
        "chance of a higher price a day later",
        0.5,
        "even",
        interval=("probability_up_error",),
        interval_words="95 % interval of the simulation alone",
        limits=(0.3, 0.7),
    ),
    "random_forest": Sketch(
        "probability of a higher close in 15 minutes",
        0.5,
        "even",
        interval=("standard_error",),
        interval_words="95 % interval of growing only 100 trees",
        limits=(0.3, 0.7),
    ),
    "risk_metrics": Sketch(
        "percent loss that 1 next candle in 20 exceeds",
        interval=("value_at_risk_95_low_percent", "value_at_risk_95_high_percent"),
        companion=("historical_value_at_risk_95_percent", "exceeded by 1 in 20 of the window's candles"),
        limits=(0.0, None),
    ),
    "shannon_entropy": Sketch(
        "entropy of the moves",
        1.0,
        "pure chance; below ordered",
        limits=(0.98, 1.002),
        claim=Claim("order beyond chance", lambda values: _chance_of_either(values) < shannon_entropy.ORDER_LEVEL),
        votes=False,
    ),
    "stationarity": Sketch(
        "chance of such a window in a random walk",
        stationarity.LEVEL,
        "below, the walk is refuted",
        claim=Claim("keeps to a level by both tests", _keeps_to_a_level),
        logarithmic=True,
    ),
    "variance_tests": Sketch(
        "variance ratio",
        1.0,
        "random walk; above moves build up, below they cancel",
        claim=Claim("not a random walk", lambda values: values.get("p_value", 1.0) < variance_tests.LEVEL),
    ),
}


def sketch_of(theory: str, headline: str) -> Sketch:
    """How a theory is drawn; one that is not listed shows its headline number and nothing more."""
    return SKETCHES.get(theory, Sketch(headline.replace("_", " ")))


def draw(path: Path, title: str, headline: str, windows: Windows, readings: Sequence[Reading]) -> None:
    """One theory's picture of a month: `readings` are those of the windows, in their order."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    sketch = sketch_of(readings[0].theory, headline)
    times = windows.as_of.astype("datetime64[ms]")
    with mpl.rc_context(STYLE):
        shape = {"height_ratios": (3, 2.4)}
        figure, (above, below) = pyplot.subplots(2, figsize=INCHES, dpi=DOTS_PER_INCH, sharex=True, gridspec_kw=shape)
        above.set_title(title, loc="left", fontweight="bold")
        _draw_price(above, times, windows.close[:, -1], column_of(readings))
        _write_key(above, sketch, column_of(readings))
        _draw_headline(below, sketch, headline, times, readings)
        _mark_days(below, times)
        figure.tight_layout(h_pad=0.4)
        _save(figure, path)
        pyplot.close(figure)


def _save(figure: Figure, path: Path) -> None:
    """With a palette of its own colours: smaller than half, and to the eye the same."""
    from PIL import Image

    drawn = BytesIO()
    figure.savefig(drawn)
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            path, optimize=True
        )


def column_of(readings: Sequence[Reading], name: str = "") -> Floats:
    """One number of every reading, NaN where it is missing; without a name the votes."""
    return np.array([reading.values.get(name, np.nan) if name else reading.vote for reading in readings])


def _draw_price(axes: Axes, times: Instants, prices: Floats, votes: Floats) -> None:
    """The price, and behind it a stripe for each vote: the stronger the vote, the deeper."""
    from matplotlib.colors import to_rgba

    hour = times[1] - times[0]
    cast = np.flatnonzero(votes)
    colours = [to_rgba(UP if vote > 0.0 else DOWN, PALEST + (DEEPEST - PALEST) * abs(vote)) for vote in votes[cast]]
    if len(cast):
        height = axes.get_xaxis_transform()
        axes.bar(times[cast], 1.0, hour, align="edge", color=colours, linewidth=0, antialiased=False, transform=height)
    axes.plot(times, prices, color=INK, linewidth=1.1)
    axes.set_ylim(prices.min() - 0.05 * np.ptp(prices), prices.max() + 0.05 * np.ptp(prices))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("price, USD")


def _write_key(axes: Axes, sketch: Sketch, votes: Floats) -> None:
    """What the stripes mean, or why there are none, at the right of the title."""
    from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea

    if votes.any():
        words = [("deeper the stronger:", FAINT), ("vote up", UP), ("vote down", DOWN)]
    else:
        words = [("no vote all month" if sketch.votes else "a filter: it never votes", FAINT)]
    areas = [TextArea(text, textprops={"color": colour, "fontweight": "bold"}) for text, colour in words]
    box = HPacker(children=areas, pad=0, sep=8)
    axes.add_artist(
        AnchoredOffsetbox(
            "lower right", child=box, frameon=False, pad=0, bbox_to_anchor=(1.0, 0.99), bbox_transform=axes.transAxes
        )
    )


def _draw_headline(axes: Axes, sketch: Sketch, headline: str, times: Instants, readings: Sequence[Reading]) -> None:
    """The number itself, what it is measured against, how sure it is, and where the theory claims something."""
    numbers = column_of(readings, headline)
    if sketch.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    if sketch.interval:
        low, high = _interval(sketch, numbers, readings)
        axes.fill_between(times, low, high, color=LINE, alpha=0.18, linewidth=0, label=sketch.interval_words)
    if sketch.band:
        axes.axhspan(*sketch.band, color=FAINT, alpha=0.13, linewidth=0, label="within chance")
    if sketch.reference is not None:
        axes.axhline(sketch.reference, color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)), label=sketch.reference_words)
    if sketch.companion:
        name, words = sketch.companion
        axes.plot(times, column_of(readings, name), color=COMPANION, linewidth=1.0, label=words)
    axes.plot(times, numbers, color=LINE, linewidth=1.2)
    if sketch.claim:
        held = claimed(sketch.claim, readings)
        dots = {"color": MARK, "marker": "o", "markersize": 2.6, "linestyle": "none"}
        axes.plot(times[held], numbers[held], **dots, label=f"{sketch.claim.words} ({held.sum()})")
    if sketch.limits:
        axes.set_ylim(*sketch.limits)
    axes.set_title(sketch.headline, loc="left", color=LINE)
    if axes.get_legend_handles_labels()[1]:
        place = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.98), "ncols": 3}
        axes.legend(**place, frameon=False, borderpad=0.2, columnspacing=1.2, handlelength=1.6, labelcolor=FAINT)


def claimed(claim: Claim, readings: Sequence[Reading]) -> np.ndarray:
    """In which readings the theory claims it."""
    return np.array([reading.problem is None and claim.holds(reading.values) for reading in readings])


def _interval(sketch: Sketch, numbers: Floats, readings: Sequence[Reading]) -> tuple[Floats, Floats]:
    columns = [column_of(readings, name) for name in sketch.interval]
    if len(columns) == 1:
        return numbers - NORMAL_95 * columns[0], numbers + NORMAL_95 * columns[0]
    return columns[0], columns[1]


def _mark_days(axes: Axes, times: Instants) -> None:
    from matplotlib.dates import DateFormatter, DayLocator

    axes.set_xlim(times[0], times[-1] + (times[1] - times[0]))
    axes.xaxis.set_major_locator(DayLocator(bymonthday=(1, 8, 15, 22, 29)))
    axes.xaxis.set_major_formatter(DateFormatter("%-d %b"))
