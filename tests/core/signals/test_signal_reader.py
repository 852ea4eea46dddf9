"""Lists and streams give the published decisions unless a book is named; only what was published can be taken."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.signals.reads import Signals
from core.errors import Code, CrpbotError
from core.risk.account import Moment
from core.signals.reader import MAX_PAGE, SignalReader
from core.signals.requests import ListSignalsRequest, MarkExecutedRequest, StreamSignalsRequest
from core.trade import Book
from tests.core.decisions import NOON, decision, store


@pytest.fixture
async def reader(ledger: Ledger) -> SignalReader:
    await store(ledger, decision(0))
    await store(ledger, decision(1, book=Book.SHADOW, account="shadow"))
    await store(ledger, decision(2))
    return SignalReader(Signals(ledger), lambda: Moment(NOON, 0))


@pytest.mark.parametrize(
    ("book", "expected"),
    [(None, ["signal-0", "signal-2"]), (Book.PRIMARY, ["signal-0", "signal-2"]), (Book.SHADOW, ["signal-1"])],
)
async def test_a_list_and_a_stream_give_the_published_book_unless_one_is_named(
    reader: SignalReader, book: Book | None, expected: list[str]
) -> None:
    page = await reader.page(ListSignalsRequest(book=book))
    assert [signal.id for signal in page.signals] == expected[::-1]
    seen = []
    async with aclosing(reader.stream(StreamSignalsRequest(after=0, book=book))) as events, asyncio.timeout(60):
        async for event in events:
            seen.append(event.signal.id)
            if len(seen) == len(expected):
                break
    assert seen == expected


async def test_a_comparison_cannot_be_marked_as_taken(reader: SignalReader, ledger: Ledger) -> None:
    before = (await ledger.audit_head()).entries
    with pytest.raises(CrpbotError) as caught:
        await reader.mark(MarkExecutedRequest("signal-1"))
    assert (caught.value.code, caught.value.reason) == (Code.FAILED_PRECONDITION, "NOT_PUBLISHED")
    assert "shadow" in caught.value.detail
    assert (await ledger.audit_head()).entries == before
    assert (await reader.mark(MarkExecutedRequest("signal-0"))).executed


@pytest.mark.parametrize("limit", [0, MAX_PAGE + 1])
async def test_a_page_has_its_limit(reader: SignalReader, limit: int) -> None:
    with pytest.raises(CrpbotError) as caught:
        await reader.page(ListSignalsRequest(limit=limit))
    assert caught.value.violations[0].field == "limit"
