"""Where a training stands, on disk: written whole or not at all, read back to the last bit.

The file has the state, whatever the job put there as tensors, numbers and text, and the identity of the training:
settings, data and code, so that another one does not go on from here by mistake.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import torch

from core.errors import Code, CrpbotError

CHECKPOINT: Final = "checkpoint.pt"
METRICS: Final = "metrics.jsonl"
TEMPORARY: Final = ".part"

State = dict[str, Any]  # Any: tensors, numbers and the optimiser's own nested state
Row = Mapping[str, Any]  # Any: what one epoch says of itself, numbers and the name of its precision


def write_checkpoint(path: Path, state: State, *, identity: str) -> None:
    """Replaces the checkpoint in one step; when that fails the old one stays."""
    buffer = BytesIO()
    torch.save({"identity": identity, "state": state}, buffer)
    try:
        replace(path, buffer.getvalue())
    except OSError as error:
        stays = "the one before it stays" if path.exists() else "there is none yet"
        detail = (
            f"checkpoint {path}, {buffer.tell() / 1e6:.1f} MB, cannot be written: {error.strerror}; {stays}: "
            "make room and run the same command again"
        )
        raise CrpbotError(Code.RESOURCE_EXHAUSTED, detail, reason="CHECKPOINT_NOT_WRITTEN") from error


def read_checkpoint(path: Path, *, identity: str) -> State | None:
    """The state that this training left; None when there is none."""
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found, state = str(content["identity"]), dict(content["state"])
    except Exception as error:  # torch raises half a dozen kinds on a damaged file
        detail = f"checkpoint {path} cannot be read ({type(error).__name__}): delete it and train again"
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="CHECKPOINT_DAMAGED") from error
    if found != identity:
        detail = (
            f"checkpoint {path} is of a training with other settings, data or code ({found[:8]}, now {identity[:8]}): "
            "give this one another name"
        )
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="CHECKPOINT_OF_ANOTHER_RUN")
    return state


def write_metrics(path: Path, history: Sequence[Row]) -> None:
    """One line of JSON for each epoch; after a resumed run too each epoch stands there once."""
    replace(path, "".join(json.dumps(dict(row)) + "\n" for row in history).encode())


def replace(path: Path, content: bytes) -> None:
    """A file's new content: whoever reads sees the old or the new one, also after a loss of power."""
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(path.name + TEMPORARY)
    try:
        with place.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        place.replace(path)
    except OSError:
        with suppress(OSError):
            place.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
