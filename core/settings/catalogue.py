"""The list of all settings, read off their declarations, and the typed settings made from texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Final, Literal, NamedTuple, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from core.settings.declared import Section, Settings
from core.settings.values import Allowed, Named

PREFIX: Final = "CRPBOT__"
BOUNDS: Final = ("ge", "le", "max_length")
KINDS: Final[Mapping[object, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    str: "a text",
    Path: "a path",
    SecretStr: "a text",
}


@dataclass(frozen=True, slots=True)
class Declaration:
    """One setting as it is declared: its name outside, its place inside, and what it may hold."""

    name: str
    old_names: tuple[str, ...]
    section: str
    key: str
    secret: bool
    default: object
    allowed: str
    meaning: str

    @property
    def file_name(self) -> str | None:
        """The name under which the path of a file with the secret may be given."""
        return f"{self.name}_FILE" if self.secret else None

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every name under which this setting may be given."""
        file_names = (self.file_name,) if self.file_name else ()
        return (self.name, *file_names, *self.old_names)

    @property
    def derived_name(self) -> str:
        """What the setting would be called after its place."""
        return derived_name(self.section, self.key)


class Conflict(NamedTuple):
    """Settings that are each right and cannot stand together."""

    names: tuple[str, ...]
    detail: str


def derived_name(section: str, key: str) -> str:
    """`CRPBOT__SECTION__KEY`."""
    return f"{PREFIX}{section}__{key}".upper()


@cache
def sections() -> Mapping[str, type[Section]]:
    """The sections in the order of their declaration."""
    kinds = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Section)}


@cache
def catalogue() -> tuple[Declaration, ...]:
    """Every setting, in the order of its declaration."""
    return tuple(
        _declare(section, key, field)
        for section, kind in sections().items()
        for key, field in kind.model_fields.items()
    )


def build(texts: Mapping[str, str]) -> Settings:
    """The typed settings made of texts by name; what has no text gets its default."""
    places: dict[str, dict[str, str]] = {}
    for declaration in catalogue():
        if declaration.name in texts:
            places.setdefault(declaration.section, {})[declaration.key] = texts[declaration.name]
    return Settings.model_validate(places)


def find_misfits(texts: Mapping[str, str]) -> tuple[Declaration, ...]:
    """The settings whose text is not allowed. Only places are taken from the validator: its messages show inputs."""
    try:
        build(texts)
    except ValidationError as error:
        places = {issue["loc"][:2] for issue in error.errors(include_url=False, include_context=False)}
        return tuple(each for each in catalogue() if (each.section, each.key) in places)
    return ()


def find_conflicts(settings: Settings) -> tuple[Conflict, ...]:
    """What is refused about the settings as a whole."""
    found = []
    if settings.runtime.mode == "live" and settings.market.provider == "synthetic":
        found.append(
            Conflict(
                ("RUNTIME_MODE", "DATA_PROVIDER"),
                "live cannot run on the synthetic market, whose prices are invented; "
                "set RUNTIME_MODE=dryrun or another DATA_PROVIDER",
            )
        )
    ports: dict[int, str] = {}
    for name, port in _ports(settings):
        if port in ports:
            found.append(Conflict((name, ports[port]), f"both are port {port}; give each a port of its own"))
        ports.setdefault(port, name)
    return tuple(found)


def _ports(settings: Settings) -> tuple[tuple[str, int], ...]:
    return (
        (derived_name("http", "port"), settings.http.port),
        (derived_name("grpc", "port"), settings.grpc.port),
        (derived_name("ray", "dashboard_port"), settings.ray.dashboard_port),
    )


def _declare(section: str, key: str, field: FieldInfo) -> Declaration:
    named = next((each for each in field.metadata if isinstance(each, Named)), Named(derived_name(section, key)))
    kind = _kind(field)
    return Declaration(
        name=named.name,
        old_names=named.old,
        section=section,
        key=key,
        secret=kind is SecretStr,
        default=field.default,
        allowed=_allowed(kind, field),
        meaning=field.description or "",
    )


def _kind(field: FieldInfo) -> object:
    """The type of the setting without the None that stands for "not set"."""
    if NoneType not in get_args(field.annotation):
        return field.annotation
    return next(each for each in get_args(field.annotation) if each is not NoneType)


def _allowed(kind: object, field: FieldInfo) -> str:
    for each in field.metadata:
        if isinstance(each, Allowed):
            return each.words
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    words = KINDS[kind]
    bounds = {bound: getattr(each, bound) for each in field.metadata for bound in BOUNDS if hasattr(each, bound)}
    if "ge" in bounds:
        return f"{words} from {bounds['ge']} to {bounds['le']}"
    if "max_length" in bounds:
        return f"{words} of at most {bounds['max_length']} characters"
    return words
