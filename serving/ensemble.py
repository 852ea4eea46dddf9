"""Puts together who asks the models: their groups, who watches which of them speak, and what the desk is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from core.adapters.files.places import open_files
from core.adapters.models.folder import ModelFolder
from core.adapters.models.lines import LinesFolder
from core.bucket_address import is_bucket
from core.models.weighting import KINDS
from core.settings.declared import Settings
from serving.forecasters import GroupForecasters, ModelGroup, prepare_groups
from serving.groups import load_model_groups
from serving.handles import GroupCaller
from serving.lineup import LineupWatcher
from serving.local_models import LocalModels
from serving.models import open_shelf


class Models(NamedTuple):
    """The models of a server. `callers` are those that have to be attached to Ray Serve; in process there are none."""

    forecasters: GroupForecasters
    watcher: LineupWatcher
    callers: tuple[GroupCaller, ...] = ()


def build_models(settings: Settings) -> Models:
    """The models as the settings want them asked. None is opened, and torch is not needed, before one is promoted."""
    if settings.serving.mode == "inprocess":
        url = model_url(settings)
        return _connect(settings, [ModelGroup(KINDS, LocalModels(lambda: open_shelf(url)))])
    callers = tuple(GroupCaller(group) for group in load_model_groups(settings.serving.groups_file))
    return _connect(settings, [ModelGroup(caller.group.theories, caller) for caller in callers], callers)


def model_url(settings: Settings) -> str:
    """Where trained models lie; a folder by its whole path, for processes that begin elsewhere."""
    url = settings.models.url
    return url if is_bucket(url) else str(Path(url).resolve())


def _connect(settings: Settings, groups: Sequence[ModelGroup], callers: tuple[GroupCaller, ...] = ()) -> Models:
    url = model_url(settings)
    files = open_files(url)
    watcher = LineupWatcher(
        ModelFolder(files),
        LinesFolder(files),
        lambda versions: prepare_groups(groups, versions),
        weights=settings.decision.ensemble_weights,
        poll_seconds=files.look_seconds,
        place="models' place" if is_bucket(url) else "model folder",
    )
    return Models(GroupForecasters(groups, watcher.lineup), watcher, callers)
