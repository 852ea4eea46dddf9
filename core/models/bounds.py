"""How large a model may be: a file that claims more is refused before any memory is taken for it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

from core.errors import invalid

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# 23 times the largest of the three; together with what a file may hold (`manifest.MOST_BYTES`) far below any memory.
MOST_PARAMETERS: Final = 20_000_000
# Each count of an architecture is at least 1 and at most this; a network of a million layers takes minutes to refuse.
MOST_LAYERS: Final = 32
MOST_WIDTH: Final = 4_096


def check_sizes(config: DataclassInstance) -> None:
    """Refuse an architecture with a count or a share that no network of ours has."""
    for each in fields(config):
        value = getattr(config, each.name)
        field = f"architecture.{each.name}"
        if isinstance(value, float):
            if not 0.0 <= value < 1.0:
                raise invalid(field, f"{value} is not within 0 .. 1", reason="OUT_OF_RANGE")
        elif not isinstance(value, bool):
            most = MOST_LAYERS if each.name in {"layers", "heads"} else MOST_WIDTH
            if not 1 <= value <= most:
                raise invalid(field, f"{value} is not within 1 .. {most}", reason="OUT_OF_RANGE")
