"""A load generator that costs little: one event loop, prebuilt requests, connections that stay open, closed loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc

from loadtests.payloads import Body, encode
from protos import crpbot_pb2, crpbot_pb2_grpc

TIMEOUT_SECONDS: Final = 30.0
HEAD_END: Final = b"\r\n\r\n"

Call = Callable[[], Awaitable[None]]
"""Sends the request and waits for its whole answer."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a stretch of load showed: the time of each request, and how long all of it took."""

    seconds: tuple[float, ...]
    elapsed_seconds: float

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.elapsed_seconds

    def milliseconds(self, percent: int) -> float:
        """A percentile of the requests' times."""
        ordered = sorted(self.seconds)
        return 1_000 * ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


Open = Callable[[AsyncExitStack, int], Awaitable[Sequence[Call]]]
"""Opens what that many callers need, as long as the stack stands."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server under one request."""

    name: str
    open: Open

    async def load(self, *, concurrency: int, warm_up_seconds: float, seconds: float) -> Load:
        """That many callers, each asking again as soon as it is answered; the beginning is thrown away."""
        async with AsyncExitStack() as stack:
            calls = await self.open(stack, concurrency)
            await asyncio.gather(*(_ask_until(call, time.perf_counter() + warm_up_seconds) for call in calls))
            started = time.perf_counter()
            taken = await asyncio.gather(*(_ask_until(call, started + seconds) for call in calls))
            elapsed = time.perf_counter() - started
        return Load(tuple(each for times in taken for each in times), elapsed)


def rest(name: str, port: int, body: Body, *, path: str = "/v1/analyze") -> Target:
    """A POST over HTTP/1.1. No HTTP library: each costs more time than the server that is to be measured."""
    content = encode(body)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    request = head.encode() + content

    async def open_connections(stack: AsyncExitStack, callers: int) -> Sequence[Call]:
        return [_over(*await stack.enter_async_context(_connection(port)), request) for _ in range(callers)]

    return Target(name, open_connections)


def rpc(name: str, address: str, body: Body) -> Target:
    """The same over gRPC. One channel carries all callers, as in a real client; HTTP/1.1 needs one for each."""
    request = crpbot_pb2.AnalyzeRequest(**body)

    async def open_channel(stack: AsyncExitStack, callers: int) -> Sequence[Call]:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        analyze = crpbot_pb2_grpc.AnalysisServiceStub(channel).Analyze  # type: ignore[no-untyped-call]  # generated

        async def call() -> None:
            await analyze(request, timeout=TIMEOUT_SECONDS)

        return [call] * callers

    return Target(name, open_channel)


def _over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Call:
    async def call() -> None:
        writer.write(request)
        await _read_answer(reader)

    return call


async def _ask_until(call: Call, end: float) -> Sequence[float]:
    """At least once, then again and again until the time is over."""
    taken: list[float] = []
    before = time.perf_counter()
    while not taken or before < end:
        await call()
        now = time.perf_counter()
        taken.append(now - before)
        before = now
    return taken


@asynccontextmanager
async def _connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def _read_answer(reader: asyncio.StreamReader) -> None:
    """One answer that says its length, as every server here does. Anything but 200 ends the benchmark."""
    head = await asyncio.wait_for(reader.readuntil(HEAD_END), TIMEOUT_SECONDS)
    length = next(line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    content = await reader.readexactly(int(length))
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{head.splitlines()[0].decode()}: {content[:500].decode(errors='replace')}")
