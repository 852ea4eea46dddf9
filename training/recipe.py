"""How a network is to learn, out of the few words of an order: on a laptop and on a cluster the same settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from training.cluster.order import Recipe

if TYPE_CHECKING:
    from training import lstm, ppo, transformer

Config = TypeVar("Config", "lstm.Config", "transformer.Config")
FAST = "fast"  # the preset of larger batches; every other one is the original


def lstm_config(recipe: Recipe) -> lstm.Config:
    """The settings of one coin's LSTM."""
    from core.models.lstm import BIDIRECTIONAL, UNIDIRECTIONAL  # noqa: PLC0415  # they need torch
    from training import lstm  # noqa: PLC0415

    config = _as_told(lstm.FAST if recipe.preset == FAST else lstm.ORIGINAL, recipe)
    shape = UNIDIRECTIONAL if recipe.unidirectional else BIDIRECTIONAL
    if recipe.hidden is not None:
        shape = replace(shape, hidden=recipe.hidden, head=recipe.hidden)
    return replace(config, architecture=shape)


def transformer_config(recipe: Recipe) -> transformer.Config:
    """The settings of the Transformer over all coins."""
    from core.models.transformer import STANDARD  # noqa: PLC0415
    from training import transformer  # noqa: PLC0415

    config = _as_told(transformer.FAST if recipe.preset == FAST else transformer.ORIGINAL, recipe)
    if recipe.hidden is not None:
        config = replace(config, architecture=replace(STANDARD, width=recipe.hidden))
    return config


def ppo_config(recipe: Recipe) -> ppo.Config:
    """The settings of one coin's agent."""
    from training import ppo  # noqa: PLC0415

    return ppo.Config(steps=recipe.steps, seed=recipe.seed)


def _as_told(config: Config, recipe: Recipe) -> Config:
    """The settings of a preset, with those that the recipe names itself."""
    named = {"stride": recipe.stride, "batch": recipe.batch, "learning_rate": recipe.learning_rate}
    own: Any = {name: value for name, value in named.items() if value is not None}  # Any: int or float by its name
    return replace(config, epochs=recipe.epochs, seed=recipe.seed, **own)
