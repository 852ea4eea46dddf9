"""The deployment of the models: a process that keeps networks at hand and asks them (serving/local_models.py).

A replica starts without torch, which is installed apart (`make torch`), and without all else that costs memory: they
come in with the first model that is asked for or prepared, torch also where it was installed after the start. The
process answers the health checks of Ray Serve while its threads compute. A computation that never ends makes its own
call late, is reported to Ray Serve after a minute, and goes away with its process.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from core.analysis import Findings
from core.errors import Code, CrpbotError
from core.market import Windows
from serving.local_models import LocalModels
from serving.ray_private import listen_on_node_address_only

if TYPE_CHECKING:
    from core.models.shelf import ModelShelf

NO_TORCH: Final = "no_torch"


class Prepared(NamedTuple):
    """What a replica says of a lineup: who it is, and for each version why it cannot be used (empty: it can)."""

    pid: int
    faults: dict[str, str]


class Modeller:
    """A replica of a group of models. What it holds can be had again from the store: a call may be repeated."""

    def __init__(self, url: str, precision: str, gpus: float) -> None:
        listen_on_node_address_only()
        device = "cuda" if gpus > 0 else "cpu"
        self._models = LocalModels(lambda: open_shelf(url, device=device, precision=precision))

    async def analyze(
        self, batches: Sequence[Windows], names: Sequence[str], timeout_seconds: float, on_trial: bool = False
    ) -> list[list[Findings]]:
        """For each batch and row, what these versions say. Who is not done in time is missing, the others answer."""
        return await self._models.analyze(batches, names, timeout_seconds, on_trial=on_trial)

    async def prepare(self, versions: Sequence[str]) -> Prepared:
        """Opens a lineup beside the one that answers and tries it out; the one before it is kept too."""
        return Prepared(os.getpid(), await self._models.prepare(versions))

    async def check_health(self) -> None:
        """Asked by Ray Serve, which replaces a replica that raises. For a candidate's sake none is replaced."""
        for version, why in self._models.hung(deciding_only=True).items():
            raise RuntimeError(f"{version}: {why}")


def open_shelf(url: str, *, device: str = "cpu", precision: str = "float32") -> ModelShelf:
    """The models of a place, to be asked in this process. Raises where torch is missing or has no such device."""
    importlib.invalidate_caches()  # torch may have been installed after this process was started
    try:
        from core.adapters.files.places import open_files
        from core.adapters.models.folder import ModelFolder
        from core.models.panel import warm_up
        from core.models.shelf import ModelShelf, Precision, use_one_thread, use_whole_float32
    except (ImportError, OSError) as error:  # OSError: a library of torch's own is damaged or half installed
        why = "is not installed" if getattr(error, "name", "") == "torch" else f"cannot be imported ({error})"
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"the models compute with torch, which {why}; remedy: make torch",
            reason=NO_TORCH.upper(),
        ) from None
    use_one_thread()
    use_whole_float32()
    warm_up()
    return ModelShelf(ModelFolder(open_files(url)), device=device, precision=Precision(precision))
