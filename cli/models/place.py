"""Where the commands find the models: the folder or bucket that `--models` names, else that of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core.bucket_address import is_bucket
from core.errors import CrpbotError
from core.files import Files

MODELS_FOLDER: Final = Path("data/models")  # of trainings whose models go into a bucket: their checkpoints stay here
RUNS: Final = "runs"  # where checkpoints and losses lie, below the folder of the models


def open_models(named: str | None) -> Files:
    """The place of that address; unset, where a server of this folder and environment has its models."""
    from core.adapters.files.places import open_files

    return open_files(usual_models() if named is None else named)


def usual_models() -> str:
    """The setting."""
    from serving.configuration import load

    return load().settings.models.url


def is_usual(models: Files) -> bool:
    """Whether commands find that place by themselves. Settings that cannot be read name none."""
    try:
        return models.url == usual_models()
    except CrpbotError:
        return False


def runs_of(models: Files) -> Path:
    """The folder of the runs: beside the models, or on this machine where they are in a bucket."""
    return (MODELS_FOLDER if is_bucket(models.url) else Path(models.url)) / RUNS
