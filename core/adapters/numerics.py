"""Which arithmetic this machine does: where it is the same, numbers come out the same to the last bit."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache

import numba
import numpy as np
import scipy


@cache
def numerics_fingerprint() -> str:
    """A short name for processor features and library versions.

    numpy chooses its loops by what the processor can do (its exp and log differ in the last bit with and without
    AVX-512), and numba compiles for the very processor.
    """
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    facts = {
        "machine": platform.machine(),
        "features": sorted(simd["found"]),
        "cpu": numba.core.codegen.get_host_cpu_features(),  # type: ignore[no-untyped-call]
        "numpy": np.__version__,
        "numba": numba.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
