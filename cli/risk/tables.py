"""Risk as a trader reads it: bars of what is left, what claims it, and the switch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from rich.text import Text

from cli.render import console, make_table

Row = Mapping[str, Any]  # Any: decoded JSON

BAR: Final = 14  # characters
COLOURS: Final = {"ok": "green", "warn": "yellow", "early_stop": "red", "breached": "bold red"}


def print_risk(risk: Row) -> None:
    """State, headroom with bars, windows, open trades, progress and warnings."""
    out = console()
    colour = COLOURS[risk["state"]]
    until = f" until {_time(risk['lifts_at'])}" if risk["lifts_at"] else ""
    out.print(f"[bold]{risk['account']}[/]  {risk['pack']}  [{colour}]{risk['state'].upper()}[/]{until}")
    equity = "unknown" if risk["equity"] is None else _usd(risk["equity"])
    out.print(
        f"balance {_usd(risk['balance'])} · equity {equity} · initial capital {_usd(risk['initial_capital'])} · "
        f"firm's day {risk['day']} until {_time(risk['day_ends_at'])}"
    )
    _print_switch_line(risk["kill_switch"])
    headroom = make_table("Rule", "Used", "of", "House at", "Firm at", "Free", title="US dollars")
    for rule in risk["headroom"]:
        headroom.add_row(*_headroom(rule))
    out.print(headroom)
    _print_windows(risk["windows"])
    _print_claims(risk)
    _print_objectives(risk["objectives"])
    for notice in (*risk["stale"], *risk["warnings"]):
        out.print(Text(f"{notice['rule']}: {notice['detail']}", style="yellow"))


def print_switch(switch: Row) -> None:
    """The kill switch."""
    _print_switch_line(switch)


def print_accounts(answer: Row) -> None:
    """The accounts, the default one marked."""
    caption = "* is meant where none is named" if answer["default"] else None
    table = make_table("Account", "Kind", "Book", "Rules", "Capital", "Since", caption=caption)
    for account in answer["accounts"]:
        mark = " *" if account["id"] == answer["default"] else ""
        cells = (account["id"] + mark, account["kind"], account["book"], account["pack"])
        table.add_row(*cells, _money(account["initial_capital"]), account["created_at"][:10])
    console().print(table)


def print_lifted(answer: Row) -> None:
    """What a lift did."""
    console().print(f"{answer['account']}: {answer['lifted']} of kind {answer['kind']} lifted")


def _headroom(rule: Row) -> Iterable[str | Text]:
    if rule["used_usd"] is None:
        return rule["rule"], Text("no price is known", style="yellow"), "", _money(rule["guard_floor"]), "", ""
    used = max(Decimal(0), Decimal(rule["used_usd"]))
    limit, guard = Decimal(rule["limit_usd"]), Decimal(rule["guard_usd"])
    filled = min(BAR, int(BAR * used / limit))
    house = min(BAR - 1, int(BAR * guard / limit))
    bar = Text("".join("█" if place < filled else "│" if place == house else "░" for place in range(BAR)))
    bar.stylize(COLOURS[rule["state"]])
    bar.append(f" {Decimal(rule['used_percent']):.0f} %")
    amounts = (limit, Decimal(rule["guard_floor"]), Decimal(rule["floor"]), Decimal(rule["free_usd"]))
    return rule["rule"], bar, *(_money(amount) for amount in amounts)


def _print_windows(windows: Iterable[Row]) -> None:
    for window in windows:
        free = f", free again at {_time(window['free_at'])}" if window["free_at"] else ""
        console().print(f"{window['rule']}: {window['used']} of {window['limit']} in 60 minutes{free}")


def _print_claims(risk: Row) -> None:
    if not risk["open_trades"]:
        console().print("no open trade")
        return
    table = make_table("Trade", "Market", "State", "Now", "When its stop fills")
    for claim in risk["open_trades"]:
        now = "-" if claim["floating_usd"] is None else _usd(claim["floating_usd"])
        worst = "takes the whole room" if claim["worst_usd"] is None else _usd(-Decimal(claim["worst_usd"]))
        table.add_row(claim["trade"], claim["symbol"], claim["state"], now, worst)
    console().print(table)


def _print_objectives(objectives: Row) -> None:
    days = f"{objectives['trading_days']} of {objectives['minimum_trading_days']} trading days"
    if objectives["target_balance"] is None:
        console().print(f"no target · {days}")
        return
    percent = Decimal(objectives["progress_percent"] or 0)
    console().print(f"target {_usd(objectives['target_balance'])} ({percent:.1f} % of the way) · {days}")


def _print_switch_line(switch: Row) -> None:
    colour = {"off": "green", "pause": "yellow", "halt": "red"}[switch["level"]]
    forced = " (forced by KILL_SWITCH=true)" if switch["forced"] else ""
    why = "" if switch["level"] == "off" and not switch["reason"] else f" · {switch['reason']}"
    console().print(
        Text.assemble(
            "kill switch ", (switch["level"], colour), f"{forced} · by {switch['by']} at {_time(switch['at'])}{why}"
        )
    )


def _usd(amount: str | Decimal) -> str:
    return f"{_money(amount)} USD"


def _money(amount: str | Decimal) -> str:
    return f"{Decimal(amount):,.2f}"


def _time(instant: str) -> str:
    return instant[:19].replace("T", " ") + " UTC"
