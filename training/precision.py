"""In which numbers a model is trained: the shortest that its hardware multiplies fast.

| hardware | numbers |
|---|---|
| NVIDIA from compute capability 8.0 on (A100, L4, H100) | bfloat16; what stays in 32 bits is multiplied as TF32 |
| NVIDIA with 7.0 or 7.5 (V100, T4) | float16, the loss scaled so that small gradients do not vanish |
| a processor with bfloat16 instructions (AVX-512 BF16, AMX) | bfloat16 |
| everything else | float32 |

The weights, the optimiser and every evaluation stay in float32: only the products of a training step are shortened.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from typing import Final, NamedTuple

import torch

from core.errors import invalid, unknown

BRAIN: Final = (8, 0)  # compute capability from which on CUDA multiplies bfloat16 and TF32 in its tensor cores
HALF: Final = (7, 0)  # from which on it does so with float16


class Numbers(Enum):
    """What the products of a training step are computed in."""

    FLOAT32 = "f32"
    BFLOAT16 = "bf16"
    FLOAT16 = "fp16"


DTYPES: Final = {Numbers.BFLOAT16: torch.bfloat16, Numbers.FLOAT16: torch.float16}
AUTO: Final = "auto"


class Hardware(NamedTuple):
    """What decides: the kind of device, CUDA's compute capability, whether the processor knows bfloat16."""

    kind: str
    capability: tuple[int, int] = (0, 0)
    has_bfloat16: bool = False


class Precision(NamedTuple):
    """A choice of numbers for a kind of device."""

    kind: str
    numbers: Numbers
    has_tf32: bool = False

    def autocast(self) -> AbstractContextManager[object]:
        """Within it products are computed in the chosen numbers."""
        dtype = DTYPES.get(self.numbers)
        return nullcontext() if dtype is None else torch.autocast(self.kind, dtype=dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss where the numbers are too short for small gradients; elsewhere it does nothing."""
        return torch.amp.GradScaler(self.kind, enabled=self.numbers is Numbers.FLOAT16)

    def prepare(self) -> None:
        """Sets how this process multiplies what stays in 32 bits."""
        torch.set_float32_matmul_precision("high" if self.has_tf32 else "highest")


def look_at(device: torch.device) -> Hardware:
    """The device as it is."""
    if device.type == "cuda":
        return Hardware("cuda", torch.cuda.get_device_capability(device))
    able = torch.cpu.get_capabilities()
    return Hardware("cpu", has_bfloat16=bool(able.get("avx512_bf16") or able.get("amx_bf16")))


def choose(asked: str, hardware: Hardware) -> Precision:
    """What was asked for, or with `auto` what the hardware is best at; numbers that it lacks are refused."""
    known = (AUTO, *(each.value for each in Numbers))
    if asked not in known:
        raise unknown("precision", "precision", asked, known)
    able = _able(hardware)
    numbers = able[0] if asked == AUTO else Numbers(asked)
    if numbers not in able:
        others = ", ".join(each.value for each in able)
        detail = f"{asked} is slower than f32 on this {hardware.kind} device; it is good at {others}: leave it at auto"
        raise invalid("precision", detail, reason="PRECISION_NOT_SUPPORTED")
    return Precision(hardware.kind, numbers, has_tf32=hardware.kind == "cuda" and hardware.capability >= BRAIN)


def _able(hardware: Hardware) -> tuple[Numbers, ...]:
    """The numbers that the hardware is fast in, best first."""
    if hardware.kind == "cuda":
        if hardware.capability >= BRAIN:
            return (Numbers.BFLOAT16, Numbers.FLOAT16, Numbers.FLOAT32)
        return (Numbers.FLOAT16, Numbers.FLOAT32) if hardware.capability >= HALF else (Numbers.FLOAT32,)
    return (Numbers.BFLOAT16, Numbers.FLOAT32) if hardware.has_bfloat16 else (Numbers.FLOAT32,)
