"""How theories and models are spread over processes: a YAML file, checked before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import Code, CrpbotError
from core.models.weighting import KINDS

SHIPPED: Final = Path(__file__).with_name("groups.yaml")
THE_REST: Final = "*"


Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Group:
    """One Serve deployment: of analysts, or of models, whose kinds then stand in the place of theories."""

    name: str
    theories: tuple[str, ...]
    replicas: int
    cpus: float
    concurrency: int
    gpus: float = 0.0
    precision: Precision = "float32"


class _Deployed(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$")
    replicas: int = Field(default=1, ge=1, le=64)
    cpus: float = Field(default=0.1, ge=0, le=64)
    concurrency: int = Field(default=2, ge=1, le=16)


class _Entry(_Deployed):
    theories: list[str] | str


class _ModelEntry(_Deployed):
    kinds: list[str] = Field(min_length=1)
    gpus: float = Field(default=0.0, ge=0, le=16)
    precision: Precision = "float32"


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    groups: list[_Entry] = Field(min_length=1)
    models: list[_ModelEntry] | None = None


def load_groups(path: Path | None, known: Sequence[str]) -> tuple[Group, ...]:
    """The groups of a file (None: the shipped one). Every known theory must stand in exactly one group."""
    source = path or SHIPPED
    return _assign(source, _read(source).groups, known)


def load_model_groups(path: Path | None) -> tuple[Group, ...]:
    """The groups of models of a file, or the shipped ones where it names none. Each kind stands in just one group."""
    source = path or SHIPPED
    entries = _models(_read(source))
    owner: dict[str, str] = {}
    for entry in entries:
        for kind in entry.kinds:
            if kind not in KINDS:
                raise _bad(source, f"group {entry.name}: unknown kind {kind!r} of model; known are {', '.join(KINDS)}")
            if kind in owner:
                raise _bad(source, f"kind {kind} stands in group {owner[kind]} and in group {entry.name}")
            owner[kind] = entry.name
        if entry.precision == "bfloat16" and "transformer" not in entry.kinds:
            raise _bad(source, f"group {entry.name}: bfloat16 is for the transformer, which it does not have")
        if 1 < entry.gpus != round(entry.gpus):
            raise _bad(source, f"group {entry.name}: {entry.gpus} gpus; a replica has a share below 1 or whole ones")
    lacking = [kind for kind in KINDS if kind not in owner]
    if lacking:
        raise _bad(source, f"no group of models has {', '.join(lacking)}; each kind stands in one")
    return tuple(
        Group(
            entry.name, tuple(entry.kinds), entry.replicas, entry.cpus, entry.concurrency, entry.gpus, entry.precision
        )
        for entry in entries
    )


def _read(source: Path) -> _File:
    try:
        content: Any = yaml.safe_load(source.read_bytes())  # Any: whatever the file holds; checked in the next line
        file = _File.model_validate(content)
    except OSError as error:
        raise _bad(source, f"cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise _bad(source, f"is no YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise _bad(source, f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}") from None
    names = [entry.name for entry in chain(file.groups, _models(file))]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise _bad(source, f"two groups have one name, {double}; those of models count too")
    return file


def _models(file: _File) -> Sequence[_ModelEntry]:
    """A file from before there were models, or one that does not care, gets the shipped groups of them."""
    if file.models is not None:
        return file.models
    shipped = _File.model_validate(yaml.safe_load(SHIPPED.read_bytes()))
    assert shipped.models is not None, "the shipped file has groups of models"
    return shipped.models


def _assign(source: Path, entries: Sequence[_Entry], known: Sequence[str]) -> tuple[Group, ...]:
    owner: dict[str, str] = {}
    for entry in entries:
        for theory in entry.theories if isinstance(entry.theories, list) else ():
            if theory not in known:
                raise _bad(source, f"group {entry.name}: unknown theory {theory!r}; known are {', '.join(known)}")
            if theory in owner:
                raise _bad(source, f"theory {theory} stands in group {owner[theory]} and in group {entry.name}")
            owner[theory] = entry.name
    rest = tuple(theory for theory in known if theory not in owner)
    takers = [entry.name for entry in entries if isinstance(entry.theories, str)]
    if any(entry.theories != THE_REST for entry in entries if isinstance(entry.theories, str)) or len(takers) > 1:
        raise _bad(source, 'theories is a list of names, or "*" in at most one group')
    if rest and not takers:
        raise _bad(source, f"no group has {', '.join(rest)}; name them, or give one group the theories {THE_REST!r}")
    return tuple(
        Group(
            entry.name,
            tuple(entry.theories) if isinstance(entry.theories, list) else rest,
            entry.replicas,
            entry.cpus,
            entry.concurrency,
        )
        for entry in entries
    )


def _bad(source: Path, detail: str) -> CrpbotError:
    return CrpbotError(Code.INVALID_ARGUMENT, f"{source}: {detail}", reason="BAD_GROUPS_FILE")
