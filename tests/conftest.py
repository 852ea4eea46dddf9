"""What every test shares: compiled kernels are kept between runs, and no setting of the user's leaks in."""

import os
import sys
from pathlib import Path

os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(sys.prefix) / "kernels"))
os.environ["OMP_NUM_THREADS"] = "1"
