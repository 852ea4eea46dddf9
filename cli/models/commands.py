"""The commands on models that are there: list, show, try, go back, calibrate. `crpbot --help` answers at once."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.models.place import open_models
from cli.output import show
from cli.training.commands import Folder, Json, Models, ModelType, OneCoin

models = typer.Typer(help="Models: which there are, who decides, who is on trial.", invoke_without_command=True)

Version = Annotated[str, typer.Argument(help="Version such as lstm-0f3a9c1d.")]
Kind = Annotated[ModelType, typer.Option("--model-type", help="lstm, transformer or ppo.")]


@models.callback()
def first(context: typer.Context) -> None:
    """Without a word behind it: the list."""
    if context.invoked_subcommand is None:
        list_all()


@models.command(name="list")
def list_all(folder: Models = None, as_json: Json = False) -> None:
    """List every model with its state, accuracy and verdict, and the lines of the ensembles; needs no server."""
    from cli.models.tables import print_models
    from cli.models.telling import list_models
    from serving.configuration import load

    show(list_models(open_models(folder), load().settings.decision.ensemble_weights), as_json, print_models)


@models.command(name="show")
def show_one(version: Version, folder: Models = None, as_json: Json = False) -> None:
    """Show one model: its manifest, the gate's rulings, where the report lies, and when it decided."""
    from cli.models.tables import print_model
    from cli.models.telling import show_model
    from serving.configuration import load

    show(show_model(version, open_models(folder), load().settings.decision.ensemble_weights), as_json, print_model)


def candidate(
    version: Annotated[str | None, typer.Argument(help="Version such as lstm-0f3a9c1d.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="End the trial of this version, or of --coin.")] = False,
    coin: OneCoin = "BTC-USD",
    model_type: Kind = ModelType.LSTM,
    folder: Models = None,
    as_json: Json = False,
) -> None:
    """Put a model on trial: running servers score it on live windows, and it has no effect."""
    from cli.models.tables import print_nominated, print_withdrawn
    from cli.models.telling import nominate, withdraw, withdraw_version

    if remove:
        place = open_models(folder)
        ended = withdraw(coin, model_type, place) if version is None else withdraw_version(version, place)
        show(ended, as_json, print_withdrawn)
    elif version is None:
        raise typer.BadParameter("name a version, or end a trial with --remove", param_hint="VERSION")
    else:
        show(nominate(version, open_models(folder)), as_json, print_nominated)


def rollback(
    coin: OneCoin = "BTC-USD",
    model_type: Kind = ModelType.LSTM,
    folder: Models = None,
    as_json: Json = False,
) -> None:
    """Go back to the model that decided before, by the report of then."""
    from cli.models.tables import print_rolled_back
    from cli.models.telling import roll_back

    show(roll_back(coin, model_type, open_models(folder)), as_json, print_rolled_back)


def calibrate(
    coin: Annotated[str, typer.Option("--coin", "--symbol", help="Such as BTC or BTC-USD; or all.")] = "BTC",
    data: Folder = None,
    folder: Models = None,
    as_json: Json = False,
) -> None:
    """Fit what makes the promoted models' common probability true, on candles that none of them learned from."""
    from cli.models.calibration import calibrate as run
    from cli.models.tables import print_calibrated
    from serving.configuration import load

    show(run(coin, data, open_models(folder), load().settings.decision.ensemble_weights), as_json, print_calibrated)
