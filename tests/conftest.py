"""What every test shares: compiled kernels are kept between runs, and no setting of the user's leaks in."""

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent

os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache" / "numba"))
os.environ["OMP_NUM_THREADS"] = "1"
