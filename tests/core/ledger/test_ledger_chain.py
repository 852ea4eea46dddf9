"""What may become an audit entry, and how one is spelled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.adapters.ledger.chain import GENESIS, AuditEvent, instant_text, link
from core.errors import CrpbotError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_instants_are_utc_text_of_one_width_so_that_text_order_is_time_order() -> None:
    prague = timezone(timedelta(hours=1))
    instants = [NOON, NOON + timedelta(microseconds=1), datetime(2026, 11, 21, 13, 0, 1, tzinfo=prague)]
    texts = [instant_text(at, field="at") for at in instants]
    assert texts == ["2026-11-21 12:00:00.000000", "2026-11-21 12:00:00.000001", "2026-11-21 12:00:01.000000"]


def test_texts_cannot_be_moved_from_one_field_to_the_next_without_changing_the_hash() -> None:
    left = link(AuditEvent(NOON, "ab", "c", "d", {}), seq=1, previous_hash=GENESIS)
    right = link(AuditEvent(NOON, "a", "bc", "d", {}), seq=1, previous_hash=GENESIS)
    assert left.hash != right.hash


def test_the_order_of_keys_does_not_change_the_hash() -> None:
    left = link(AuditEvent(NOON, "a", "b", "c", {"x": 1, "y": 2}), seq=1, previous_hash=GENESIS)
    right = link(AuditEvent(NOON, "a", "b", "c", {"y": 2, "x": 1}), seq=1, previous_hash=GENESIS)
    assert left == right


@pytest.mark.parametrize("word", ["", "x" * 257, "two\nlines", "nul\0", "\ud800"])
def test_words_that_cannot_stand_on_a_line_are_refused(word: str) -> None:
    with pytest.raises(CrpbotError, match=r"actor: .* must be 1 to 256 printable characters"):
        AuditEvent(NOON, word, "test.append", "nothing", {})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes"])
def test_detail_that_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(CrpbotError, match="detail: cannot be written as JSON"):
        AuditEvent(NOON, "key-1", "test.append", "nothing", {"value": value})
