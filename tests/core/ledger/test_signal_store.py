"""Decisions are stored once, read back exactly, never changed, and every change behind the ledger's back is named."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from core.adapters.ledger.audit import append_entry
from core.adapters.ledger.chain import AuditEvent
from core.adapters.ledger.ledger import Ledger
from core.adapters.ledger.migrations import INI_FILE
from core.adapters.ledger.packing import pack, unpack
from core.adapters.ledger.signals.reads import Signals
from core.adapters.ledger.signals.rows import from_row, to_row
from core.adapters.ledger.signals.store import find_decided, mark_executed
from core.errors import Code, CrpbotError
from core.risk.account import Moment
from core.signal import Signal, Strategy, Variant, Vote
from core.signals.ports import Archive
from core.signals.store import NewSignal, SignalFilter, StoredSignal
from core.trade import Book, Direction, Tier
from tests.core.decisions import NOON, SLOT, decision, store

Sql = Callable[[str], list[tuple[Any, ...]]]  # Any: rows of whatever the statement asks for

# store so many decisions of the same slots as the other process does, and print what was answered
WRITER = """
import asyncio, sys
from core.adapters.ledger.ledger import Ledger
from tests.core.decisions import decision, store

async def write(url, name, count):
    ledger = await Ledger.open(url, lock_timeout_seconds=60)
    async def one(number):
        stored = await store(ledger, decision(number, id=f"{name}-{number}"))
        return f"{stored.seq} {stored.signal.id} {stored.is_new}"
    for line in await asyncio.gather(*[one(number) for number in range(count)]):
        print(line)
    await ledger.close()

asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""

# store decisions without end, and print each one acknowledged
ENDLESS = """
import asyncio, itertools, sys
from core.adapters.ledger.ledger import Ledger
from tests.core.decisions import decision, store

async def write(url):
    ledger = await Ledger.open(url, lock_timeout_seconds=60)
    for number in itertools.count():
        stored = await store(ledger, decision(number), texts={"reply": "x" * 3_000})
        print(stored.seq, stored.signal.id, flush=True)

asyncio.run(write(sys.argv[1]))
"""


@pytest.fixture
def signals(ledger: Ledger) -> Signals:
    return Signals(ledger)


@pytest.fixture
def unlocked(sql: Sql, empty_url: str) -> Sql:
    """Drop the triggers that protect signals, as an intruder with the owner's rights would, and run a statement."""

    def run(statement: str) -> list[tuple[Any, ...]]:
        sql("DROP TRIGGER signals_update" + ("" if empty_url.startswith("sqlite") else " ON signals"))
        return sql(statement)

    return run


def ids(stored: object) -> list[str]:
    assert isinstance(stored, (list, tuple))
    return [each.signal.id for each in stored]


async def refusal(signals: Signals, signal_id: str) -> CrpbotError:
    with pytest.raises(CrpbotError) as caught:
        await signals.whole(signal_id)
    return caught.value


# what is stored is what was acknowledged


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"direction": Direction.HOLD, "tier": None, "calibrated_confidence": None, "llm": None, "variant": None},
        {"direction": Direction.SELL, "votes": (), "versions": (), "vetoes": (), "timings_ms": {}, "degradations": ()},
        {"direction": Direction.HOLD, "as_of": None, "price": None, "change_24h_percent": None, "slot": None},
    ],
)
async def test_a_decision_reads_back_exactly_as_it_was_stored(
    signals: Signals, ledger: Ledger, changes: dict[str, Any]
) -> None:
    await ledger.append_audit(AuditEvent(NOON, "x", "test.append", "nothing", {}))
    signal = decision(**changes)
    stored = await store(ledger, signal, key="key-1")
    assert stored.is_new
    assert stored.seq == 2
    assert await signals.get(signal.id) == replace(stored, is_new=False)
    assert (await signals.get(signal.id)).signal == signal


@given(
    confidence=st.floats(0, 1),
    price=st.decimals(Decimal("1e-8"), Decimal("1e9"), places=8),
    pull=st.floats(allow_nan=False, allow_infinity=False),
    words=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_packing_and_json_lose_no_digit(confidence: float, price: Decimal, pull: float, words: str) -> None:
    signal = decision(confidence=confidence, entry=price, votes=(Vote("a", pull, pull, words),), reasoning=words)
    row, detail = to_row(NewSignal(signal, "scheduler"), NOON)
    assert from_row({**row, "audit_seq": 1}, detail).signal == signal


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.binary(max_size=100))
def test_whatever_is_packed_comes_out_again(text: bytes, dictionary: bytes) -> None:
    assert unpack(pack(text, dictionary), dictionary) == text


