"""docs/cli.md shows every command, and every example in it is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from cli.main import app
from tests.documents import ROOT, code_blocks

DOCUMENT = ROOT / "docs" / "cli.md"
ROOT_COMMAND: Any = typer.main.get_command(app)  # Any: typer keeps its own copy of click
EXAMPLES = [
    line[2:] for block in code_blocks("docs/cli.md", "console") for line in block.splitlines() if line[:2] == "$ "
]


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that lead to it."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from leaves(child, (*path, name))


COMMANDS = dict(leaves(ROOT_COMMAND))


def find(words: list[str]) -> tuple[str, ...] | None:
    """The command that these words begin with."""
    return next((path for path in COMMANDS if tuple(words[: len(path)]) == path), None)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_has_an_example(path: tuple[str, ...]) -> None:
    assert any(find(shlex.split(example)[1:]) == path for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_command_line_takes_an_example(example: str) -> None:
    program, *words = shlex.split(example)
    path = find(words)
    assert program == "crpbot"
    assert path is not None
    COMMANDS[path].make_context(" ".join(path), words[len(path) :])  # refuses unknown flags and wrong values


def test_every_flag_in_the_text_is_one_of_some_command() -> None:
    known = {
        flag for command in COMMANDS.values() for each in command.params for flag in (*each.opts, *each.secondary_opts)
    }
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", DOCUMENT.read_text(encoding="utf-8")))
    assert named - known - {"--help"} == set()


def test_each_command_can_print_json() -> None:
    assert [
        path for path, command in COMMANDS.items() if not any("--json" in each.opts for each in command.params)
    ] == []
