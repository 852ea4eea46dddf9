"""Requests that travel together come back exactly as if each had travelled alone, and nobody waits for company."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.analysis import Findings
from core.analyzers import discover
from core.errors import Code, CrpbotError
from core.market import SYMBOLS, Windows, stack_windows
from core.panel import compute
from serving.coalesce import MAX_ROWS, MAX_WAITING, Coalescer, combine
from serving.share import share_out
from tests.fakes import telling_answer, walk_candles

ALL = tuple(discover())
PATIENT = 120.0  # seconds; kernels may be compiled here for the first time, and the machine may stand still


def windows(*symbols: str, interval: str = "5m", length: int = 200) -> Windows:
    return stack_windows([walk_candles(symbol, interval, length) for symbol in symbols], length)


def many(rows: int) -> Windows:
    return windows(*(SYMBOLS[row % len(SYMBOLS)] for row in range(rows)), length=2)


def alone(batches: Sequence[Windows], theories: Sequence[str]) -> list[list[Findings]]:
    """What the real theories find, asked without a queue."""
    return compute(batches, theories, lambda: 60.0)


class Replicas:
    """The other side of the queue: notes every call, and answers when the gate is open."""

    def __init__(self, *, answer: object = telling_answer, is_open: bool = True) -> None:
        self.calls: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        self.gate = asyncio.Event()
        self.busy = 0
        self.busiest = 0
        self._answer = answer
        if is_open:
            self.gate.set()

    async def send(
        self, batches: Sequence[Windows], theories: Sequence[str], timeout_seconds: float
    ) -> list[list[Findings]]:
        self.calls.append((tuple(symbol for batch in batches for symbol in batch.symbols), tuple(theories)))
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await self.gate.wait()
        finally:
            self.busy -= 1
        if isinstance(self._answer, BaseException):
            raise self._answer
        assert callable(self._answer)
        found: list[list[Findings]] = self._answer(batches, theories)
        return found


Answered = asyncio.Task[list[list[Findings]]]


def submit(
    queue: Coalescer, *batches: Windows, theories: tuple[str, ...] = ("t",), seconds: float = PATIENT
) -> Answered:
    return asyncio.create_task(queue.submit(batches, theories, seconds))


async def settle() -> None:
    """Lets every task run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_joined_requests_get_what_lone_ones_get_to_the_last_bit() -> None:
    replicas = Replicas(answer=alone, is_open=False)
    queue = Coalescer(replicas.send, calls=1)
    requests = [
        (windows("BTC-USD"),),
        (windows("ETH-USD", "SOL-USD"), windows("ADA-USD", interval="1h")),
        (windows("LTC-USD", length=300), windows("BTC-USD", "XRP-USD")),
        (windows("POL-USD", interval="1h"),),
    ]
    tasks = [submit(queue, *request, theories=ALL) for request in requests]
    await settle()
    replicas.gate.set()
    assert await asyncio.gather(*tasks) == [alone(request, ALL) for request in requests]
    assert [len(symbols) for symbols, _ in replicas.calls] == [1, 7]


