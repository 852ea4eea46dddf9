"""The regions in which this machine ever launched a cluster, noted before each launch.

A cluster whose region was changed in the file since, or whose bucket is gone, is still found and ended.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from core.errors import Code, CrpbotError

REGIONS_FILE: Final = Path(".crpbot/cluster-regions.json")


def known_regions(cluster: str, region: str, path: Path = REGIONS_FILE) -> tuple[str, ...]:
    """Where machines of this cluster may be: the region of the file first, then those of earlier launches."""
    return tuple(dict.fromkeys((region, *_read(path).get(cluster, ()))))


def note_region(cluster: str, region: str, path: Path = REGIONS_FILE) -> None:
    """Before the first costly call. On the disk when it returns."""
    regions = _read(path)
    if region in regions.get(cluster, ()):
        return
    regions[cluster] = [*regions.get(cluster, ()), region]
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with new.open("w") as file:
        json.dump(regions, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _read(path: Path) -> dict[str, list[str]]:
    try:
        found = json.loads(path.read_text())
        return {str(name): [str(region) for region in regions] for name, regions in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError):
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"{path} cannot be read, and it says in which regions clusters were launched; remedy: look in the EC2 "
            "console of every region that you used for machines with the tag crpbot-cluster, then remove the file",
            reason="REGIONS_UNREADABLE",
        ) from None
