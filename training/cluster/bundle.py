"""The programs that a machine of the cluster runs, as one small archive that is named by what is in it.

The same files make the same bytes, on any day and in any checkout, so that code which the bucket has is not sent again
and a job's name says which code it ran. Nothing but the lists below goes in: no .env, no candles, no tests.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from core.errors import Code, CrpbotError

CHECKOUT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("core", "training")  # what head, worker and job import; a test follows their imports
SUFFIXES: Final = frozenset({".py", ".toml", ".sh", ".json", ".yaml"})  # programs and the tables that they read
BESIDE: Final = (
    *("pyproject.toml", "requirements.lock", "requirements-torch.txt"),
    "scripts/install_torch.py",  # the version of torch that this code was tested with
)
NO_DAY: Final = (1980, 1, 1, 0, 0, 0)  # a zip must name one; this is the first it can
PLAIN_FILE: Final = 0o100644 << 16  # whatever the checkout's rights are
MOST_BYTES: Final = 8_000_000  # ten times what it is: more means that something else got in


def code_key(sha: str) -> str:
    """Where an archive lies in the bucket."""
    return f"code/{sha}.zip"


def pack_code(root: Path = CHECKOUT) -> tuple[bytes, str]:
    """The archive and its sha256; FAILED_PRECONDITION where `root` is not a checkout of the project."""
    missing = [
        name for name in (*BESIDE, *(f"{package}/__init__.py" for package in PACKAGES)) if not (root / name).is_file()
    ]
    if missing:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"the code cannot be packed for the cluster: {root} has no {missing[0]}; remedy: run crpbot from a "
            "checkout of the project (an installed package lacks its lock files)",
            reason="NOT_A_CHECKOUT",
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(_files(root)):
            entry = zipfile.ZipInfo(path, NO_DAY)
            entry.create_system, entry.external_attr = 3, PLAIN_FILE  # 3: Unix, on every system
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (root / path).read_bytes())
    packed = buffer.getvalue()
    if len(packed) > MOST_BYTES:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"the code for the cluster has {len(packed):,} bytes, the limit is {MOST_BYTES:,}; remedy: take large "
            f"files that are not code out of {' and '.join(PACKAGES)}",
            reason="BUNDLE_TOO_LARGE",
        )
    return packed, sha256(packed).hexdigest()


def _files(root: Path) -> Iterator[str]:
    yield from BESIDE
    for package in PACKAGES:
        for path in (root / package).rglob("*"):
            inside = path.relative_to(root)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
            if path.suffix in SUFFIXES and not hidden and path.is_file() and not path.is_symlink():
                yield inside.as_posix()
