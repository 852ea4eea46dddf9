"""Signals as a trader reads them: HOLD is one line, BUY and SELL a block with every theory's vote."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rich.box import Box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]  # Any: decoded JSON

STYLES: Final = {"BUY": "green", "SELL": "red", "HOLD": "dim"}
ARROWS: Final = {"BUY": "▲", "SELL": "▼", "HOLD": "·"}
HALF_BAR: Final = 5  # cells of a vote of 1
# a line at the left and nothing else
LEFT: Final = Box("    \n▌   \n    \n▌   \n    \n    \n▌   \n    \n")


def print_signal(console: Console, signal: Row, *, full: bool = False) -> None:
    """A line for HOLD, a block for what may be traded; `full` gives HOLD its block too."""
    if signal["direction"] == "HOLD" and not full:
        console.print(hold_line(signal), no_wrap=True, overflow="ellipsis")
    else:
        console.print(signal_block(signal))


def print_refused(console: Console, refused: Row) -> None:
    """A symbol for which nothing could be decided."""
    words = Text(f"! {'-':<5}{refused['symbol']:<10}{refused['reason']}: {refused['detail']}", style="red")
    console.print(words, no_wrap=True, overflow="ellipsis")


def hold_line(signal: Row) -> Text:
    """What is left alone, and why."""
    line = Text().append(f"{ARROWS['HOLD']} {'HOLD':<5}", style="dim")
    line.append(f"{signal['symbol']:<10}", style="bold")
    line.append(f"{write_price(signal['price']):>12}  ").append_text(_change(signal["change_24h_percent"]))
    line.append(f"  {write_share(signal['confidence']):>5}  ", style="dim")
    if signal["vetoes"]:
        veto = signal["vetoes"][0]
        return line.append(f"{veto['rule']}: {veto['detail']}", style="yellow")
    if signal["degraded"] and signal["degradations"]:
        doubt = signal["degradations"][0]
        return line.append(f"{doubt['reason']}: {doubt['detail']}", style="yellow")
    return line.append(signal["reasoning"], style="dim")


def signal_block(signal: Row) -> RenderableType:
    """Everything a trader asks of a signal."""
    style = STYLES[signal["direction"]]
    parts: list[RenderableType] = [_head(signal, style), Text(signal["reasoning"])]
    if signal["entry"] is not None:
        parts.append(_levels(signal))
    parts.append(_votes(signal["votes"]))
    parts += [Text(f"{veto['rule']}: {veto['detail']}", style="yellow") for veto in signal["vetoes"]]
    parts += [Text(f"{doubt['reason']}: {doubt['detail']}", style="yellow") for doubt in signal["degradations"]]
    parts.append(_foot(signal))
    return Panel(Group(*parts), box=LEFT, border_style=style, padding=(0, 1))


def vote_bar(vote: float) -> Text:
    """A vote as a bar from the middle: to the right for a rise, to the left for a fall.

    >>> vote_bar(0.62).plain, vote_bar(-0.2).plain
    ('     ┃███  ', '    █┃     ')
    """
    cells = min(HALF_BAR, round(abs(vote) * HALF_BAR))
    falls, rises = (cells, 0) if vote < 0 else (0, cells)
    bar = Text(" " * (HALF_BAR - falls)).append("█" * falls, style="red")
    return bar.append("┃", style="dim").append("█" * rises, style="green").append(" " * (HALF_BAR - rises))


def write_price(price: str | None) -> str:
    """As people read it.

    >>> write_price("84120.50"), write_price("0.07215"), write_price(None)
    ('84,120.5', '0.07215', '-')
    """
    if price is None:
        return "-"
    written = f"{Decimal(price):,f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def write_share(share: float) -> str:
    """A share of one in percent.

    >>> write_share(0.784)
    '78 %'
    """
    return f"{100 * share:.0f} %"


def write_dollars(amount: str | Decimal) -> str:
    """Cents for what is more than a cent, else as many digits as it takes.

    >>> write_dollars("7.5"), write_dollars("0.00041230"), write_dollars("0")
    ('7.50', '0.00041', '0.00')
    """
    value = Decimal(amount)
    return f"{value:,.2f}" if value == 0 or value >= Decimal("0.01") else f"{value:.5f}"


def _head(signal: Row, style: str) -> Text:
    direction = signal["direction"]
    head = (
        Text().append(f"{ARROWS[direction]} {direction} ", style=f"bold {style}").append(signal["symbol"], style="bold")
    )
    head.append(f"  {write_price(signal['price'])}  ").append_text(_change(signal["change_24h_percent"]))
    at = str(signal["timestamp"])[:19].replace("T", " ")
    head.append(" in 24 h", style="dim").append(f"  {at} UTC")
    head.append(f"  confidence {write_share(signal['confidence'])}", style="bold")
    if signal["tier"]:
        head.append(f" {signal['tier']}")
    if signal["calibrated_confidence"] is not None:
        head.append(f" ({write_share(signal['calibrated_confidence'])} of such won)", style="dim")
    return head


def _levels(signal: Row) -> Text:
    entry = Decimal(signal["entry"])
    line = Text(f"entry {write_price(signal['entry'])}")
    for name, field, style in (("stop", "stop_loss", "red"), ("target", "take_profit", "green")):
        away = 100 * (Decimal(signal[field]) / entry - 1)
        line.append(f"   {name} ").append(write_price(signal[field]), style=style).append(
            f" {away:+.2f} %", style="dim"
        )
    if signal["stop_first"] is not None:
        line.append(f"   chance of the stop {write_share(signal['stop_first'])}", style="dim")
    return line


def _votes(votes: list[Row]) -> Table:
    """One line a theory."""
    table = Table.grid(padding=(0, 1), expand=True)
    for width in (2 * HALF_BAR + 1, max((len(vote["theory"]) for vote in votes), default=0), len("+0.00")):
        table.add_column(no_wrap=True, width=width)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for vote in votes:
        number = Text(f"{vote['vote']:+.2f}" if vote["vote"] else "    0", style="" if vote["vote"] else "dim")
        problem = vote.get("problem")
        words = Text(problem, style="yellow") if problem else Text(vote["words"], style="dim")
        table.add_row(vote_bar(vote["vote"]), vote["theory"], number, words)
    return table


def _foot(signal: Row) -> Text:
    """Who decided, what it cost, what the firm's rules say, and how much to trade."""
    llm = signal["llm"]
    if llm is None:
        line = Text().append(f"decided by {signal['synthesis']}: {signal['synthesis_reason']}", style="dim")
    else:
        line = Text(f"LLM {write_dollars(llm['cost_usd'])} USD ({llm['model']}, {llm['latency_ms'] / 1000:.1f} s)")
    if signal["ftmo_compliant"]:
        line.append("   firm's rules kept", style="green")
    else:
        line.append("   forbidden by the firm's rules", style="red")
    if signal["lots"] is not None:
        line.append(f"   {write_price(signal['lots'])} lots", style="bold")
    elif signal["quantity"] is not None:
        line.append(f"   {write_price(signal['quantity'])} units", style="bold")
    if signal["risk_usd"] is not None:
        line.append(f", {write_dollars(signal['risk_usd'])} USD at risk")
    if signal["book"] == "shadow":
        line.append(f"   {signal['strategy']} compares, not published", style="yellow")
    return line.append("   invented prices" if signal["synthetic"] else "", style="yellow")


def _change(percent: float | None) -> Text:
    if percent is None:
        return Text(f"{'-':>8}", style="dim")
    return Text(f"{percent:+6.2f} %", style="green" if percent > 0 else "red" if percent < 0 else "dim")
