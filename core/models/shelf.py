"""The networks at hand: opened from the store, tried out, and given up when two lineups have gone by without them.

A promotion opens its model here beside the one that still answers, and nothing that is asked meanwhile waits for it.
Whoever was told the lineup before may go on asking for that one, so two lineups are kept. A version that nobody
prepared, as after the restart of a process, is opened by whoever asks for it first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from core.errors import Code, CrpbotError
from core.models.manifest import Kind, Manifest
from core.models.store import ModelStore
from core.models.suitability import bad_weights
from core.models.weights import answer_probe, decode

logger = logging.getLogger(__name__)


class Precision(StrEnum):
    """The numbers that the Transformer computes in; the small networks always use float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class OpenModel(NamedTuple):
    """A network that answers, what it is, and one of its weights, which says where and in which numbers it computes."""

    manifest: Manifest
    network: nn.Module
    weight: Tensor


# What a network may answer otherwise where it is served than where it was saved, as a share of answers above 1. A GPU
# adds in another order; bfloat16 has 8 bits, of which four layers leave the first six (docs/models_served.md).
TOLERANCES: Final = {torch.float32: 1e-3, torch.bfloat16: 5e-2}


class ModelShelf:
    """The opened models of a process. Threads that answer may use it, and one that prepares."""

    def __init__(self, store: ModelStore, *, device: str = "cpu", precision: Precision = Precision.FLOAT32) -> None:
        if device != "cpu" and not torch.cuda.is_available():
            detail = "the models shall compute on a GPU, and torch finds none; remedy: gpus: 0, or make torch CUDA=yes"
            raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="NO_GPU")
        self._store = store
        self._device = torch.device(device)
        self._precision = precision
        self._open: dict[str, OpenModel] = {}
        self._before: set[str] = set()
        self._now: set[str] = set()

    @property
    def versions(self) -> tuple[str, ...]:
        """What is open."""
        return tuple(self._open)

    def find(self, version: str) -> OpenModel:
        """The opened model; one that is not open yet is opened now. Raises why it cannot be used."""
        model = self._open.get(version)
        if model is None:
            model = self._load(version)
            self._now.add(version)
            self._open[version] = model
        return model

    def prepare(self, versions: Iterable[str]) -> dict[str, str]:
        """Opens a lineup and lets go of all but it and the one before; says of each version why it cannot be used.

        An empty sentence: it can. A lineup with a faulty version is kept all the same, for the sake of the others.
        """
        wanted = tuple(dict.fromkeys(versions))
        faults = {version: self._fault(version) for version in wanted}
        self.keep(wanted)
        return faults

    def keep(self, versions: Iterable[str]) -> None:
        """These versions are the lineup now. The same lineup again changes nothing; none again lets go of all."""
        wanted = set(versions)
        if wanted != self._now:
            self._before, self._now = self._now - wanted, wanted
        elif not wanted:
            self._before = set()
        for version in tuple(self._open):
            if version not in self._now | self._before:
                self._open.pop(version, None)

    def _fault(self, version: str) -> str:
        try:
            self.find(version)
        except CrpbotError as error:
            return error.detail
        except Exception as error:  # whatever a library raises over one file: the others are prepared all the same
            logger.exception("model %s cannot be opened", version)
            return f"opening {version} raised {type(error).__name__}; the log has the trace"
        return ""

    def _load(self, version: str) -> OpenModel:
        manifest, blob = self._store.load(version)
        network = decode(manifest, blob)
        short = self._precision is Precision.BFLOAT16 and manifest.kind is Kind.TRANSFORMER
        dtype = torch.bfloat16 if short else torch.float32
        if dtype is not torch.float32 or self._device.type != "cpu":
            network.to(device=self._device, dtype=dtype)
            _try_out(manifest, network, dtype)
        return OpenModel(manifest, network, next(network.parameters()))  # to look for it costs a tenth of a millisecond


def use_one_thread() -> None:
    """This process computes each forward pass on one core: work side by side comes from more processes."""
    torch.set_num_threads(1)


def use_whole_float32() -> None:
    """This process multiplies 32-bit numbers whole, also on a GPU that would cut them to 19 bits for speed (TF32)."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def _try_out(manifest: Manifest, network: nn.Module, dtype: torch.dtype) -> None:
    """Refuse a network that answers otherwise where and as it is served than it did when it was saved."""
    tolerance = TOLERANCES[dtype]
    for place, (found, kept) in enumerate(
        zip(answer_probe(network, window=manifest.window), manifest.probe, strict=True)
    ):
        if not abs(found - kept) <= tolerance * max(1.0, abs(kept)):
            why = f"answer {found:.6g} in {str(dtype).removeprefix('torch.')} to input {place} of the probe, and "
            remedy = "gpus: 0" if dtype is torch.float32 else "precision: float32"
            raise bad_weights(manifest, f"{why}answered {kept:.6g} when they were saved; remedy: {remedy}")
