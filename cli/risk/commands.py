"""`crpbot risk`, `crpbot kill` and `crpbot account`: what is left to lose, the switch, and the accounts."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.output import show

kill = typer.Typer(help="The switch that stops everything; it works without a server too.", no_args_is_help=True)
account = typer.Typer(help="Accounts: on paper, or held at a firm and told about.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Url = Annotated[
    str | None,
    typer.Option("--url", help="Server to ask; the one of the settings where unset.", envvar="CRPBOT_URL"),
]
By = Annotated[str | None, typer.Option("--by", help="Who acts; the login name where unset.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in words that are kept for ever.")]


def risk(
    named: Annotated[str | None, typer.Option("--account", help="Id of the account; the default one if unset.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """How an account stands: state, headroom under each rule, windows, progress."""
    from cli.risk.asking import read_risk
    from cli.risk.tables import print_risk

    show(read_risk(url, named), as_json, print_risk)


@kill.command()
def on(
    reason: Reason,
    halt: Annotated[bool, typer.Option("--halt", help="Stop new trades too, not only new signals.")] = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Stop. When this returns, no gateway lets out a new signal any more. Closing trades stays allowed."""
    from cli.risk.asking import set_switch
    from cli.risk.tables import print_switch

    show(set_switch("halt" if halt else "pause", by=by, reason=reason), as_json, print_switch)


@kill.command()
def off(reason: Reason, by: By = None, as_json: Json = False) -> None:
    """Go on. KILL_SWITCH=true in the settings cannot be lifted here."""
    from cli.risk.asking import set_switch
    from cli.risk.tables import print_switch

    show(set_switch("off", by=by, reason=reason), as_json, print_switch)


@kill.command()
def status(as_json: Json = False) -> None:
    """How the switch stands, who set it, when and why."""
    from cli.risk.asking import read_switch
    from cli.risk.tables import print_switch

    show(read_switch(), as_json, print_switch)


@account.command("list")
def list_accounts(url: Url = None, as_json: Json = False) -> None:
    """List the accounts."""
    from cli.risk.asking import read_accounts
    from cli.risk.tables import print_accounts

    show(read_accounts(url), as_json, print_accounts)


@account.command("create")
def create_account(
    name: Annotated[str, typer.Argument(help="Id of the new account.")],
    capital: Annotated[str, typer.Option(help="Initial capital in US dollars.")] = "100000",
    pack: Annotated[str | None, typer.Option(help="Rule pack; the default one if unset.")] = None,
    reported: Annotated[bool, typer.Option("--reported", help="Held at the firm; you tell its equity.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Make an account. Its rules and its capital stay as they are given here."""
    from cli.risk.asking import make_account
    from cli.risk.tables import print_accounts

    made = make_account(url, name, capital=capital, pack=pack, reported=reported)
    show(made, as_json, lambda found: print_accounts({"accounts": [found], "default": ""}))


@account.command("report")
def report_account(
    name: Annotated[str, typer.Argument(help="Id of the reported account.")],
    balance: Annotated[str, typer.Option(help="Balance in US dollars.")],
    equity: Annotated[str, typer.Option(help="Equity in US dollars.")],
    midnight: Annotated[str | None, typer.Option(help="Balance at the firm's last midnight; once a day.")] = None,
    days: Annotated[int | None, typer.Option(help="Days traded so far.")] = None,
    position: Annotated[
        list[str] | None,
        typer.Option("--position", help="SYMBOL:BUY|SELL:QUANTITY:ENTRY[:STOP], one for each that is open."),
    ] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Tell how an account at the firm stands now; while positions are open, that is good for a minute."""
    from cli.risk.asking import tell_account
    from cli.risk.tables import print_risk

    told = tell_account(
        url, name, balance=balance, equity=equity, midnight=midnight, days=days, positions=position or []
    )
    show(told, as_json, print_risk)


@account.command("lift")
def lift_latch(
    name: Annotated[str, typer.Argument(help="Id of the account.")],
    kind: Annotated[str, typer.Argument(help="daily_stop, total_stop or breach.")],
    reason: Reason,
    by: By = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Lift a limit that has tripped and stays so. Only a person should, and the reason is kept."""
    from cli.risk.asking import lift
    from cli.risk.tables import print_lifted

    show(lift(url, name, kind, by=by, reason=reason), as_json, print_lifted)