def test_readings_pack_well_beside_those_of_another_decision() -> None:
    texts = [
        "{" + ",".join(f'"field_{n}":{(n * 7919 + seed) % 9973 / 9973}' for n in range(150)) + "}" for seed in (1, 2)
    ]
    first, second = (text.encode() for text in texts)
    assert len(pack(second, first)) < 0.4 * len(second)
    assert unpack(pack(second, first), first) == second


async def test_an_unknown_id_is_not_found(signals: Signals) -> None:
    with pytest.raises(CrpbotError, match="no signal 'nothing'") as caught:
        await signals.get("nothing")
    assert (caught.value.code, caught.value.reason) == (Code.NOT_FOUND, "UNKNOWN_SIGNAL")


async def test_decision_and_audit_entry_are_one(ledger: Ledger) -> None:
    stored = await store(ledger, decision(), facts={"request": "r-1"})
    (entry,) = await ledger.audit_after(0, 10)
    assert (entry.seq, entry.action, entry.subject) == (stored.seq, "signal.store", "signal-0")
    assert '"request":"r-1"' in entry.detail
    with pytest.raises(DBAPIError, match="levels"):
        await store(ledger, replace(decision(1), entry=None))
    assert len(await ledger.audit_after(0, 10)) == 1


# once


async def test_the_existing_row_is_the_answer(ledger: Ledger, signals: Signals) -> None:
    first = await store(ledger, decision())
    again = await store(ledger, decision(id="other", direction=Direction.HOLD))
    assert not again.is_new
    assert (again.seq, again.signal) == (first.seq, decision())
    assert len(await ledger.audit_after(0, 10)) == 1


@pytest.mark.parametrize("variant", [None, Variant.V7_DEEPSEEK_ONLY])
async def test_a_row_with_and_without_a_variant_is_unique(ledger: Ledger, variant: Variant | None) -> None:
    hold = decision(direction=Direction.HOLD, variant=variant)
    assert (await store(ledger, hold)).is_new
    assert not (await store(ledger, replace(hold, id="other"))).is_new
    others = [{"account": "b"}, {"symbol": "ETH-USD"}, {"slot": NOON - SLOT}, {"strategy": Strategy.V6}]
    for number, change in enumerate([*others, {"variant": Variant.V7_FULL_MATH}]):
        assert (await store(ledger, replace(hold, id=f"other-{number}", **change))).is_new


async def test_without_a_slot_calls_of_different_keys_are_different_decisions(ledger: Ledger) -> None:
    for number in range(2):
        assert (await store(ledger, decision(number, slot=None), key=f"key-{number}")).is_new
    assert not (await store(ledger, decision(1, slot=None), key="key-1")).is_new


async def test_a_decision_with_neither_key_nor_slot_is_refused(ledger: Ledger) -> None:
    with pytest.raises(DBAPIError, match="origin"):
        await store(ledger, decision(slot=None))


async def test_one_buy_or_sell_of_the_primary_book_for_a_slot(ledger: Ledger, sql: Sql) -> None:
    await store(ledger, decision())
    other = decision(id="other", variant=Variant.V7_DEEPSEEK_ONLY, direction=Direction.SELL)
    with pytest.raises(CrpbotError, match="store another decision for the same slot in the shadow book") as caught:
        await store(ledger, other)
    assert (caught.value.code, caught.value.reason) == (Code.ALREADY_EXISTS, "SLOT_TAKEN")
    assert len(await ledger.audit_after(0, 10)) == 1
    assert (await store(ledger, replace(other, book=Book.SHADOW))).is_new
    hold = decision(id="hold", variant=None, direction=Direction.HOLD)
    assert (await store(ledger, hold)).is_new
    columns = sql("SELECT account, symbol, slot FROM signals WHERE book = 'primary' AND direction <> 'HOLD'")
    assert len(columns) == len(set(columns)) == 1