async def test_a_lone_request_is_sent_before_any_time_passes() -> None:
    replicas = Replicas(is_open=False)
    task = submit(Coalescer(replicas.send, calls=1), windows("BTC-USD"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(replicas.calls) == 1
    replicas.gate.set()
    await task


async def test_requests_given_up_on_are_never_computed() -> None:
    replicas = Replicas(is_open=False)
    queue = Coalescer(replicas.send, calls=1)
    first, late, left, last = (
        submit(queue, windows("BTC-USD")),
        submit(queue, windows("ETH-USD"), seconds=0.01),
        submit(queue, windows("SOL-USD")),
        submit(queue, windows("ADA-USD")),
    )
    await settle()
    left.cancel()
    with pytest.raises(TimeoutError):
        await late
    replicas.gate.set()
    await asyncio.gather(first, last)
    assert [symbols for symbols, _ in replicas.calls] == [("BTC-USD",), ("ADA-USD",)]


async def test_a_request_that_gives_up_inside_a_call_does_not_disturb_the_others_in_it() -> None:
    replicas = Replicas(is_open=False)
    queue = Coalescer(replicas.send, calls=1)
    first = submit(queue, windows("BTC-USD"))
    left, last = submit(queue, windows("SOL-USD")), submit(queue, windows("ADA-USD"))
    await settle()
    replicas.gate.set()
    await first
    replicas.gate.clear()
    await settle()
    left.cancel()
    await settle()
    replicas.gate.set()
    assert await last == telling_answer([windows("ADA-USD")], ("t",))
    assert replicas.calls[1][0] == ("SOL-USD", "ADA-USD")


async def test_too_many_waiting_windows_are_refused_with_a_time_to_come_back() -> None:
    replicas = Replicas(is_open=False)
    queue = Coalescer(replicas.send, calls=1)
    tasks = [submit(queue, many(1))]
    await settle()
    tasks += [submit(queue, many(64)) for _ in range(MAX_WAITING // 64)]
    await settle()
    with pytest.raises(CrpbotError, match="1024 windows are waiting already, at most 1024") as caught:
        await queue.submit([many(1)], ("t",), PATIENT)
    assert (caught.value.code, caught.value.reason) == (Code.UNAVAILABLE, "OVERLOADED")
    assert caught.value.retry_after_seconds == 1.0
    replicas.gate.set()
    await asyncio.gather(*tasks)
    assert await queue.submit([many(64)], ("t",), PATIENT) == telling_answer([many(64)], ("t",))


async def test_a_call_holds_one_list_of_theories_and_no_more_rows_than_allowed() -> None:
    replicas = Replicas(is_open=False)
    queue = Coalescer(replicas.send, calls=1)
    sizes = [(1, "a"), (30, "a"), (34, "a"), (1, "a"), (2, "b"), (3, "a"), (MAX_ROWS + 6, "a"), (1, "a")]
    tasks = [submit(queue, many(rows), theories=(theory,)) for rows, theory in sizes]
    await settle()
    replicas.gate.set()
    await asyncio.gather(*tasks)
    sent = [(len(symbols), *theories) for symbols, theories in replicas.calls]
    assert sent == [(1, "a"), (64, "a"), (1, "a"), (2, "b"), (3, "a"), (70, "a"), (1, "a")]


async def test_an_error_reaches_everybody_in_the_call_and_frees_its_place() -> None:
    replicas = Replicas(answer=ConnectionError("the replica died"))
    queue = Coalescer(replicas.send, calls=1)
    found = await asyncio.gather(*(submit(queue, windows("BTC-USD")) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in found] == ["the replica died"] * 3
    assert len(replicas.calls) == 2
    with pytest.raises(ConnectionError):
        await queue.submit([windows("BTC-USD")], ("t",), PATIENT)


async def test_an_answer_of_the_wrong_size_is_an_error_not_silence() -> None:
    queue = Coalescer(Replicas(answer=lambda batches, theories: []).send, calls=1)
    with pytest.raises(IndexError):
        await queue.submit([windows("BTC-USD")], ("t",), PATIENT)


BATCH = st.builds(
    windows,
    st.sampled_from(SYMBOLS),
    st.sampled_from(SYMBOLS),
    interval=st.sampled_from(["5m", "1h"]),
    length=st.integers(2, 4),
)


@given(st.lists(st.lists(BATCH, max_size=3), max_size=6))
def test_combined_batches_hold_every_row_at_its_place(requests: list[list[Windows]]) -> None:
    joined, places = combine(requests)
    assert len({(batch.interval, batch.length) for batch in joined}) == len(joined)
    for request, place in zip(requests, places, strict=True):
        for batch, (index, start, stop) in zip(request, place, strict=True):
            assert joined[index].symbols[start:stop] == batch.symbols
            assert joined[index].block[:, start:stop].tobytes() == batch.block.tobytes()


ARRIVAL = st.tuples(
    st.integers(0, 3),  # milliseconds after the one before
    st.lists(BATCH, min_size=1, max_size=2),
    st.sampled_from([("a",), ("b",), ("a", "b")]),
    st.sampled_from([PATIENT, PATIENT, 0.001]),  # patience
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ARRIVAL, min_size=1, max_size=12), st.integers(1, 3))
def test_whatever_the_arrivals_everybody_gets_their_own_answer(
    arrivals: list[tuple[int, list[Windows], tuple[str, ...], float]], calls: int
) -> None:
    async def scenario() -> None:
        replicas = Replicas(is_open=False)
        queue = Coalescer(replicas.send, calls=calls)
        tasks = []
        for pause, batches, theories, seconds in arrivals:
            await asyncio.sleep(pause / 1_000)
            tasks.append(submit(queue, *batches, theories=theories, seconds=seconds))
            if len(tasks) == len(arrivals) // 2:
                replicas.gate.set()
        await settle()
        replicas.gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for answer, (_, batches, theories, seconds) in zip(answers, arrivals, strict=True):
            gave_up = isinstance(answer, TimeoutError) and seconds < 1
            assert gave_up or answer == telling_answer(batches, theories)
        assert replicas.busiest <= calls
        assert await queue.submit([many(64)], ("c",), PATIENT) == telling_answer([many(64)], ("c",))

    asyncio.run(scenario())


@pytest.mark.parametrize(("replicas", "rows"), [(2, 6), (2, 10), (3, 10), (4, 10)])
async def test_shares_of_one_request_leave_at_once_and_each_in_a_call_of_its_own(replicas: int, rows: int) -> None:
    served = Replicas(is_open=False)
    queue = Coalescer(served.send, calls=2 * replicas)
    shares = share_out([windows(*SYMBOLS[:rows])], replicas)
    request = object()
    tasks = [
        asyncio.create_task(queue.submit([piece.windows for piece in share], ("t",), PATIENT, request=request))
        for share in shares
    ]
    await settle()
    assert [len(symbols) for symbols, _ in served.calls] == [len(share[0].windows) for share in shares]
    served.gate.set()
    await asyncio.gather(*tasks)
