"""Reads the text of `ray_cluster.yaml`, safely, and remembers on which line each key stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from core.errors import SHOWN_CHARACTERS, Code, CrpbotError

MOST_BYTES: Final = 100_000  # ours has some 8,000
REASON: Final = "CLUSTER_FILE"
# Shapes of credentials, wherever in the file, comments too. What was found is never shown.
CREDENTIAL: Final = re.compile(
    r"\b(AKIA|ASIA)[0-9A-Z]{16}\b|-----BEGIN|(secret_access_key|secretaccesskey|session_token)\W", re.IGNORECASE
)
SECRET_KEY: Final = re.compile(r"[A-Za-z0-9/+]{40}")  # as AWS makes its secret access keys
KEY_OF_SECRET: Final = re.compile(
    r"secret|passw|credential|private_?key|access_?key|api_?key|auth_?token", re.IGNORECASE
)

Path_: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A file of YAML: what it says, and where."""

    name: str
    content: dict[str, Any]  # Any: YAML
    lines: Mapping[Path_, int]

    def refused(self, path: Path_, found: object, limit: str, remedy: str) -> CrpbotError:
        """What stands there and why it may not."""
        shown = "" if found is None else f" is {_shown(found)}, which"
        return self.fault(path, f"{shown} {limit}".strip(), remedy)

    def fault(self, path: Path_, sentence: str, remedy: str) -> CrpbotError:
        return refused(self.name, self.line(path), f"{dotted(path)} {sentence}".strip(), remedy)

    def line(self, path: Path_) -> int:
        """Its own, or that of the nearest key around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def values(self) -> Iterator[tuple[Path_, object]]:
        """Every scalar of the file with its path."""
        return _values((), self.content)


class _Loader(yaml.SafeLoader):
    """Aliases are refused: they hide what a reviewer must see, and a few lines of them become a gigabyte."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # of PyYAML's
            raise yaml.MarkedYAMLError(problem=f"*{event.anchor} is an alias", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


def read_source(path: Path) -> Source:
    """The file, without a key twice, an alias or a credential."""
    name = path.name
    text = _text(path)
    _need_no_credential(name, text)
    lines: dict[Path_, int] = {}
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is not None:
            _note_lines(name, root, (), lines)
        content = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise refused(name, line, f"is no YAML: {error.problem}", "correct the line") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise refused(name, 1, f"is no YAML: {type(error).__name__}", "take the file of the repository") from error
    if not isinstance(content, dict):
        raise refused(name, 1, "holds no keys", "take the file of the repository")
    source = Source(name, content, lines)
    _need_no_secret(source)
    return source


def refused(name: str, line: int, sentence: str, remedy: str) -> CrpbotError:
    """A fault of the file, in one sentence."""
    return CrpbotError(Code.INVALID_ARGUMENT, f"{name} line {line}: {sentence}; remedy: {remedy}", reason=REASON)


def dotted(path: Path_) -> str:
    """`available_node_types.head.node_config`, with the places of lists in brackets."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def nearest(key: str, known: Sequence[str]) -> str:
    """What was probably meant, or all that is known."""
    close = get_close_matches(key, known, n=1)
    return f"write {close[0]}" if close else f"take it away; known here are {', '.join(known)}"


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise CrpbotError(
            Code.NOT_FOUND,
            f"{path}: the cluster's file cannot be read ({error.strerror}); remedy: run the command in the project's "
            "folder, where ray_cluster.yaml is",
            reason="NO_CLUSTER_FILE",
        ) from error
    if len(content) > MOST_BYTES:
        raise refused(path.name, 1, f"has more than {MOST_BYTES:,} bytes", "take the file of the repository")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise refused(path.name, line, "is no UTF-8", "save it as UTF-8") from error


def _need_no_credential(name: str, text: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        if CREDENTIAL.search(line):
            raise _credential(name, number)


def _need_no_secret(source: Source) -> None:
    for path, value in source.values():
        key = next((part for part in path if isinstance(part, str) and KEY_OF_SECRET.search(part)), None)
        if key is not None or (isinstance(value, str) and SECRET_KEY.fullmatch(value)):
            raise _credential(source.name, source.line(path))


def _credential(name: str, line: int) -> CrpbotError:
    remedy = (
        "take it out, and make the key invalid if this file was ever shared: machines have roles, and the laptop "
        "has its credentials in the environment or in ~/.aws"
    )
    return refused(name, line, "looks like a credential, which may not stand in this file", remedy)


def _note_lines(name: str, node: yaml.Node, path: Path_, lines: dict[Path_, int]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line, word = key.start_mark.line + 1, str(key.value)
            if word in seen:
                sentence = f"{dotted((*path, word))} stands there twice, and YAML takes the last"
                raise refused(name, line, sentence, "take one away")
            seen.add(word)
            lines[*path, word] = line
            _note_lines(name, value, (*path, word), lines)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            _note_lines(name, value, (*path, place), lines)


def _values(path: Path_, found: object) -> Iterator[tuple[Path_, object]]:
    if isinstance(found, dict):
        for key, value in found.items():
            yield from _values((*path, str(key)), value)
    elif isinstance(found, list):
        for place, value in enumerate(found):
            yield from _values((*path, place), value)
    else:
        yield path, found


def _shown(found: object) -> str:
    if isinstance(found, dict | list):
        return "a list" if isinstance(found, list) else "a group of keys"
    text = repr(found)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
