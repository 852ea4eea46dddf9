"""After the warm-up no request compiles anything: every kernel has met every kind of array that requests bring."""

from __future__ import annotations

import gc
import pickle
from typing import Any

from numba.core.registry import CPUDispatcher

from core.analyzers import discover, evaluate
from core.market import SYMBOLS, Windows, stack_windows
from core.panel import Samples, warm_up
from serving.analysts import samples
from tests.fakes import walk_candles


def compiled() -> dict[str, int]:
    """How many kinds of arguments each of our kernels has been compiled for."""
    kernels = [found for found in gc.get_objects() if type(found) is CPUDispatcher]
    ours = [kernel for kernel in kernels if kernel.py_func.__module__.startswith("core.")]
    return {f"{kernel.py_func.__module__}.{kernel.py_func.__name__}": len(kernel.signatures) for kernel in ours}


def out_of_band(windows: Windows) -> Windows:
    """As the windows arrive in a replica: their arrays lie in memory that may not be written."""
    buffers: list[Any] = []
    stream = pickle.dumps(windows, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(stream, buffers=[bytes(buffer) for buffer in buffers])


def test_no_request_compiles_a_kernel(monkeypatch: Any) -> None:
    from core.analyzers import monte_carlo

    monkeypatch.setattr(monte_carlo, "PATHS", 64)
    warm_up(samples(), tuple(discover()))
    before = compiled()
    assert len(before) > 20
    fits = Samples()
    for rows in (1, 2, 10):
        asked = stack_windows([walk_candles(symbol, "5m", 500) for symbol in SYMBOLS[:rows]], 500)
        for windows in (asked, out_of_band(asked), asked.row(0), asked.rows(slice(0, 1))):
            for analyzer in discover().values():
                evaluate(analyzer, windows, fits)
    assert compiled() == before
