"""Reads the settings: defaults, profile, `.env`, environment and command line, each stronger than the one before.

Pure but for the files named to it: environment and folder come in as arguments. Nothing is guessed: whatever is wrong
is collected, and one error tells it all.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Final

from dotenv.parser import Binding, parse_stream

from core.errors import Code, CrpbotError, Violation
from core.settings.catalogue import PREFIX, Declaration, build, catalogue, find_conflicts, find_misfits
from core.settings.declared import PROFILES, Settings

DOTENV: Final = ".env"
COMMAND_LINE: Final = "command line"
ENVIRONMENT: Final = "environment"
DEFAULT: Final = "default"
PROFILE: Final = "CRPBOT__RUNTIME__PROFILE"
SHOWN_CHARACTERS: Final = 64
SUGGESTIONS: Final = 3
OPEN_TO_OTHERS: Final = 0o077  # any right of group or others
NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
CREDENTIALS: Final = re.compile(r"//.*@")  # user and password in a URL, wherever one was put


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, where each came from by its name, and what the user should know although nothing is wrong."""

    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Layer:
    """One source: its name, and what it says. Empty texts are left out, they count as unset."""

    origin: str
    texts: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Found:
    """The text of one setting and where it stood."""

    text: str = field(repr=False)
    origin: str


