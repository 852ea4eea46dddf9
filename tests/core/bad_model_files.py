"""Files that are no model: each with the words by which it is refused, even when its digest fits."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import torch

from core.models.weights import encode
from tests.core.model_cases import make_model, make_network

_, BLOB = make_model()
STATE = make_network().state_dict()
FIRST = "lstm.weight_ih_l0"  # 32 x 31


class Marker:
    """What a hostile pickle looks like: opening it writes a file."""

    path = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def save(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def altered(**tensors: Any) -> bytes:
    return save({**STATE, **tensors})


def broken(value: float) -> bytes:
    tensor = STATE[FIRST].clone()
    tensor[3, 4] = value
    return altered(**{FIRST: tensor})


def rewritten(change: Callable[[str, bytes], bytes]) -> bytes:
    """The whole file again, with its records changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(BLOB)) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            target.writestr(name, change(name, source.read(name)))
    return buffer.getvalue()


def with_table(table: bytes) -> bytes:
    return rewritten(lambda name, record: table if name.endswith("data.pkl") else record)


def claiming_more() -> bytes:
    """The table says that the 32 x 31 floats of the first tensor are 64 times as many."""
    count = b"M" + struct.pack("<H", 32 * 31)
    more = b"J" + struct.pack("<i", 64 * 32 * 31)
    return rewritten(lambda name, record: record.replace(count, more, 1) if name.endswith("data.pkl") else record)


def overstated() -> bytes:
    """The archive's list says that its first record is 3 GB, as one that many records share would."""
    blob = bytearray(BLOB)
    size = blob.index(b"PK\x01\x02") + 24
    blob[size : size + 4] = struct.pack("<I", 3_000_000_000)
    return bytes(blob)


def twice() -> bytes:
    buffer = io.BytesIO(BLOB)
    with zipfile.ZipFile(buffer, "a") as target:
        target.writestr("other/data.pkl", pickle.dumps({}))
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("archive/data.pkl", b"\0" * 50_000_000)
    return buffer.getvalue()


def shuffled() -> bytes:
    """As a library writes them that keeps the output gate before the candidate."""
    gates = {}
    for name, value in STATE.items():
        parts = value.chunk(4) if name.startswith("lstm.") else ()
        gates[name] = torch.cat((parts[0], parts[1], parts[3], parts[2])) if parts else value
    return save(gates)


BAD_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", r"cannot be read as a table of numbers \(BadZipFile"),
    "truncated": (lambda: BLOB[: len(BLOB) // 2], r"cannot be read as a table of numbers \(BadZipFile"),
    "without its end": (lambda: BLOB[:-10], "cannot be read as a table of numbers"),
    "a web page": (lambda: b"<html>404 not found</html>" * 100, "cannot be read as a table of numbers"),
    "pickle code": (lambda: save({"x": Marker()}), r"want to call posix\.system, which no table of numbers needs"),
    "pickle code of protocol 4": (lambda: with_table(pickle.dumps(Marker(), 4)), "want to call something, which"),
    "a bare pickle": (lambda: pickle.dumps(Marker()), r"cannot be read as a table of numbers \(BadZipFile"),
    "bytes made in the table": (lambda: with_table(pickle.dumps(bytearray(9), 2)), r"want to call \w+\.bytearray"),
    "a table that is no pickle": (lambda: with_table(b"\xff" * 90), "cannot be read as a table of numbers"),
    "a table without end": (lambda: with_table(b"(" * 1_000_001), "have a table of contents of 1,000,001 bytes"),
    "a list of more than its file": (overstated, "claim to be larger than their file"),
    "two tables": (twice, "cannot be read as a table of numbers"),
    "a whole network": (lambda: save(make_network()), r"want to call core\.models\.lstm\.Lstm"),
    "the format of old": (lambda: save(STATE, _use_new_zipfile_serialization=False), "cannot be read as a table"),
    "a compressed bomb": (bomb, "packed in a way that nothing here packs: 1 records"),
    "a claim of more than its file": (claiming_more, "cannot be read as a table of numbers"),
    "no table but a list": (lambda: save(list(STATE.values())), "are a list, not a table of tensors"),
    "a number beside the tensors": (lambda: altered(epoch=3), "have a int under 'epoch', not a tensor"),
    "a tensor without a name": (lambda: save({**STATE, 7: STATE[FIRST]}), "have a Tensor under '7', not a tensor"),
    "a missing tensor": (lambda: save({k: v for k, v in STATE.items() if k != FIRST}), f"lack {FIRST}"),
    "an extra tensor": (lambda: altered(**{"head.9.bias": torch.zeros(1)}), "have head.9.bias, which a lstm does not"),
    "fifty columns": (lambda: altered(**{FIRST: torch.zeros(32, 50)}), "32 x 50 and 32 x 31"),
    "doubles": (lambda: save({k: v.double() for k, v in STATE.items()}), "as torch.float64, not as torch.float32"),
    "halves": (lambda: altered(**{FIRST: STATE[FIRST].half()}), "as torch.float16, not as torch.float32"),
    "whole numbers": (lambda: altered(**{FIRST: STATE[FIRST].int()}), "as torch.int32, not as torch.float32"),
    "NaN": (lambda: broken(float("nan")), f"have nan in {FIRST} at place 97"),
    "infinity": (lambda: broken(float("-inf")), f"have -inf in {FIRST} at place 97"),
    "sparse": (lambda: altered(**{FIRST: STATE[FIRST].to_sparse()}), "want to call|as torch.float32"),
    "stretched": (lambda: altered(**{FIRST: torch.zeros(1).expand(32, 31)}), "of the probe, and answered"),
    "other weights": (lambda: encode(make_network(seed=2)), "input 0 of the probe, and answered"),
    "gates in another order": (shuffled, "of the probe, and answered"),
}