async def test_what_is_decided_for_a_slot_can_be_asked(ledger: Ledger) -> None:
    stored = await store(ledger, decision(variant=None))
    async with ledger.reading() as connection:
        asked = {"account": "paper", "symbol": "BTC-USD", "slot": NOON, "strategy": Strategy.V7}
        assert await find_decided(connection, **asked, variant=None) == replace(stored, is_new=False)
        assert await find_decided(connection, **asked, variant=Variant.V7_FULL_MATH) is None


async def test_racing_tasks_and_processes_store_each_slot_once(ledger: Ledger, ledger_url: str) -> None:
    command = [sys.executable, "-c", WRITER, ledger_url]
    writers = [
        subprocess.Popen([*command, name, "25"], cwd=INI_FILE.parent, stdout=subprocess.PIPE, text=True)
        for name in ("left", "right")
    ]
    lines = [line.split() for writer in writers for line in writer.communicate(timeout=300)[0].splitlines()]
    assert len(lines) == 50
    assert sorted(int(line[0]) for line in lines if line[2] == "True") == list(range(1, 26))
    assert len({(line[0], line[1]) for line in lines}) == 25  # all answers for a slot name the same decision
    assert (await ledger.verify_audit()).entries == 25


async def test_a_writer_killed_in_the_middle_loses_nothing_it_acknowledged(
    ledger: Ledger, signals: Signals, ledger_url: str
) -> None:
    command = [sys.executable, "-c", ENDLESS, ledger_url]
    with subprocess.Popen(command, cwd=INI_FILE.parent, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(20)]
        writer.kill()
        lines += writer.stdout.readlines()
    acknowledged = [line.split()[1] for line in lines]
    stored = ids(list(await signals.after(0, 500)))
    assert stored[: len(acknowledged)] == acknowledged
    assert len(stored) - len(acknowledged) in (0, 1)
    assert (await ledger.verify_audit()).entries == len(stored)
    assert (await signals.whole(stored[-1])).texts == {"reply": "x" * 3_000}


# never changed


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE signals SET confidence = 0.9",
        "UPDATE signals SET executed = true, reasoning = 'x'",
        "DELETE FROM signals",
        "UPDATE signal_results SET outcome = 'loss'",
        "DELETE FROM signal_results",
    ],
)
async def test_the_database_refuses_to_change_a_decision_or_its_result(
    ledger: Ledger, sql: Sql, statement: str
) -> None:
    await store(ledger, decision())
    sql(
        "INSERT INTO signal_results (signal_id, outcome, pnl_percent, closed_at, created_at) "
        "VALUES ('signal-0', 'win', 1.5, '2026-11-21 13:00:00', '2026-11-21 13:00:00')"
    )
    with pytest.raises(DBAPIError, match="is append-only"):
        sql(statement)


async def test_a_decision_cannot_be_replaced_or_emptied_by_other_words(
    ledger: Ledger, sql: Sql, empty_url: str, signals: Signals
) -> None:
    await store(ledger, decision())
    if not empty_url.startswith("sqlite"):
        with pytest.raises(DBAPIError, match="is append-only"):
            sql("TRUNCATE signals CASCADE")
        return
    names = [row[1] for row in sql("PRAGMA table_info(signals)")]
    for new in ({"audit_seq": "9"}, {"id": "'x'"}, {"audit_seq": "9", "id": "'x'"}, {"id": "'x'", "strategy": "'v6'"}):
        values = ", ".join({**new, "audit_seq": new.get("audit_seq", "8")}.get(name, name) for name in names)
        with pytest.raises(DBAPIError, match="is append-only"):
            sql(f"REPLACE INTO signals ({', '.join(names)}) SELECT {values} FROM signals")
    assert (await signals.get("signal-0")).signal == decision()


async def test_executed_goes_one_way_and_breaks_no_seal(ledger: Ledger, sql: Sql, signals: Signals) -> None:
    await store(ledger, decision())
    async with ledger.writing() as connection:
        await mark_executed(connection, "signal-0", at=NOON)
    assert (await signals.whole("signal-0")).stored.signal == decision(executed=True)
    with pytest.raises(DBAPIError, match="is append-only"):
        sql("UPDATE signals SET executed = false")


