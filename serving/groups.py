"""How the theories are spread over processes: a YAML file, checked before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import Code, CrpbotError

SHIPPED: Final = Path(__file__).with_name("groups.yaml")
THE_REST: Final = "*"


@dataclass(frozen=True, slots=True)
class Group:
    """One Serve deployment of analysts."""

    name: str
    theories: tuple[str, ...]
    replicas: int
    cpus: float
    concurrency: int


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$")
    theories: list[str] | str
    replicas: int = Field(default=1, ge=1, le=64)
    cpus: float = Field(default=0.1, ge=0, le=64)
    concurrency: int = Field(default=2, ge=1, le=16)


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    groups: list[_Entry] = Field(min_length=1)


def load_groups(path: Path | None, known: Sequence[str]) -> tuple[Group, ...]:
    """The groups of a file (None: the shipped one). Every known theory must stand in exactly one group."""
    source = path or SHIPPED
    try:
        content: Any = yaml.safe_load(source.read_bytes())  # Any: whatever the file holds; checked in the next line
        entries = _File.model_validate(content).groups
    except OSError as error:
        raise _bad(source, f"cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise _bad(source, f"is no YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise _bad(source, f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}") from None
    return _assign(source, entries, known)


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
    if len({entry.name for entry in entries}) < len(entries):
        raise _bad(source, "two groups have one name")
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
