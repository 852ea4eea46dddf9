"""The commands that judge, promote and demote models. Imports are lazy, so that `crpbot --help` answers at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.models.place import open_models
from cli.output import show
from cli.training.commands import (
    Batch,
    Days,
    Epochs,
    Folder,
    Hidden,
    Json,
    Models,
    ModelType,
    Noise,
    OneCoin,
    OneWay,
    Preset,
    Rate,
    Seed,
    Speed,
    Stride,
)


def evaluate(
    model: Annotated[str, typer.Option(help="Version such as lstm-0f3a9c1d, or latest or promoted.")] = "latest",
    symbol: OneCoin = "BTC-USD",
    model_type: Annotated[ModelType, typer.Option(help="lstm, transformer or ppo.")] = ModelType.LSTM,
    min_accuracy: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Least win rate; below 0.68 the outcome is told, never promoted.")
    ] = 0.68,
    max_calibration_error: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Largest error; above 0.05 the outcome is told, never promoted.")
    ] = 0.05,
    data: Folder = None,
    models: Models = None,
    as_json: Json = False,
) -> None:
    """Judge a model on data that it never touched; status 1 unless it passes."""
    from cli.training.judging import Question
    from cli.training.judging import evaluate as run
    from cli.training.tables import print_judged

    question = Question(model, symbol, model_type, min_accuracy, max_calibration_error, data, open_models(models))
    found = run(question)
    show(found, as_json, print_judged)
    sys.exit(0 if found["verdict"] == "pass" else 1)


def promote(
    model: Annotated[str, typer.Argument(help="Version such as lstm-0f3a9c1d.")],
    models: Models = None,
    as_json: Json = False,
) -> None:
    """Make a model the one that serves. Refused unless its report says pass."""
    from cli.training.judging import promote as run
    from cli.training.tables import print_promoted

    show(run(model, open_models(models)), as_json, print_promoted)


def demote(
    symbol: OneCoin = "BTC-USD",
    model_type: Annotated[ModelType, typer.Option(help="lstm, transformer or ppo.")] = ModelType.LSTM,
    models: Models = None,
    as_json: Json = False,
) -> None:
    """Take the promoted model of a symbol out of service; its files stay."""
    from cli.training.judging import demote as run
    from cli.training.tables import print_demoted

    show(run(symbol, model_type, open_models(models)), as_json, print_demoted)


def walk_forward(
    symbol: OneCoin = "BTC-USD",
    folds: Annotated[int, typer.Option(min=2, max=50, help="How many times the model is trained anew.")] = 5,
    epochs: Epochs = 5,
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
    models: Models = None,
    as_json: Json = False,
) -> None:
    """Train on the past and score the span after it, again and again: does it hold at all times?"""
    from cli.training.order import Order
    from cli.training.tables import print_folds
    from cli.training.train import walk

    order = Order(
        symbol,
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
        models=open_models(models),
    )
    show(walk(order, folds), as_json, print_folds)
