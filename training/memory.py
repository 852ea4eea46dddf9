"""Lets a training keep the memory that one step has freed for the next step, which asks for the same again."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

# Options of glibc's mallopt (malloc.h): how much free memory goes back to the system, and how many blocks may be the
# system's own, each of which goes back whenever it is freed. (From which size on a block is one of those can be told
# too, but glibc up to 2.34 takes no more than 32 MiB for it.)
TRIM_THRESHOLD: Final = -1
MMAP_MAX: Final = -4
LARGEST: Final = 1 << 30  # bytes: more than all that a step takes
NONE: Final = 0
USUAL: Final = 65_536  # blocks of the system's own, where nobody said anything

Mallopt = Callable[[int, int], int]
"""The C library's own: takes an option and its value, and says 1 where it has taken it."""


def keep_freed_memory(mallopt: Mallopt | None = None) -> bool:
    """Makes this process hold on to freed memory and says whether it does; where that is refused all stays as it was.

    A step frees tens of MiB. Given back and asked for again, every page of them is emptied by the system for each step:
    of an LSTM at 256 windows that took more time than the arithmetic. The trim threshold alone is worse than nothing:
    it stops the C library from learning by itself which blocks not to ask the system for.
    """
    option = mallopt or _find()
    if option is None or not option(MMAP_MAX, NONE):
        return False
    if not option(TRIM_THRESHOLD, LARGEST):
        option(MMAP_MAX, USUAL)
        return False
    return True


def _find() -> Mallopt | None:
    """The C library's, where it has one."""
    found: Any = getattr(ctypes.CDLL(None), "mallopt", None)  # Any: ctypes knows no signature
    return None if found is None else lambda name, value: int(found(name, value))
