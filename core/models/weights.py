"""A network as bytes and back: nothing in the file is run, and what comes out is the network that went in.

`decode` checks from the cheap to the dear: the digest, what the file's table of contents claims, the names it would
call, then shapes, kinds and values of the numbers, and at last what the network answers to a fixed batch. Only the last
finds what no table shows: a version of this code, or of torch, that computes something else from the same numbers.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import MISSING, asdict, fields
from hashlib import sha256
from itertools import zip_longest
from pickle import UnpicklingError
from typing import Any, Final, NamedTuple
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import CrpbotError
from core.fitted import Wanted
from core.models import lstm, policy, transformer
from core.models.bounds import MOST_PARAMETERS
from core.models.manifest import Kind, Manifest, damaged
from core.models.suitability import MOST_BYTES, bad_weights, check_blob, check_features, check_wanted

NETWORKS: Final[Mapping[Kind, tuple[type[nn.Module], Any]]] = {
    Kind.LSTM: (lstm.Lstm, lstm.Config),
    Kind.TRANSFORMER: (transformer.Transformer, transformer.Config),
    Kind.PPO: (policy.Policy, policy.Config),
}
PROBE_ROWS: Final = 8
PROBE_SEED: Final = 20_170_612
"""Any would do; it never changes, or no model saved before could be opened."""
# Processors add in another order: over code for SSE4, AVX2 and AVX-512 and one or two threads, answers of up to 5.6
# differed by at most 1.1e-5 (docs/models.md). Another activation, another order of the gates or of the positions
# changes those of an untrained network by 1.4e-2 and more.
PROBE_TOLERANCE: Final = 1e-4
# What a table of numbers needs and nothing else; the kinds of storage are judged as kinds of numbers later.
TABLE_NAMES: Final = {"torch._utils _rebuild_tensor_v2", "collections OrderedDict"}
MOST_RECORDS: Final = 2_000
MOST_TABLE_BYTES: Final = 1_000_000
# What opening a file that something else wrote, or half wrote, can raise.
DAMAGES: Final = (
    UnpicklingError, BadZipFile, RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError,
    OverflowError, NotImplementedError, RecursionError, MemoryError,
)  # fmt: skip


class Packed(NamedTuple):
    """A network ready to be kept, and what its manifest says of it."""

    blob: bytes
    architecture: dict[str, int | float | bool]
    parameters: int
    sha256: str
    probe: tuple[float, ...]


def pack(network: nn.Module, *, window: int) -> Packed:
    """Everything of a manifest that the network itself knows. The network is left as it is, on its device."""
    copy = deepcopy(network).to(device="cpu", dtype=torch.float32)
    blob = encode(copy)
    config: Any = copy.config  # Any: each network has its own Config
    return Packed(blob, asdict(config), config.parameters, sha256(blob).hexdigest(), answer_probe(copy, window=window))


def encode(network: nn.Module) -> bytes:
    """The weights as float32 on the CPU; the same weights give the same bytes."""
    state = {
        name: value.detach().to(device="cpu", dtype=torch.float32, copy=True).contiguous()
        for name, value in network.state_dict().items()
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def decode(manifest: Manifest, blob: bytes, *, wanted: Wanted | None = None) -> nn.Module:
    """The network of a manifest with these weights, ready to answer on the market that is wanted.

    Every fault is one sentence. Whoever asks for many windows, as a back-test does, checks each with `check_wanted`.
    """
    check_features(manifest)
    if wanted is not None:
        check_wanted(manifest, wanted)
    check_blob(manifest, blob)
    network = build(manifest)
    _check_container(manifest, blob)
    found = _open(manifest, blob)
    _check_table(manifest, found, network.state_dict())
    network.load_state_dict(found)
    network.eval().requires_grad_(requires_grad=False)
    _check_probe(manifest, answer_probe(network, window=manifest.window))
    return network


def build(manifest: Manifest) -> nn.Module:
    """The network that a manifest describes, with weights as they come; its size is checked before it takes memory."""
    make, config = NETWORKS[manifest.kind][0], _configure(manifest)
    count = config.parameters
    if count > MOST_PARAMETERS:
        raise damaged("architecture", f"has {count:,} parameters, at most {MOST_PARAMETERS:,} are allowed")
    if count != manifest.parameters:
        raise damaged("parameters", f"says {manifest.parameters:,}, the architecture has {count:,}")
    with torch.random.fork_rng(devices=[]):  # the random numbers of whoever loads a model stay as they are
        return make(config)


def answer_probe(network: nn.Module, *, window: int) -> tuple[float, ...]:
    """What a network says to eight fixed random inputs: its logits, and for a policy the values after them."""
    config: Any = network.config  # Any: each network has its own Config
    shape = (config.observations,) if isinstance(config, policy.Config) else (window, config.features)
    # the one generator of numpy whose numbers are promised never to change
    noise = np.random.RandomState(PROBE_SEED).standard_normal((PROBE_ROWS, *shape))
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            answer = network(torch.from_numpy(noise.astype(np.float32)).to(next(network.parameters())))
    finally:
        network.train(training)
    parts = answer if isinstance(answer, tuple) else (answer,)
    return tuple(float(each) for part in parts for each in part.flatten())


def _configure(manifest: Manifest) -> Any:
    """The Config of the manifest's architecture, with exactly its fields of exactly their kinds."""
    shape = NETWORKS[manifest.kind][1]
    samples = {each.name: 1 if each.default is MISSING else each.default for each in fields(shape)}
    for name in samples:
        if name not in manifest.architecture:
            raise damaged(f"architecture.{name}", "is missing")
    for name, value in manifest.architecture.items():
        if name not in samples:
            raise damaged(f"architecture.{name[:80]}", f"is unknown to a {manifest.kind}")
        if type(value) is not type(samples[name]):
            raise damaged(f"architecture.{name}", f"{value!r} is not of the kind of {samples[name]!r}")
    config = shape(**manifest.architecture)
    inputs = config.observations if manifest.kind is Kind.PPO else config.features
    columns = len(manifest.features) + len(manifest.state)
    if inputs != columns:
        raise damaged("architecture", f"reads {inputs} columns, the manifest names {columns}")
    return config


