"""Lets a training keep the memory that one step has freed for the next step, which asks for the same again."""

from __future__ import annotations

import ctypes
from typing import Final

# Options of glibc's mallopt (malloc.h): how much free memory goes back to the system, and from which size on a block is
# the system's own and goes back whenever it is freed.
TRIM_THRESHOLD: Final = -1
MMAP_THRESHOLD: Final = -3
LARGEST: Final = 1 << 30  # bytes: more than all that a step takes


def keep_freed_memory() -> None:
    """Makes this process hold on to freed memory; where the C library has no such option nothing is done.

    A step frees tens of MiB. Given back and asked for again, every page of them is emptied by the system for each step:
    of an LSTM at 256 windows that took more time than the arithmetic.
    """
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        for name in (TRIM_THRESHOLD, MMAP_THRESHOLD):
            option(name, LARGEST)
