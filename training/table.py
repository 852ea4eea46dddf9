"""The inputs of a data set in a file instead of in memory: written once, whole or not at all, and mapped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np

from core.errors import Code, CrpbotError
from core.kernels.features import FloatMatrix


def map_table(place: Path, blocks: Sequence[FloatMatrix]) -> FloatMatrix:
    """The blocks, one below the other, as an array mapped from the file `place` (NumPy's format).

    The file is written beside its place and moved there when it is whole. The array is copy on write: torch warns of
    arrays that cannot be written, and what anybody writes into this one never reaches the file.
    """
    draft = place.with_name(f"{place.name}.{uuid4().hex}.part")
    shape = (sum(map(len, blocks)), blocks[0].shape[1])
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # written, not mapped: a full disk is then an error and not a signal that ends the process
        with draft.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype="<f4").data)
        draft.replace(place)
    except OSError as failure:
        raise CrpbotError(
            Code.FAILED_PRECONDITION,
            f"{place.parent} takes no table of {4 * shape[0] * shape[1]:,} bytes ({failure}); free space there, name "
            "another folder, or name none and keep it in memory",
            reason="TABLE_NOT_WRITTEN",
        ) from failure
    finally:
        if draft.exists():
            draft.unlink()
    mapped: FloatMatrix = np.load(place, mmap_mode="c")
    return mapped