def _check_container(manifest: Manifest, blob: bytes) -> None:
    """What can be known of the file without opening it as torch does: no bomb, and no call but those of a table."""
    try:
        with ZipFile(io.BytesIO(blob)) as archive:
            records = archive.infolist()
            if len(records) > MOST_RECORDS or any(each.compress_type != ZIP_STORED for each in records):
                raise bad_weights(manifest, f"are packed in a way that nothing here packs: {len(records)} records")
            if sum(each.file_size for each in records) > min(len(blob), MOST_BYTES):
                raise bad_weights(manifest, "claim to be larger than their file")
            (table,) = [each for each in records if each.filename.endswith("data.pkl")]
            if table.file_size > MOST_TABLE_BYTES:
                raise bad_weights(manifest, f"have a table of contents of {table.file_size:,} bytes")
            _check_calls(manifest, archive.read(table))
    except DAMAGES as error:
        raise _unreadable(manifest, error) from None


def _check_calls(manifest: Manifest, table: bytes) -> None:
    """Refuse a table that names anything to call but the making of a tensor."""
    for code, argument, _ in pickletools.genops(table):
        is_known = code.name == "GLOBAL" and (argument in TABLE_NAMES or _is_storage(str(argument)))
        if code.name in {"GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"} and not is_known:
            what = str(argument).replace(" ", ".")[:80] if argument else "something"
            raise bad_weights(manifest, f"want to call {what}, which no table of numbers needs; nothing was run")


def _is_storage(name: str) -> bool:
    module, _, what = name.partition(" ")
    return module == "torch" and what.endswith("Storage")


def _open(manifest: Manifest, blob: bytes) -> dict[str, Tensor]:
    try:
        found = torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True)
    except DAMAGES as error:
        raise _unreadable(manifest, error) from None
    if not isinstance(found, dict):
        raise bad_weights(manifest, f"are a {type(found).__name__}, not a table of tensors")
    for name, value in found.items():
        if not isinstance(name, str) or type(value) is not Tensor:
            raise bad_weights(manifest, f"have a {type(value).__name__} under {str(name)[:80]!r}, not a tensor")
    return found


def _check_table(manifest: Manifest, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse the first tensor that is missing, unknown, of another shape or kind, or not a number throughout."""
    for name in wanted:
        if name not in found:
            raise bad_weights(manifest, f"lack {name}")
    for name in found:
        if name not in wanted:
            raise bad_weights(manifest, f"have {name[:80]}, which a {manifest.kind} does not")
    for name, tensor in wanted.items():
        value = found[name]
        if value.shape != tensor.shape:
            shapes = " and ".join(" x ".join(str(size) for size in each.shape) for each in (value, tensor))
            raise bad_weights(manifest, f"have {name} of another shape than the architecture: {shapes}")
        if value.dtype != torch.float32 or value.layout != torch.strided:
            raise bad_weights(manifest, f"have {name} as {value.dtype}, not as torch.float32")
        finite = torch.isfinite(value)
        if not finite.all():
            place = int((~finite).flatten().nonzero()[0])
            raise bad_weights(manifest, f"have {value.flatten()[place]} in {name} at place {place}")


def _check_probe(manifest: Manifest, answers: tuple[float, ...]) -> None:
    """Refuse a network that answers otherwise than when it was saved."""
    for place, (found, wanted) in enumerate(zip_longest(answers, manifest.probe, fillvalue=float("nan"))):
        if not abs(found - wanted) <= PROBE_TOLERANCE * max(1.0, abs(wanted)):
            raise bad_weights(
                manifest,
                f"answer {found:.6g} to input {place} of the probe, and answered {wanted:.6g} when they were saved: "
                f"this version computes something else from them; remedy: train again",
            )


def _unreadable(manifest: Manifest, error: Exception) -> CrpbotError:
    words = (str(error).strip() or "empty").splitlines()[0][:120]
    return bad_weights(manifest, f"cannot be read as a table of numbers ({type(error).__name__}: {words})")
