"""docs/api.md names every operation, every kind of error and every limit as the code has them."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from api.errors import TABLE
from api.operation import LARGE_BYTES, MAX_TIMEOUT_SECONDS, SMALL_BYTES, Operation
from core.errors import Code
from core.signals.question import MAX_SYMBOLS, OLDEST_SLOT
from core.signals.reader import MAX_PAGE, PAGE
from tests.documents import ROOT
from tests.operations import OPERATIONS

LINES = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").splitlines()
TEXT = " ".join(" ".join(LINES).split())


def cells(line: str) -> list[str]:
    """What stands between the bars."""
    return [cell.strip() for cell in line.strip("|").split("|")]


ROWS = [cells(line) for line in LINES if line.startswith("| ") and "---" not in line]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.rpc)
def test_an_operation_stands_in_the_table_with_both_its_names(operation: Operation) -> None:
    named = [f"`{operation.verb} {operation.path}`", f"`{operation.service}/{operation.rpc}`"]
    assert [row[:2] for row in ROWS].count(named) == 1


def test_the_table_names_no_operation_that_does_not_exist() -> None:
    calls = {row[0] for row in ROWS if "Service/" in row[1]}
    assert calls == {f"`{each.verb} {each.path}`" for each in OPERATIONS}


@pytest.mark.parametrize("code", TABLE, ids=lambda code: code.value)
def test_a_kind_of_error_stands_with_its_statuses(code: Code) -> None:
    http, rpc = TABLE[code]
    rows = [row for row in ROWS if code.value in row[0].split(", ")]
    assert len(rows) == 1
    assert http.value in [int(each) for each in rows[0][1].split(", ")]
    assert rows[0][2] == rpc.name


def test_the_limits_are_those_of_the_code() -> None:
    assert f"{LARGE_BYTES // 2**20} MiB a body or message of `Analyze`, {SMALL_BYTES // 2**10} KiB of any other" in TEXT
    assert f"none is longer than {MAX_TIMEOUT_SECONDS:g} s" in TEXT
    assert f"`symbols` ({MAX_SYMBOLS} at most)" in TEXT
    assert f"older than {OLDEST_SLOT.seconds // 60} minutes" in TEXT
    assert f"`limit` ({PAGE}, at most {MAX_PAGE})" in TEXT
    assert {HTTPStatus(int(number)) for row in ROWS if row[0] == "internal" for number in row[1].split(", ")} == {500}
