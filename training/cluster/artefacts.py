"""What a job made, under its name in the bucket: each model with its hashes, and at last the list of all of them.

    jobs/<job>/models/<unit>/manifest.json, weights.pt, scores.npz, history.jsonl
    jobs/<job>/models/<unit>/files.json     written last of a unit: the sha256 of each of the four
    jobs/<job>/artefacts.json               written last of the job: the same of all units

A hash is taken of what was made, not of what is read back, so that whatever was changed on its way is refused. The list
stands only while no unit is left to be made; of a job without one, what is whole comes home all the same.
"""

from __future__ import annotations

import json
from functools import partial
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from core.errors import Code, CrpbotError
from core.files import Files
from core.models.manifest_text import read_manifest, write_manifest
from core.models.suitability import MOST_BYTES
from training.cluster.mail import MOST_TEXT_BYTES, job_key
from training.cluster.patience import patiently
from training.scores import Scores

if TYPE_CHECKING:
    from training.trained import Run

MANIFEST: Final = "manifest.json"
WEIGHTS: Final = "weights.pt"
SCORES: Final = "scores.npz"
HISTORY: Final = "history.jsonl"
FILES: Final = "files.json"
SEAL: Final = "artefacts.json"
DAMAGED: Final = "ARTEFACT_DAMAGED"

Hashes = dict[str, str]  # sha256 of each file, by its name


def keep_run(files: Files, job: str, unit: str, run: Run) -> None:
    """Keeps what came out of one training."""
    content = {
        MANIFEST: write_manifest(run.manifest).encode(),
        WEIGHTS: run.blob,
        SCORES: _write_scores(run.scores),
        HISTORY: "".join(json.dumps(dict(row)) + "\n" for row in run.history).encode(),
    }
    hashes = {name: sha256(piece).hexdigest() for name, piece in content.items()}
    for name, piece in {**content, FILES: json.dumps(hashes, indent=1).encode()}.items():
        patiently(files, partial(files.write, _key(job, unit, name), piece))


def is_kept(files: Files, job: str, unit: str) -> bool:
    """Whether a unit's model lies there, whole. What is damaged is trained again from its last checkpoint."""
    return patiently(files, lambda: _is_whole(files, job, unit))


def _is_whole(files: Files, job: str, unit: str) -> bool:
    if _key(job, unit, FILES) not in files.stamps(_key(job, unit, "")):
        return False
    try:
        _read_unit(files, job, unit, _read_hashes(files, _key(job, unit, FILES)))
    except CrpbotError as error:
        if error.code not in {Code.FAILED_PRECONDITION, Code.NOT_FOUND}:
            raise
        return False
    return True


def seal(files: Files, job: str) -> None:
    """Writes the list of all that the job made: from now on it can be brought home."""
    patiently(files, lambda: _write_seal(files, job))


def unseal(files: Files, job: str) -> None:
    """Takes that list away: something is left to be made. The models stay."""
    patiently(files, partial(files.remove, job_key(job, SEAL)))


def _write_seal(files: Files, job: str) -> None:
    whole = {unit: _read_hashes(files, _key(job, unit, FILES)) for unit in _kept(files, job)}
    files.write(job_key(job, SEAL), json.dumps(whole, indent=1).encode())


def _kept(files: Files, job: str) -> list[str]:
    """The units that have a list of their files."""
    under = job_key(job, "models/")
    units = [name.removeprefix(under).split("/") for name in files.stamps(under)]
    return sorted(unit for unit, *rest in units if rest == [FILES])


def fetch_whole(files: Files, job: str) -> dict[str, Run]:
    """The models that are whole, of a job that is not complete, by the names of their units."""
    found = {}
    for unit in _kept(files, job):
        try:
            found[unit] = _read_unit(files, job, unit, _read_hashes(files, _key(job, unit, FILES)))
        except CrpbotError as error:
            if error.reason != DAMAGED:
                raise
    return found


def fetch_runs(files: Files, job: str) -> dict[str, Run]:
    """All models of a sealed job by the names of their units; what is missing or was changed is refused by name.

    The seal of such a job is taken away, so that the same command has made anew what is damaged.
    """
    try:
        return {unit: _read_unit(files, job, unit, hashes) for unit, hashes in _read_seal(files, job).items()}
    except CrpbotError as error:
        if error.reason == DAMAGED:
            unseal(files, job)
        raise


def _read_seal(files: Files, job: str) -> dict[str, Hashes]:
    try:
        content = files.read(job_key(job, SEAL), most=MOST_TEXT_BYTES)
    except CrpbotError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        detail = f"job {job} has not ended with models in {files.url}: wait for its end, or run it again"
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="NOT_SEALED") from error
    hashes: dict[str, Hashes] = _parse(job_key(job, SEAL), content)
    return hashes


def _read_unit(files: Files, job: str, unit: str, hashes: Hashes) -> Run:
    from training.trained import Run  # noqa: PLC0415  # it needs torch, and whoever seals a job does not

    content = {}
    for name in (MANIFEST, WEIGHTS, SCORES, HISTORY):
        key = _key(job, unit, name)
        try:
            content[name] = files.read(key, most=MOST_BYTES)
        except CrpbotError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            raise _damaged(key, "is missing") from error
        if sha256(content[name]).hexdigest() != hashes.get(name):
            raise _damaged(key, "is not what was kept, its sha256 is another")
    rows = content[HISTORY].decode().splitlines()
    return Run(
        read_manifest(content[MANIFEST].decode()),
        content[WEIGHTS],
        _read_scores(content[SCORES]),
        tuple(json.loads(row) for row in rows),
    )


def _read_hashes(files: Files, key: str) -> Hashes:
    hashes: Hashes = _parse(key, files.read(key, most=MOST_TEXT_BYTES))
    return hashes


def _parse(key: str, content: bytes) -> dict[str, Any]:  # Any: JSON
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _damaged(key, "is no list of hashes")
    return found


def _write_scores(scores: tuple[Scores, ...]) -> bytes:
    buffer = BytesIO()
    columns = {f"{each.symbol}/{name}": getattr(each, name) for each in scores for name in Scores._fields[1:]}
    np.savez_compressed(buffer, allow_pickle=False, **columns)
    return buffer.getvalue()


def _read_scores(content: bytes) -> tuple[Scores, ...]:
    with np.load(BytesIO(content), allow_pickle=False) as found:
        symbols = dict.fromkeys(name.partition("/")[0] for name in found.files)
        return tuple(Scores(symbol, *(found[f"{symbol}/{name}"] for name in Scores._fields[1:])) for symbol in symbols)


def _damaged(key: str, why: str) -> CrpbotError:
    detail = f"{key} {why}: run the same command again, that model is made anew from its last checkpoint"
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason=DAMAGED)


def _key(job: str, unit: str, name: str) -> str:
    return job_key(job, f"models/{unit}/{name}")
