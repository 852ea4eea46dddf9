"""The commands that train, judge and promote models. Imports are lazy, so that `crpbot --help` answers at once."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.cluster.options import (
    CLUSTER_FILE,
    DOLLARS,
    HOURS,
    IDLE_MINUTES,
    Aws,
    AwsOptions,
    Bucket,
    Detach,
    File,
    IdleMinutes,
    MaxDollars,
    MaxHours,
    Region,
    Yes,
)
from cli.models.place import open_models
from cli.output import show

if TYPE_CHECKING:
    from cli.training.order import Order

train = typer.Typer(help="Train a model and judge it: lstm, transformer, ppo.", no_args_is_help=True)

MOST_DAYS: Final = 1_461  # four years of minutes take 250 MiB


class ModelType(StrEnum):
    """What a model is."""

    LSTM = "lstm"
    TRANSFORMER = "transformer"
    PPO = "ppo"


class Preset(StrEnum):
    """The original batch size and learning rate, or larger ones: fewer steps, and models that are no worse."""

    ORIGINAL = "original"
    FAST = "fast"


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Models = Annotated[
    str | None, typer.Option("--models", help="Folder of the models, or s3://bucket/prefix; else ARTIFACT_URL.")
]
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
OneWay = Annotated[bool, typer.Option("--unidirectional", help="Read forwards only: faster.")]
Speed = Annotated[Preset, typer.Option("--preset", help="original or fast: batch size and learning rate.")]
Batch = Annotated[int | None, typer.Option(min=1, max=65_536, help="Windows a step, where not the preset's.")]
Rate = Annotated[
    float | None,
    typer.Option("--learning-rate", min=1e-8, max=1.0, help="How far a step goes, where not the preset's."),
]
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
    unidirectional: OneWay = False,
    preset: Speed = Preset.ORIGINAL,
    batch: Batch = None,
    learning_rate: Rate = None,
    workers: Workers = 1,
    address: Address = None,
    run: Run = None,
    models: Models = None,
    aws: Aws = False,
    yes: Yes = False,
    max_hours: MaxHours = HOURS,
    max_dollars: MaxDollars = DOLLARS,
    idle_minutes: IdleMinutes = IDLE_MINUTES,
    detach: Detach = False,
    bucket: Bucket = None,
    region: Region = None,
    file: File = CLUSTER_FILE,
    as_json: Json = False,
) -> None:
    """Train the up/down model of a coin, judge it on untouched data, and say what to do next."""
    from cli.training.order import Order
    from cli.training.tables import print_trained
    from cli.training.train import train_lstm

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
        batch=batch,
        learning_rate=learning_rate,
        workers=workers,
        address=address,
        run=run,
        models=open_models(models),
    )
    options = AwsOptions(file, region, bucket, max_hours, max_dollars, idle_minutes, yes, detach)
    if on_aws("lstm", order, options, aws=aws, as_json=as_json):
        return
    rows = train_lstm(order, bucket=bucket)
    show(rows, as_json, print_trained)
    sys.exit(1 if any("refused" in row for row in rows) else 0)


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
    preset: Speed = Preset.ORIGINAL,
    batch: Batch = None,
    learning_rate: Rate = None,
    workers: Workers = 1,
    address: Address = None,
    run: Run = None,
    models: Models = None,
    aws: Aws = False,
    yes: Yes = False,
    max_hours: MaxHours = HOURS,
    max_dollars: MaxDollars = DOLLARS,
    idle_minutes: IdleMinutes = IDLE_MINUTES,
    detach: Detach = False,
    bucket: Bucket = None,
    region: Region = None,
    file: File = CLUSTER_FILE,
    as_json: Json = False,
) -> None:
    """Train the model of trend strength over all coins, judge it on untouched data, and say what to do next."""
    from cli.training.order import Order
    from cli.training.tables import print_trained
    from cli.training.train import train_transformer

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
        batch=batch,
        learning_rate=learning_rate,
        workers=workers,
        address=address,
        run=run,
        models=open_models(models),
    )
    options = AwsOptions(file, region, bucket, max_hours, max_dollars, idle_minutes, yes, detach)
    if on_aws("transformer", order, options, aws=aws, as_json=as_json):
        return
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
    models: Models = None,
    aws: Aws = False,
    yes: Yes = False,
    max_hours: MaxHours = HOURS,
    max_dollars: MaxDollars = DOLLARS,
    idle_minutes: IdleMinutes = IDLE_MINUTES,
    detach: Detach = False,
    bucket: Bucket = None,
    region: Region = None,
    file: File = CLUSTER_FILE,
    as_json: Json = False,
) -> None:
    """Train the agent that trades under costs and the firm's limits, and judge it on untouched data."""
    from cli.training.order import Order
    from cli.training.tables import print_trained
    from cli.training.train import train_ppo

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
        models=open_models(models),
    )
    options = AwsOptions(file, region, bucket, max_hours, max_dollars, idle_minutes, yes, detach)
    if on_aws("ppo", order, options, aws=aws, as_json=as_json):
        return
    show(train_ppo(order), as_json, print_trained)


def on_aws(kind: str, order: Order, options: AwsOptions, *, aws: bool, as_json: bool) -> bool:
    """Trains on a cluster where that is wanted; what only means something there is refused elsewhere."""
    if not aws:
        options.check_alone()
        return False
    from cli.training.by_aws import run
    from core.models.manifest import Kind

    run(Kind(kind), order, options, as_json=as_json)
    return True
