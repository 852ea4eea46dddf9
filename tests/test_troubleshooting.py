"""docs/troubleshooting.md: each message in it is one that the program prints, and each setting in it exists."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from core.adapters.chat.answer import REASONS_BY_STATUS
from core.llm.asking import FailureReason
from core.settings.catalogue import catalogue
from tests.documents import ROOT
from tests.test_cli_document import find

ROOMS = ("api", "cli", "client", "core", "serving")
LINES = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").splitlines()
SPAN = re.compile(r"^\| (`+)(.+?)\1 \|")  # the message in the first cell
MESSAGES = [found[2].strip() for line in LINES if (found := SPAN.match(line))]
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
LEAST_LETTERS = 12  # of a piece between two places that differ


@cache
def texts() -> tuple[str, ...]:
    """Every text in the code but docstrings, with `…` for what is put into it."""
    found: list[str] = []
    for file in (each for room in ROOMS for each in (ROOT / room).rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [text for node in ast.walk(tree) if id(node) not in spoken and (text := written(node))]
    return tuple(found)


def written(node: ast.AST) -> str:
    """The text of a string or of an f-string; empty for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_printed(message: str) -> bool:
    """Whether the code has it as it stands, or has each of its pieces, of which one is long enough to be told apart."""
    if any(message in text for text in texts()):
        return True
    pieces = [piece.strip() for piece in message.split("…") if piece.strip(" ,;:.()")]
    is_long = max(len(piece) for piece in pieces) >= LEAST_LETTERS
    return is_long and all(any(piece in text for text in texts()) for piece in pieces)


def test_every_row_of_the_tables_begins_with_a_message() -> None:
    rows = [line for line in LINES if line.startswith("| ") and not line.startswith(("| message", "| ---"))]
    assert len(MESSAGES) == len(rows) > 0
    assert all(line.count(" | ") == 2 for line in rows)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_one_that_the_program_prints(message: str) -> None:
    assert is_printed(message)


def test_a_message_that_nobody_prints_is_noticed() -> None:
    assert not is_printed("the moon stands in the way of … candles")
    assert not is_printed("at … UTC … of")


def test_every_setting_that_a_remedy_names_exists() -> None:
    names = {declared.name for declared in catalogue()}
    named = {word for line in LINES for code in CODE.findall(line) for word in re.findall(r"\b[A-Z][A-Z_]{5,}\b", code)}
    messages = {"PASSWORD"}
    confirmations = {"CRPBOT_CONFIRM"}
    assert named - names - messages - confirmations == set()


def test_every_command_that_a_remedy_names_exists() -> None:
    named = {code for line in LINES for code in CODE.findall(line) if code.startswith("crpbot ")}
    assert [code for code in named if find(code.split()[1:]) is None] == []
    assert len(named) > 3


def test_every_reason_of_the_language_model_exists() -> None:
    section = LINES[LINES.index("## The language model") : LINES.index("## The exchange")]
    causes = [line.split(" | ")[1] for line in section if SPAN.match(line)]
    named = {code for cause in causes for code in CODE.findall(cause)}
    assert named <= {reason.value for reason in FailureReason}
    assert REASONS_BY_STATUS[401] is FailureReason.UNAUTHORIZED
