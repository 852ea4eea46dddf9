"""Asks a server about results, and prints them as a trader reads them: value, interval, n, what is not known yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cli.render import console, make_table
from client.sdk import ApiError, Client
from core.errors import Code, CrpbotError
from serving.configuration import load
from serving.probe import server_url

Json = dict[str, Any]  # Any: decoded JSON
Row = Mapping[str, Any]

PATH: Final = "/v1/performance"
PATIENCE_SECONDS: Final = 30.0  # the first question starts a process, and decisions are made again by the thousand

# name, statistic, how it is written, whether its interval is only a range
LINES: Final = (
    ("win rate", "win_rate", "{:.1%}"),
    ("P&L, US dollars", "pnl_usd", "{:+,.2f}"),
    ("mean result, US dollars", "expectancy_usd", "{:+,.2f}"),
    ("mean result, percent", "expectancy_percent", "{:+.3f}"),
    ("profit factor", "profit_factor", "{:.2f}"),
    ("Sharpe ratio, a year", "sharpe", "{:.2f}"),
    ("the same, uncorrected", "plain_sharpe", "{:.2f}"),
    ("Sortino ratio, a year", "sortino", "{:.2f}"),
    ("Calmar ratio", "calmar", "{:.2f}"),
    ("deepest fall, percent", "max_drawdown_percent", "{:.2f}"),
    ("its length, days", "drawdown_days", "{:.0f}"),
    ("time in the market", "exposure_fraction", "{:.2%}"),
)
OPEN: Final = "open"  # short for what fills a third of a line
THEORY_COLUMNS: Final = ("Theory", "Worth", "95 %", "Share", "Made", "Turned", "Kept out", "Verdict")


def ask(url: str | None, step: str, filters: Mapping[str, str | None]) -> Json:
    """The answer to a question about results."""
    with Client(url or server_url(load().settings), timeout_seconds=PATIENCE_SECONDS) as client:
        try:
            return client.get(PATH + step, **filters)
        except ApiError as error:
            raise _refused(error) from None


def evaluate(url: str | None, account: str | None) -> Json:
    """Has the theories evaluated now, and stored."""
    with Client(url or server_url(load().settings), timeout_seconds=PATIENCE_SECONDS) as client:
        try:
            return client.post(f"{PATH}/theories", {"account": account})
        except ApiError as error:
            raise _refused(error) from None


def print_performance(report: Row) -> None:
    """Every statistic, then the groups, then what is proven."""
    whole = report["performance"]
    days = f"{report['first_day'][:10]} to {report['last_day'][:10]}"
    title = f"Account {report['account']}  ·  {whole['trades']:,} closed trades, {days} ({whole['days']} days)"
    table = make_table("Figure", "Value", "95 % interval", "n", title=title)
    for row in performance_rows(report):
        table.add_row(*row)
    console().print(table)
    if report["groups"]:
        console().print(_group_table(report["groups"]))
    for question, answer in questions(report):
        console().print(f"{question}: {answer}")


def print_contribution(report: Row) -> None:
    """What each theory is worth, the largest first."""
    title = f"Account {report['account']}  ·  {report['trades']:,} trades, {report['holds']:,} HOLDs; US dollars"
    table = make_table(*THEORY_COLUMNS, title=title)
    table.columns[0].no_wrap = True
    for row in contribution_rows(report):
        table.add_row(*row)
    console().print(table)
    for remark in contribution_remarks(report):
        console().print(remark, style="yellow")


def print_review(review: Row) -> None:
    """What the rule says, then the targets against what was reached."""
    console().print(review["words"])
    table = make_table("Target", "Limit", "Reached", "95 % interval", "n", "Verdict")
    for row in target_rows(review):
        table.add_row(*row)
    console().print(table)


def performance_rows(report: Row) -> list[tuple[str, str, str, str]]:
    """Name, value, interval and n of every statistic."""
    whole = report["performance"]
    rows = [(name, *spell(whole[field], shape)) for name, field, shape in LINES]
    rows.append(("share of HOLD", *spell(report["hold_share"], "{:.2%}")))
    rows.append(("mean confidence of signals", *spell(report["confidence"], "{:.1%}")))
    return rows


def questions(report: Row) -> list[tuple[str, str]]:
    """What the trades decide, and how many more it takes where they do not."""
    return [
        ("earns more than it costs", say(report["earns"])),
        ("wins more than half", say(report["wins_more_than_half"])),
    ]


def contribution_rows(report: Row) -> list[tuple[str, ...]]:
    """One line a theory."""
    return [
        (
            each["theory"],
            *(spell(each["pnl_usd"], "{:+,.0f}")[:2] if each["changed"] else ("-", "-")),
            spell(each["share"], "{:.0%}")[0],
            *(f"{each[name]:,}" for name in ("trades_made", "trades_turned", "trades_prevented")),
            OPEN if each["role"] == "not_decidable_yet" else each["role"].replace("_", " "),
        )
        for each in report["theories"]
    ]


def contribution_remarks(report: Row) -> list[str]:
    """What the figures cannot say."""
    found = [f"{OPEN}: not decidable yet; - : it changed no decision; worths of theories that agree do not add up."]
    inexact = max((each["inexact"] for each in report["theories"]), default=0)
    if inexact:
        found.append(
            f"{inexact:,} decisions are of a language model, which cannot be asked again: the rule's part is exact."
        )
    if report["forgotten"]:
        found.append(f"{report['forgotten']:,} decisions cannot be made again: their readings have been deleted.")
    return found


def target_rows(review: Row) -> list[tuple[str, ...]]:
    """One line a target."""
    return [
        (
            each["name"].replace("_", " "),
            f"{'at least' if each['is_floor'] else 'at most'} {each['limit']:.0%}",
            *spell(each["finding"]["estimate"], "{:.1%}"),
            each["reached"].replace("_", " "),
        )
        for each in review["targets"]
    ]


def spell(estimate: Row, shape: str) -> tuple[str, str, str]:
    """Value, interval and n. A range of the same days in another order is called one."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    shown = "-" if value is None else shape.format(value)
    interval = "-" if low is None or high is None else f"{shape.format(low)} to {shape.format(high)}"
    if interval != "-" and estimate["method"] == "range":
        interval = f"range {interval}"
    return shown, interval, f"{estimate['n']:,}"


def say(finding: Row) -> str:
    """An answer in words."""
    if finding["answer"] != "not_decidable_yet":
        return str(finding["answer"])
    needed, trades = finding["trades_needed"], finding["estimate"]["n"]
    if needed is not None:
        return f"not decidable yet: about {needed:,} more trades"
    if finding["estimate"]["low"] is None:
        return f"not decidable yet: {trades:,} closed trades are too few for an interval"
    return "not decidable yet, nor in any number of trades that can be waited for"


def _group_table(groups: Iterable[Row]) -> Any:  # Any: a table of the library's
    table = make_table("Group", "Trades", "Win rate", "95 % interval", "P&L, USD", "95 % interval", "Sharpe", "HOLD")
    for group in groups:
        found = group["performance"]
        hold = group["hold_share"]
        table.add_row(
            *(group["key"], f"{found['trades']:,}"),
            *spell(found["win_rate"], "{:.1%}")[:2],
            *spell(found["pnl_usd"], "{:+,.2f}")[:2],
            spell(found["sharpe"], "{:.2f}")[0],
            "-" if hold is None else spell(hold, "{:.2%}")[0],
        )
    return table


def _refused(error: ApiError) -> CrpbotError:
    return CrpbotError(Code.UNAVAILABLE, str(error), reason="SERVER_REFUSED")
