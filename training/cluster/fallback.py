"""A machine on demand where no spot machine can be had: decided from what the autoscaler said, and from nothing else.

Ray asks for the type of the highest priority at each of its looks, however often AWS refuses it, and never for another.
But it reads its configuration again at each look. So a spot type that was refused stands below the on-demand types
there for some minutes, and is asked for first again after that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from training.cluster.ray_machines import Refusal

# spot machines come back within minutes or hours; whoever asks oftener waits a boot longer for each answer
LOWERED_SECONDS: Final = 600.0

Config = Mapping[str, Any]  # Any: JSON of the autoscaler


def lowered(config: Config, refusals: Iterable[Refusal], *, now: float) -> dict[str, float]:
    """The spot types that are not asked for first, and until when. Instants are seconds since 1970.

    A refusal of the future was written before the clock was set back: it says nothing.
    """
    spot = {name for name, each in config["available_node_types"].items() if _is_spot(each)}
    until: dict[str, float] = {}
    for each in refusals:
        if each.node_type in spot and 0.0 <= now - each.at < LOWERED_SECONDS:
            until[each.node_type] = max(until.get(each.node_type, 0.0), each.at + LOWERED_SECONDS)
    return until


def reordered(config: Config, low: Iterable[str]) -> dict[str, Any]:
    """The configuration with these types below every on-demand one, in the order among themselves that they had.

    Nothing but priorities differs: another node_config, and Ray would end the machines that it has.
    """
    types, names = config["available_node_types"], set(low)
    steady = [_priority(each) for each in types.values() if not _is_spot(each) and each.get("max_workers", 0) > 0]
    if not steady or not names:
        return dict(config)
    shift = max(_priority(types[name]) for name in names) - min(steady) + 1
    return dict(config) | {
        "available_node_types": {
            name: dict(each) | {"priority": _priority(each) - shift} if name in names else each
            for name, each in types.items()
        }
    }


def tell(low: Mapping[str, float]) -> tuple[str, ...]:
    """For people.

    >>> tell({"gpu-spot": 600.0})
    ('gpu-spot: AWS refused it, so on-demand machines are asked for first until 00:10 UTC',)
    """
    return tuple(
        f"{name}: AWS refused it, so on-demand machines are asked for first until "
        f"{datetime.fromtimestamp(until, UTC):%H:%M} UTC"
        for name, until in low.items()
    )


def _is_spot(node: Config) -> bool:
    return "InstanceMarketOptions" in node["node_config"]


def _priority(node: Config) -> int:
    return int(node.get("priority", 0))