async def test_what_the_trader_took_is_marked_once_and_audited(ledger: Ledger, signals: Signals) -> None:
    await store(ledger, decision())
    await store(ledger, decision(1, direction=Direction.HOLD))
    for _ in range(2):
        marked = await signals.mark_executed("signal-0", by="trader", clock=lambda: Moment(NOON, 0))
        assert marked == await signals.get("signal-0")
        assert marked.signal.executed
    assert [entry.action for entry in await ledger.audit_after(2, 10)] == ["signal.execute"]
    for signal_id, reason in (("signal-1", "NOTHING_TO_EXECUTE"), ("nothing", "UNKNOWN_SIGNAL")):
        with pytest.raises(CrpbotError) as caught:
            await signals.mark_executed(signal_id, by="trader", clock=lambda: Moment(NOON, 0))
        assert caught.value.reason == reason


async def test_the_archive_that_the_desk_asks_for_is_this_one(signals: Signals, ledger: Ledger) -> None:
    archive: Archive = signals
    assert await archive.newest() == 0
    stored = await store(ledger, decision())
    assert await archive.newest() == stored.seq
    async with aclosing(archive.follow(0)) as stream:  # a reader left open keeps its connection out of the pool
        assert await anext(stream) == replace(stored, is_new=False)


@pytest.mark.parametrize(
    "edit", ["confidence = 0.9", "reasoning = 'x'", "vetoes = '[]'", "snapshots = '[]'", "target = '70000'"]
)
async def test_an_edited_decision_is_found_by_its_seal(
    ledger: Ledger, unlocked: Sql, signals: Signals, edit: str
) -> None:
    await store(ledger, decision(), snapshots=())
    if edit == "snapshots = '[]'":
        edit = "snapshots = '[[1,\"ab\"]]'"
    unlocked(f"UPDATE signals SET {edit}")
    error = await refusal(signals, "signal-0")
    assert error.reason == "SIGNAL_ALTERED"
    assert "signal signal-0 is not what was stored" in error.detail


# texts


TEXTS = {
    "prompt": "Symbol BTC-USD, price 67120.01. Hurst 0.62 (0.55-0.70)." * 20,
    "reply": '{"signal":"BUY","confidence":0.71,"reasoning":"\ud800 half a pair"}',
    "readings": '[{"theory":"hurst_exponent","values":{"hurst":0.48060465756226056,"n":495.0}}]',
}


async def test_texts_come_back_byte_for_byte(ledger: Ledger, signals: Signals, sql: Sql) -> None:
    for number in range(3):
        await store(ledger, decision(number), texts={**TEXTS, "prompt": TEXTS["prompt"] + str(number)})
    await store(ledger, decision(400), texts={})
    for number in range(3):
        whole = await signals.whole(f"signal-{number}")
        assert whole.texts == {**TEXTS, "prompt": TEXTS["prompt"] + str(number)}
        assert whole.stored.signal == decision(number)
    assert (await signals.whole("signal-400")).texts == {}
    named = sql("SELECT kind, day FROM text_bases WHERE kind LIKE 'prompt%'")
    assert named == [("prompt BTC-USD", "2026-11-21")], "one dictionary for a symbol, a kind and a day"


@pytest.mark.parametrize("kind", ["prompt", "reply", "readings"])
async def test_a_changed_byte_of_a_stored_text_is_found_and_named(
    ledger: Ledger, signals: Signals, sql: Sql, empty_url: str, kind: str
) -> None:
    await store(ledger, decision(), texts=TEXTS)
    await store(ledger, decision(1), texts=TEXTS)
    ((packed,),) = sql(f"SELECT packed FROM signal_texts WHERE signal_seq = 2 AND kind = '{kind}' AND part = 0")
    for place in range(len(packed)):
        edited = bytearray(packed)
        edited[place] ^= 0x20
        spelled = f"X'{edited.hex()}'" if empty_url.startswith("sqlite") else f"'\\x{edited.hex()}'"
        sql(f"UPDATE signal_texts SET packed = {spelled} WHERE signal_seq = 2 AND kind = '{kind}'")
        error = await refusal(signals, "signal-1")
        assert error.reason == "TEXT_ALTERED"
        assert f"the {kind} of signal 2 is not what was stored" in error.detail
    assert (await signals.whole("signal-0")).texts == TEXTS


