"""The page that a training leaves: verdict first, then every rule of the gate, the table, the pictures, the facts.

One HTML file that needs no other: any browser shows it, without a network. Every number on it stands in the judgement,
in the manifest or in the table of `training.evaluate`; nothing is computed here but the places of lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from operator import attrgetter
from typing import Final

import numpy as np

from core.models.judgement import Judgement, Ruling, Verdict
from core.models.manifest import Manifest
from core.performance.bootstrap import rate_interval
from core.performance.calibration import Bin as Said
from training.evaluate import Line
from training.leak import LENGTH
from training.reached import Reached
from training.report_pictures import Bin, Epoch, draw_calibration, draw_equity, draw_gate, draw_loss
from training.scores import Trades

STYLE: Final = """
body{font:15px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;max-width:1040px;margin:2em auto;padding:0 1em;
color:#1f2937;background:#fff}table{border-collapse:collapse;margin:1em 0}td,th{padding:3px 12px;text-align:left;
border-bottom:1px solid #e5e7eb}svg{width:100%;height:auto}.note{color:#6b7280}
.pass{color:#0f9d72}.fail{color:#d9483b}.insufficient{color:#b45309}
@media(prefers-color-scheme:dark){body{color:#e5e7eb;background:#11161d}td,th{border-color:#273140}}
"""
HEADINGS: Final = {
    Verdict.PASS: "Passed: it may be promoted",
    Verdict.FAIL: "Not promoted: it fails the gate",
    Verdict.INSUFFICIENT: "Not promoted: too little was seen to say more",
}
INVENTED: Final = "The prices are invented: this shows how the product works, not what it earns."
UNSEARCHED: Final = (
    f"Whether an input of {{}} knows the future was not looked for: that takes {LENGTH} candles without a hole."
)
RULINGS: Final = ("Rule", "Symbol", "Value", "Bound", "Asked", "n", "Outcome", "In words")
LINES: Final = (
    *("Model", "Windows", "Accuracy", "AUC", "Brier", "Log loss", "Calibration error"),
    *("Trades", "Won", "Net a trade, bp", "Sharpe", "Drawdown"),
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that a page shows. `curve` has a mean and what it counts for each epoch, or is empty."""

    manifest: Manifest
    judgement: Judgement
    lines: tuple[Line, ...]
    bins: tuple[Said, ...]
    trades: tuple[Trades, ...]
    epochs: tuple[Epoch, ...] = ()
    notes: tuple[str, ...] = ()


def write_page(sheet: Sheet) -> str:
    """The page as HTML."""
    manifest, judgement = sheet.manifest, sheet.judgement
    title = f"{manifest.version} of {', '.join(manifest.symbols)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<h2 class="{judgement.verdict}">{HEADINGS[judgement.verdict]}</h2><p>{escape(judgement.sentence)}</p>',
        *(f'<p class="note">{escape(note)}</p>' for note in (*sheet.notes, *tell_precision(sheet.epochs))),
        "<h2>The gate, rule by rule</h2>",
        _table(RULINGS, map(_ruling, judgement.rulings)),
        "<h2>On untouched candles, beside simple rules</h2>",
        _table(LINES, map(tell_line, sheet.lines)),
        f'<p class="note">{escape(_terms(judgement))} In brackets 95 % intervals.</p>',
        *draw(sheet).values(),
        "<h2>What it is</h2>",
        _table(("Fact", "Value"), tell_facts(manifest).items()),
    ]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return "\n".join([head, *parts, "</html>", ""])


def draw(sheet: Sheet) -> Mapping[str, str]:
    """The pictures by name, those that there is something to show on."""
    found = {"gate": draw_gate(sheet.judgement.rulings)}
    if sheet.epochs:
        found["loss"] = draw_loss(sheet.epochs)
    if sheet.bins:
        found["calibration"] = draw_calibration([_with_interval(each) for each in sheet.bins])
    left = np.concatenate([each.left for each in sheet.trades])
    if len(left):
        order = np.argsort(left, kind="stable")
        net = np.concatenate([each.net for each in sheet.trades]) * sheet.judgement.stake_fraction
        found["equity"] = draw_equity(left[order] / 1_000.0, net[order] / len(sheet.trades))
    return found


def tell_line(line: Line) -> tuple[str, ...]:
    """One line of the table as it is shown, here and on a terminal."""
    return (
        line.name,
        f"{line.accuracy.n:,}",
        tell(line.accuracy, "{:.1%}"),
        f"{line.auc:.3f}",
        f"{line.brier:.4f}",
        f"{line.log_loss:.4f}",
        tell(line.calibration_error, "{:.1%}"),
        f"{line.won.n:,}",
        tell(line.won, "{:.1%}"),
        tell(_in_bp(line.net), "{:+.1f}"),
        "-" if line.sharpe is None else f"{line.sharpe:.1f}",
        f"{line.drawdown:.1%}",
    )


def tell(reached: Reached, shape: str) -> str:
    """A number with its interval, as far as there are such.

    >>> tell(Reached(0.5, 0.4, 0.6, 100), "{:.0%}"), tell(Reached(None, None, None, 0), "{:.0%}")
    ('50% (40% to 60%)', '-')
    """
    if reached.value is None:
        return "-"
    told = shape.format(reached.value)
    if reached.low is None or reached.high is None:
        return told
    return f"{told} ({shape.format(reached.low)} to {shape.format(reached.high)})"


def tell_precision(epochs: Sequence[Epoch]) -> tuple[str, ...]:
    """A sentence where the epochs of a training were not all computed in the same numbers.

    >>> tell_precision([Epoch(1, 0.7, 0.7, "bf16"), Epoch(2, 0.6, 0.6, "f32"), Epoch(3, 0.6, 0.6, "f32")])
    ('It was computed on different hardware: epoch 1 in bf16, epochs 2 to 3 in f32.',)
    """
    found = [each for each in epochs if each.precision]
    if len({each.precision for each in found}) < 2 and not any(", then " in each.precision for each in found):
        return ()
    spans = []
    for name, group in groupby(found, key=attrgetter("precision")):
        first, *rest = (each.number for each in group)
        spans.append(f"{f'epochs {first} to {rest[-1]}' if rest else f'epoch {first}'} in {name}")
    return (f"It was computed on different hardware: {', '.join(spans)}.",)


def tell_facts(manifest: Manifest) -> dict[str, str]:
    """What a model is and from what it learned."""
    spans = {
        name: f"{span.first:%Y-%m-%d %H:%M} to {span.last:%Y-%m-%d %H:%M} UTC"
        for name, span in zip(("learned from", "stopped by", "calibrated on", "judged on"), manifest.spans, strict=True)
        if span is not None
    }
    return {
        "kind": f"{manifest.kind}, {manifest.parameters:,} parameters",
        "market": f"{manifest.origin}, {', '.join(manifest.symbols)}, candles of {manifest.interval}",
        "reads": f"{manifest.window} candles of {len(manifest.features)} inputs ({manifest.fingerprint[:12]})",
        "says": f"{manifest.label}; {manifest.horizon} candles ahead",
        **spans,
        "run": f"{manifest.run}, seed {manifest.seed}, {manifest.created_at:%Y-%m-%d %H:%M} UTC",
        "sha256": f"weights {manifest.sha256}, candles {manifest.data_hash[:12]}, code {manifest.code_hash[:12]}",
    }


def _terms(judgement: Judgement) -> str:
    coins = judgement.symbol.count(",") + 1
    shared = "each" if coins == 1 else f"shared by {coins} coins"
    return (
        f"Trades: where the model is at least {judgement.threshold:.1%} sure, one at a time, for "
        f"{judgement.horizon_minutes} minutes, {10_000 * judgement.round_trip_fraction:.1f} bp a round trip, "
        f"{judgement.stake_fraction:.0%} of the capital {shared}; registered tries: {judgement.trials}."
    )


def _ruling(ruling: Ruling) -> tuple[str, ...]:
    numbers = ("-" if each is None else f"{each:.4g}" for each in (ruling.value, ruling.bound))
    asked = f"{'bound' if ruling.by_bound else 'value'} {ruling.relation} {ruling.limit:.4g}"
    return (ruling.rule, ruling.symbol, *numbers, asked, f"{ruling.n:,}", ruling.outcome, ruling.sentence)


def _with_interval(said: Said) -> Bin:
    low, high = rate_interval(round(said.happened * said.n), said.n)
    return Bin(said.said, said.happened, low, high, said.n)


def _in_bp(reached: Reached) -> Reached:
    value, low, high = (None if each is None else 10_000.0 * each for each in reached[:3])
    return Reached(value, low, high, reached.n)


def _table(names: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
