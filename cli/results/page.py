"""Results as one page for a browser: tables, the balance and the calibration as pictures, no script and no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from cli.results.asking import (
    THEORY_COLUMNS,
    contribution_remarks,
    contribution_rows,
    performance_rows,
    questions,
    target_rows,
)
from cli.results.pictures import draw_balance, draw_calibration
from core.performance.confidence_bins import ConfidenceBin
from core.performance.sample import Estimate, Method

Row = Mapping[str, Any]  # Any: decoded JSON

STYLE: Final = """
body{font:15px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;max-width:1040px;margin:2em auto;padding:0 1em;
color:#1f2937;background:#fff}table{border-collapse:collapse;margin:1em 0}td,th{padding:3px 12px;text-align:left;
border-bottom:1px solid #e5e7eb}svg{width:100%;height:auto}.note{color:#6b7280}
@media(prefers-color-scheme:dark){body{color:#e5e7eb;background:#11161d}td,th{border-color:#273140}}
"""


def write_page(file: Path, title: str, parts: Iterable[str]) -> None:
    """One file that holds everything it shows."""
    head = f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    file.write_text("\n".join([head, f"<h1>{escape(title)}</h1>", *parts, ""]), encoding="utf-8")


def performance_parts(report: Row, curve: Row, calibration: Row) -> list[str]:
    """Statistics, what they decide, and both pictures."""
    return [
        make_html_table(("Figure", "Value", "95 % interval", "n"), performance_rows(report)),
        '<p class="note">A drawdown has no interval: its range is that of the same days in another order.</p>',
        make_html_table(("Question", "Answer"), questions(report)),
        *picture_parts(report, curve, calibration),
    ]


def picture_parts(report: Row, curve: Row, calibration: Row) -> list[str]:
    """The balance and the calibration as SVG."""
    points, capital = curve["points"], float(curve["capital"])
    balance = [capital, *(float(point["equity"]) for point in points)]
    results = [after - before for before, after in pairwise(balance)]
    times = [_seconds(point["at"]) for point in points]
    begin = min([_seconds(report["first_day"]), *times])
    end = max([_seconds(report["last_day"]) + 86_400.0, *times])
    made = f"n = {curve['trades']:,} closed trades"
    if curve["days_a_point"]:
        made += f", a point every {curve['days_a_point']} days"
    return [
        draw_balance(times, results, capital=capital, begin=begin, end=end, words=made),
        draw_calibration([_read_bin(each) for each in calibration["bins"]]),
    ]


def contribution_parts(report: Row) -> list[str]:
    """What each theory is worth, and what the figures cannot say."""
    return [
        f"<p>{report['trades']:,} trades and {report['holds']:,} HOLDs, each decided again without each theory. "
        "Worth is the result with it less the result without it, in US dollars, with its 95 % interval; made and "
        "turned are trades that would not have been made, or the other way round; kept out are HOLDs that would have "
        "been trades.</p>",
        make_html_table(THEORY_COLUMNS, contribution_rows(report)),
        *(f'<p class="note">{escape(remark)}</p>' for remark in contribution_remarks(report)),
    ]


def review_parts(review: Row) -> list[str]:
    """What the rule says, and the targets."""
    names = ("Target", "Limit", "Reached", "95 % interval", "n", "Verdict")
    return [f"<p><b>{escape(review['words'])}</b></p>", make_html_table(names, target_rows(review))]


def make_html_table(names: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table; every cell is text."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _read_bin(each: Row) -> ConfidenceBin:
    won = each["won"]
    estimate = Estimate(won["value"], won["low"], won["high"], won["n"], Method(won["method"]))
    return ConfidenceBin(each["low"], each["mean"], estimate)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()