@pytest.mark.parametrize("kind", ["", "detail", "two words", "x" * 33, "é"])
async def test_a_text_has_a_plain_name(ledger: Ledger, kind: str) -> None:
    with pytest.raises(CrpbotError, match="is no name of a text"):
        await store(ledger, decision(), texts={kind: "text"})


async def test_old_texts_are_deleted_and_their_decisions_stay(ledger: Ledger, signals: Signals, sql: Sql) -> None:
    days = [decision(number, timestamp=NOON + timedelta(days=number)) for number in range(4)]
    for signal in days:
        await store(ledger, signal, texts=TEXTS)
    assert await signals.forget(NOON + timedelta(days=2)) == 2 * len(TEXTS)
    assert await signals.forget(NOON + timedelta(days=2)) == 0
    assert [len((await signals.whole(signal.id)).texts) for signal in days] == [0, 0, 3, 3]
    assert [(await signals.get(signal.id)).signal for signal in days] == days
    assert sql("SELECT count(*) FROM text_bases WHERE kind LIKE 'reply%'") == [(2,)]
    assert sql("SELECT count(*) FROM text_bases WHERE kind = 'detail'") == [(4,)]


# lists


async def fill(ledger: Ledger) -> None:
    """Six decisions; between them other entries of the audit log."""
    directions = (Direction.BUY, Direction.HOLD, Direction.SELL)
    for number in range(6):
        symbol, book = ("BTC-USD", "ETH-USD")[number % 2], (Book.PRIMARY, Book.SHADOW)[number // 3]
        tier = Tier.HIGH if number == 5 else Tier.LOW
        variant = None if number < 2 else Variant.V7_FULL_MATH
        changes = {"symbol": symbol, "book": book, "tier": tier, "variant": variant}
        await store(ledger, decision(number, direction=directions[number % 3], **changes))
        async with ledger.writing() as connection:
            await append_entry(connection, AuditEvent(NOON, "x", "test.append", "nothing", {}))


async def pages(signals: Signals, limit: int, **asked: Any) -> list[str]:  # Any: arguments of many types
    found: list[StoredSignal] = []
    cursor = None
    while True:
        page = await signals.list(limit=limit, cursor=cursor, **asked)
        assert len(page.signals) <= limit
        found += page.signals
        cursor = page.next_cursor
        if cursor is None:
            return [each.signal.id.removeprefix("signal-") for each in found]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 500])
async def test_pages_neither_skip_nor_repeat_in_both_directions(ledger: Ledger, signals: Signals, limit: int) -> None:
    await fill(ledger)
    assert await pages(signals, limit) == list("543210")
    assert await pages(signals, limit, newest_first=False) == list("012345")
    assert await pages(signals, limit, wanted=SignalFilter(symbol="ETH-USD")) == list("531")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (SignalFilter(direction=Direction.HOLD), "41"),
        (SignalFilter(variant=Variant.V7_FULL_MATH), "5432"),
        (SignalFilter(tier=Tier.HIGH), "5"),
        (SignalFilter(book=Book.SHADOW), "543"),
        (SignalFilter(account="nobody"), ""),
        (SignalFilter(since=decision(2).timestamp, until=decision(4).timestamp), "32"),
        (SignalFilter(symbol="BTC-USD", direction=Direction.BUY, until=decision(1).timestamp), "0"),
    ],
)
async def test_lists_are_filtered(ledger: Ledger, signals: Signals, wanted: SignalFilter, found: str) -> None:
    await fill(ledger)
    assert await pages(signals, 2, wanted=wanted) == list(found)


@pytest.mark.parametrize(("cursor", "limit"), [(-1, 1), (2**63, 1), (-(10**400), 1), (0, 0), (0, 501)])
async def test_a_cursor_out_of_range_is_refused(signals: Signals, cursor: int, limit: int) -> None:
    with pytest.raises(CrpbotError) as caught:
        await signals.list(cursor=cursor, limit=limit)
    assert caught.value.code is Code.INVALID_ARGUMENT
    with pytest.raises(CrpbotError):
        await signals.after(cursor, limit)


async def test_a_long_list_leaves_the_event_loop_free(ledger: Ledger, signals: Signals) -> None:
    for number in range(120):
        await store(ledger, decision(number))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    page = await signals.after(0, 500)
    counting.cancel()
    assert turns > 2
    assert [each.signal for each in page] == [decision(number) for number in range(120)]
    assert isinstance(page[0].signal, Signal)
