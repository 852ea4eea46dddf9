"""The commands that train, judge and promote models. Imports are lazy, so that `crpbot --help` answers at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.output import show

train = typer.Typer(help="Train a model and judge it: lstm, transformer, ppo.", no_args_is_help=True)

MODELS_FOLDER: Final = Path("data/models")
MOST_DAYS: Final = 1_461  # four years of minutes take 250 MiB


class ModelType(StrEnum):
    """What a model is."""

    LSTM = "lstm"
    TRANSFORMER = "transformer"
    PPO = "ppo"


class Preset(StrEnum):
    """The batch size and learning rate that were asked for, or those that are faster and no worse."""

    ORIGINAL = "original"
    FAST = "fast"


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Models = Annotated[Path, typer.Option("--models", help="Folder of the models.")]
Coin = Annotated[str, typer.Option(help="Such as BTC or BTC-USD; all for each of the ten, then the Transformer.")]
OneCoin = Annotated[str, typer.Option("--symbol", "--coin", help="Such as BTC-USD or BTC.")]
Folder = Annotated[
    Path | None,
    typer.Option("--data", help="A 1m Parquet file, or a folder of them; else a synthetic market with a planted edge."),
]
Days = Annotated[
    int | None, typer.Option(min=2, max=MOST_DAYS, help="Length of the synthetic history, or of the files' end.")
]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of weights, order and synthetic market.")]
Noise = Annotated[bool, typer.Option("--noise", help="The synthetic market without the edge: nothing is to be found.")]
Epochs = Annotated[int, typer.Option(min=1, max=1_000, help="Passes over the training windows, at most.")]
Stride = Annotated[int | None, typer.Option(min=1, max=1_440, help="Candles between training windows.")]
Hidden = Annotated[int | None, typer.Option(min=4, max=512, help="Width of the network, where not the usual one.")]
Speed = Annotated[Preset, typer.Option("--preset", help="original or fast: batch size and learning rate.")]
Workers = Annotated[int, typer.Option(min=1, max=256, help="Processes that train together.")]
Address = Annotated[str | None, typer.Option("--address", help="Ray cluster to train on; this machine if unset.")]
Run = Annotated[
    str | None, typer.Option("--run", help="Name of the run; the same name goes on where it was interrupted.")
]


@train.command()
def lstm(
    coin: Coin = "BTC",
    epochs: Epochs = 15,
    data: Folder = None,
    days: Days = None,
    seed: Seed = 7,
    noise: Noise = False,
    stride: Stride = None,
    hidden: Hidden = None,
    unidirectional: Annotated[bool, typer.Option("--unidirectional", help="Read forwards only: faster.")] = False,
    preset: Speed = Preset.FAST,
    workers: Workers = 1,
    address: Address = None,
    run: Run = None,
    models: Models = MODELS_FOLDER,
    as_json: Json = False,
) -> None:
    """Train the up/down model of a coin, judge it on untouched data, and say what to do next."""
    from cli.training import train_lstm
    from cli.training_order import Order
    from cli.training_tables import print_trained

    order = Order(
        coin,
        epochs=epochs,
        folder=data,
        days=days,
        seed=seed,
        noise=noise,
        stride=stride,
        hidden=hidden,
        unidirectional=unidirectional,
        preset=preset,
        workers=workers,
        address=address,
        run=run,
        models=models,
    )
    show(train_lstm(order), as_json, print_trained)


@train.command()
def transformer(
    coin: Coin = "all",
    epochs: Epochs = 5,
    data: Folder = None,
    days: Days = None,
    seed: Seed = 7,
    noise: Noise = False,
    stride: Stride = None,
    hidden: Hidden = None,
    preset: Speed = Preset.FAST,
    workers: Workers = 1,
    address: Address = None,
    run: Run = None,
    models: Models = MODELS_FOLDER,
    as_json: Json = False,
) -> None:
    """Train the model of trend strength over all coins, judge it on untouched data, and say what to do next."""
    from cli.training import train_transformer
    from cli.training_order import Order
    from cli.training_tables import print_trained

    order = Order(
        coin,
        epochs=epochs,
        folder=data,
        days=days,
        seed=seed,
        noise=noise,
        stride=stride,
        hidden=hidden,
        preset=preset,
        workers=workers,
        address=address,
        run=run,
        models=models,
    )
    show(train_transformer(order), as_json, print_trained)


@train.command()
def ppo(
    steps: Annotated[int, typer.Option(min=1, max=1_000_000_000, help="Steps of the market, in all.")] = 8_000_000,
    coin: Coin = "BTC",
    data: Folder = None,
    days: Days = None,
    seed: Seed = 7,
    noise: Noise = False,
    workers: Workers = 1,
    address: Address = None,
    run: Run = None,
    models: Models = MODELS_FOLDER,
    as_json: Json = False,
) -> None:
    """Train the agent that trades under costs and the firm's limits, and judge it on untouched data."""
    from cli.training import train_ppo
    from cli.training_order import Order
    from cli.training_tables import print_trained

    order = Order(
        coin,
        steps=steps,
        folder=data,
        days=days,
        seed=seed,
        noise=noise,
        workers=workers,
        address=address,
        run=run,
        models=models,
    )
    show(train_ppo(order), as_json, print_trained)