@dataclass(frozen=True, slots=True)
class _Report:
    """What was met while reading."""

    violations: list[Violation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def refuse(self, name: str, detail: str) -> None:
        self.violations.append(Violation(name, detail))


def load_settings(
    environment: Mapping[str, str], folder: Path, overrides: Mapping[str, str] = MappingProxyType({})
) -> Loaded:
    """The settings for a server started in `folder`. `overrides` are what the command line says, by name, as text."""
    report = _Report()
    layers = (
        _Layer(COMMAND_LINE, _without_empty(overrides)),
        _Layer(ENVIRONMENT, _without_empty(environment)),
        _Layer(DOTENV, _without_empty(_read_dotenv(folder / DOTENV, report))),
    )
    _check_names(layers, report)
    found = {each.name: _find(each, layers, folder, report) for each in catalogue()}
    chosen = {name: each for name, each in found.items() if each is not None}
    _check_dotenv_rights(folder / DOTENV, chosen, report)
    known = _with_profile(chosen)
    settings = _make_typed(known, report)
    if report.violations:
        raise _refusal(report.violations)
    origins = {each.name: known[each.name].origin if each.name in known else DEFAULT for each in catalogue()}
    return Loaded(settings, MappingProxyType(origins), tuple(report.warnings))


def _without_empty(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text.strip()}


def _read_dotenv(path: Path, report: _Report) -> dict[str, str]:
    """`.env` as it stands: quotes and escapes as python-dotenv reads them, `${NAME}` is not replaced by anything."""
    if not path.is_file():  # a virtual environment may be a folder of this name
        return {}
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        report.refuse(DOTENV, f"cannot be read: {_cause(error)}")
        return {}
    texts: dict[str, str] = {}
    for binding in parse_stream(StringIO(content)):
        if binding.error or (binding.key and binding.value is None):
            report.refuse(DOTENV, f"line {_line(binding)} cannot be read; allowed: NAME=VALUE, or # and a comment")
        elif binding.key:
            if binding.key in texts:
                report.warnings.append(f"{DOTENV}: {_printable(binding.key)} stands twice; the last one counts")
            texts[binding.key] = binding.value or ""
    return texts


def _printable(name: str) -> str:
    """The name, if it is one: of a key pasted over several lines without quotes each line would look like a name."""
    return name if NAME.fullmatch(name) else "a name not in capital letters (not shown, it may be a piece of a secret)"


def _check_dotenv_rights(path: Path, chosen: Mapping[str, _Found], report: _Report) -> None:
    secrets = [each.name for each in catalogue() if each.secret and each.name in chosen]
    if any(chosen[name].origin == DOTENV for name in secrets) and path.stat().st_mode & OPEN_TO_OTHERS:
        report.warnings.append(f"{DOTENV} holds secrets and may be opened by others; remedy: chmod 600 {path}")


def _line(binding: Binding) -> int:
    """The parser counts from the first empty line before the statement."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _cause(error: OSError | ValueError) -> str:
    """Why a file could not be read, without a word of what is in it."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "the path is not valid"


def _check_names(layers: tuple[_Layer, ...], report: _Report) -> None:
    """Unknown names: a `CRPBOT__` one is refused wherever it stands, another one is only noted when it is in `.env`."""
    known = {spelling for each in catalogue() for spelling in each.spellings}
    for layer in layers:
        for name in sorted(layer.texts.keys() - known):
            if layer.origin == COMMAND_LINE or name.upper().startswith(PREFIX):
                report.refuse(name, f"({layer.origin}) is no setting{_suggest(name)} (docs/settings.md lists them all)")
            elif layer.origin == DOTENV:
                report.warnings.append(f"{DOTENV}: {_printable(name)} is no setting, it has no effect{_suggest(name)}")


def _suggest(name: str) -> str:
    """The closest names. A setting with a name of its own is also found by what it would be called after its place."""
    names = {candidate: each.name for each in catalogue() for candidate in (each.name, each.derived_name)}
    close = get_close_matches(name.upper(), names, n=SUGGESTIONS, cutoff=0.7)
    return f"; did you mean {' or '.join(dict.fromkeys(names[each] for each in close))}?" if close else ""


def _find(each: Declaration, layers: tuple[_Layer, ...], folder: Path, report: _Report) -> _Found | None:
    """What the strongest source says. Two spellings of one setting are refused: nobody could say which was meant."""
    places = [(spelling, layer) for layer in layers for spelling in each.spellings if spelling in layer.texts]
    if len({spelling for spelling, _ in places}) > 1:
        told = ", ".join(f"{spelling} ({layer.origin})" for spelling, layer in places)
        report.refuse(each.name, f"set under several names: {told}; keep one of them")
        return None
    if not places:
        return None
    spelling, layer = places[0]
    text = layer.texts[spelling]
    if layer.origin == COMMAND_LINE and each.secret and spelling != each.file_name:
        report.refuse(each.name, f"a secret on the command line is seen by all on this machine; use {each.file_name}")
        return None
    if spelling == each.file_name:
        return _read_secret(each, folder / text.strip(), report)
    if spelling in each.old_names:
        report.warnings.append(f"{spelling} ({layer.origin}) is an old spelling; write {each.name}")
    return _Found(text if each.secret else text.strip(), layer.origin)


def _read_secret(each: Declaration, path: Path, report: _Report) -> _Found | None:
    """The secret in a file that only its owner may open. A path to nothing is not shown: it may be the secret."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            problem = f"{path} is not a file"
        elif mode & OPEN_TO_OTHERS:
            problem = f"{path} may be opened by others (mode {stat.S_IMODE(mode):04o}); remedy: chmod 600 {path}"
        elif (text := path.read_text(encoding="utf-8").rstrip("\r\n")).strip():
            return _Found(text, f"file {each.file_name}")
        else:
            problem = f"{path} is empty"
    except (OSError, ValueError) as error:
        problem = f"the file it names cannot be read: {_cause(error)}"
    report.refuse(each.name, f"({each.file_name}) {problem}")
    return None


def _with_profile(chosen: Mapping[str, _Found]) -> dict[str, _Found]:
    """What was set, and below it what the profile says."""
    name = chosen[PROFILE].text if PROFILE in chosen else ""
    profile = {key: _Found(text, f"profile {name}") for key, text in PROFILES.get(name, {}).items()}
    return {**profile, **chosen}


def _make_typed(known: Mapping[str, _Found], report: _Report) -> Settings:
    """The typed settings of all texts that fit; the others, and what cannot stand together, are reported."""
    texts = {name: each.text for name, each in known.items()}
    for misfit in find_misfits(texts):
        origin, text = known[misfit.name].origin, texts.pop(misfit.name)
        report.refuse(misfit.name, f"({origin}) found {_shape(text, misfit.secret)}; allowed: {misfit.allowed}")
    settings = build(texts)
    refused = {each.field for each in report.violations}
    for conflict in find_conflicts(settings):
        if refused.isdisjoint(conflict.names):
            origins = [f"{name} ({known[name].origin if name in known else DEFAULT})" for name in conflict.names]
            report.refuse(conflict.names[0], f"{' and '.join(origins)}: {conflict.detail}")
    return settings


def _shape(text: str, secret: bool) -> str:
    """What was found: the value, or only its shape where it is a secret."""
    if not secret:
        masked = CREDENTIALS.sub("//***@", text)
        return repr(masked if len(masked) <= SHOWN_CHARACTERS else f"{masked[:SHOWN_CHARACTERS]}...")
    if re.fullmatch(r"[-+]?\d+(\.\d+)?", text):
        return "a number"
    return f"a text of {len(text)} {'letters' if text.isalpha() else 'characters'}"


def _refusal(violations: list[Violation]) -> CrpbotError:
    lines = [f"- {each.field}: {each.detail}" for each in violations]
    head = "1 setting cannot be used:" if len(lines) == 1 else f"{len(lines)} settings cannot be used:"
    return CrpbotError(
        Code.INVALID_ARGUMENT, "\n".join([head, *lines]), reason="BAD_SETTING", violations=tuple(violations)
    )
