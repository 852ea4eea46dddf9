"""What a simulation leaves behind: a page of tables and pictures, the trades as CSV, and figures for a terminal."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

from api.body import adapter
from cli.render import console, make_table
from cli.results.asking import print_contribution
from cli.results.page import STYLE, contribution_parts, make_html_table
from cli.simulating.pictures import draw_confidence, draw_equity, draw_holds, draw_trades
from cli.simulating.simulate import LEDGER, Simulated
from core.performance.better import Finding
from core.performance.sample import Estimate
from core.performance.theories import ContributionReport
from core.simulating.findings import Findings

REPORT: Final = "report.html"
TRADES: Final = "trades.csv"
HEAD: Final = ("id", "signal_id", "direction", "outcome", "opened_at", "closed_at")
TAIL: Final = ("opened_price", "closed_price", "quantity", "pnl_usd", "pnl_percent", "confidence")


class Line(NamedTuple):
    """One statistic as it is shown."""

    name: str
    value: str
    interval: str
    n: int


def write_report(simulated: Simulated, folder: Path) -> dict[str, Any]:  # Any: plain JSON data
    """Writes page and trades, and gives what the terminal shows."""
    findings = simulated.findings
    lines = figures(findings)
    (folder / REPORT).write_text(_page(simulated, lines), encoding="utf-8")
    _write_trades(findings, folder / TRADES)
    course = findings.course
    return {
        "symbol": course.symbol,
        "interval": course.interval,
        "days": course.days,
        "start": course.start.isoformat(),
        "mode": course.mode.value,
        "seed": simulated.seed,
        "decisions": findings.hold_share.n,
        "signals": sum(week.signals for week in findings.weeks),
        "trades": len(findings.closed),
        "balance_usd": str(findings.balance_usd),
        "figures": [line._asdict() for line in lines],
        "verdicts": verdicts(findings),
        "contribution": read_contribution(simulated),
        "report": str(folder / REPORT),
        "trades_file": str(folder / TRADES),
        "ledger": str(folder / LEDGER),
    }


def print_simulated(summary: dict[str, Any]) -> None:
    """The figures with their intervals, what they decide, and where the rest lies."""
    table = make_table("Figure", "Value", "95 % interval", "n")
    for line in summary["figures"]:
        table.add_row(line["name"], line["value"], line["interval"], f"{line['n']:,}")
    console().print(table)
    for name, words in summary["verdicts"].items():
        console().print(f"{name}: {words}")
    print_contribution(summary["contribution"])
    console().print(_caution(summary["trades"]), style="yellow")
    console().print(f"report: {summary['report']}", soft_wrap=True)


def figures(findings: Findings) -> list[Line]:
    """Every statistic with its interval and what it rests on."""
    found = findings.performance
    return [
        _line("share of HOLD", findings.hold_share, "{:.2%}"),
        _line("mean confidence of signals", findings.confidence, "{:.1%}"),
        _line("win rate", found.win_rate, "{:.1%}"),
        _line("P&L, US dollars", found.pnl_usd, "{:,.2f}"),
        _line("mean result, US dollars", found.expectancy_usd, "{:,.2f}"),
        _line("profit factor", found.profit_factor, "{:.2f}"),
        _line("Sharpe ratio, a year", found.sharpe, "{:.2f}"),
        _line("Sortino ratio, a year", found.sortino, "{:.2f}"),
        _line("deepest drawdown, percent", found.max_drawdown_percent, "{:.2f}"),
        _line("its length, days", found.drawdown_days, "{:.0f}"),
        _line("share of time in the market", found.exposure_fraction, "{:.2%}"),
    ]


def read_contribution(simulated: Simulated) -> dict[str, Any]:
    """What each theory is worth, as the API writes it."""
    found: dict[str, Any] = adapter(ContributionReport).dump_python(simulated.contribution, mode="json")
    return found


def verdicts(findings: Findings) -> dict[str, str]:
    """What the trades decide, and how many more it takes where they do not."""
    return {
        "earns more than it costs": _say(findings.earns),
        "wins more than half": _say(findings.wins_more),
        "review": findings.review.words,
    }


def _say(finding: Finding) -> str:
    if finding.estimate.low is None:
        return f"not decidable yet: {finding.estimate.n} closed trades are too few for an interval"
    return str(finding)


def _line(name: str, estimate: Estimate, shape: str) -> Line:
    value = "-" if estimate.value is None else shape.format(estimate.value)
    if estimate.low is None or estimate.high is None:
        return Line(name, value, "-", estimate.n)
    return Line(name, value, f"{shape.format(estimate.low)} to {shape.format(estimate.high)}", estimate.n)


def _caution(trades: int) -> str:
    return (
        "Prices are invented: this shows how the product works, not what it earns. "
        f"n of results counts closed trades ({trades} here), of shares and confidence decisions."
    )


def _page(simulated: Simulated, lines: Sequence[Line]) -> str:
    findings = simulated.findings
    course = findings.course
    title = f"{course.symbol}: {course.days} simulated days of {course.interval}"
    made = (
        f"Synthetic market, seed {simulated.seed}, from {course.start:%Y-%m-%d %H:%M} UTC; mode {course.mode.value}, "
        f"threshold setting {simulated.threshold:g}, windows of {simulated.window} candles, "
        "weights and theories as on a server without a language model and without learned weights; "
        "the theories that learn were fitted once, on candles from before the first slot."
    )
    weeks = [
        (
            f"{each.begins:%Y-%m-%d}",
            f"{each.decisions:,}",
            each.signals,
            f"{each.hold_share.value or 0:.2%}",
            each.trades,
            f"{each.pnl_usd:,.2f}",
            f"{each.balance_usd:,.2f}",
            each.review.words,
        )
        for each in findings.weeks
    ]
    targets = [
        (each.name, f"{'at least' if each.is_floor else 'at most'} {each.limit:.0%}", each.reached.value, each.finding)
        for each in findings.review.targets
    ]
    reasons = [(name, f"{count:,}") for name, count in findings.reasons.items()]
    ended = [each.outcome.value if each.outcome else each.state.value for each in findings.trades]
    parts = [
        f"<h1>{escape(title)}</h1><p><b>{escape(_caution(len(findings.closed)))}</b></p>",
        f'<p class="note">{escape(made)}</p>',
        make_html_table(("Figure", "Value", "95 % interval", "n"), lines),
        '<p class="note">The drawdown has no interval: given is the range of the same days in another order.</p>',
        make_html_table(("Question", "Answer"), verdicts(findings).items()),
        draw_equity(findings),
        draw_trades(findings, simulated.candles),
        draw_confidence(findings),
        draw_holds(findings),
        "<h2>What each theory is worth</h2>",
        *contribution_parts(read_contribution(simulated)),
        "<h2>Week by week</h2><p>Each review covers everything that had closed by then.</p>",
        make_html_table(("Week from", "Decisions", "Signals", "HOLD", "Closed", "P&L", "Balance", "Review"), weeks),
        "<h2>Targets</h2>",
        make_html_table(("Target", "Limit", "Reached", "Surely above the limit?"), targets),
        "<h2>Why HOLD</h2>",
        make_html_table(("First reason", "Decisions"), reasons),
        "<h2>How trades ended</h2>",
        make_html_table(("Outcome", "Trades"), ((name, ended.count(name)) for name in sorted(set(ended)))),
    ]
    head = f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return "\n".join([head, *parts, ""])


def _write_trades(findings: Findings, path: Path) -> None:
    """Every trade in the order of its birth, also those that never were in the market."""
    confidence = {each.id: each.confidence for each in findings.closed}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow((*HEAD, *TAIL))
        for trade in findings.trades:
            outcome = trade.outcome.value if trade.outcome else trade.state.value
            times = [at.isoformat() if at else "" for at in (trade.opened_at, trade.closed_at)]
            prices = [trade.opened_price, trade.closed_price, trade.quantity, trade.pnl, trade.pnl_percent]
            head = [trade.id, trade.signal_id, trade.direction.value, outcome, *times]
            writer.writerow([*head, *("" if each is None else each for each in prices), confidence.get(trade.id, "")])
