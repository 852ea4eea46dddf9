"""A server of real HTTP on the loopback, in a thread of its own, that can also fail as networks fail."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from http import HTTPStatus
from types import TracebackType
from typing import Any, NamedTuple, Self

JSON_TYPE = {"Content-Type": "application/json"}
PACKED_FROM_BYTES = 1_000
HUGE_BYTES = 64_000_000
PATIENT_SECONDS = 60.0  # longer than any machine stands still


class Wire(StrEnum):
    """How an answer can be lost on its way."""

    RESET = "reset"  # the connection ends without a word
    HANG = "hang"
    DRIP = "drip"  # a byte now and then, without end
    TRUNCATED = "truncated"  # the connection ends in the body
    TRUNCATED_JSON = "truncated json"
    TRUNCATED_GZIP = "truncated gzip"
    HUGE = "huge"  # 64 MB
    BOMB = "bomb"  # 64 MB that travel as 64 KB


@cache
def pack_bomb() -> bytes:
    """A little that unpacks to a lot."""
    return gzip.compress(b" " * HUGE_BYTES)


class Answer(NamedTuple):
    """What is sent back, and what happens to it on its way."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = JSON_TYPE
    wire: Wire | None = None


class LoopbackServer:
    """Serves `answer` at `url` while its context lasts. GET only; connections are kept open as browsers like it."""

    # sent with every answer
    always: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="loopback-server")
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def answer(self, target: str, headers: Mapping[str, str]) -> Answer:
        """The answer to one GET; `target` is path and query, names of headers are in lower case."""
        raise NotImplementedError

    @property
    def host(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._connect, "127.0.0.1", 0))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENT_SECONDS)
        self._loop.close()

    def _run(self, work: Any) -> Any:  # Any: whatever coroutine
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENT_SECONDS)

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False when the connection is over."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        target = head[0].split(" ")[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        answer = self.answer(target, headers)
        if answer.wire is not None:
            return await self._lose(writer, answer)
        if "gzip" in headers.get("accept-encoding", "") and len(answer.body) >= PACKED_FROM_BYTES:
            packed = gzip.compress(answer.body, 1)
            answer = answer._replace(body=packed, headers={**answer.headers, "Content-Encoding": "gzip"})
        await self._send(writer, answer)
        return True

    async def _lose(self, writer: asyncio.StreamWriter, answer: Answer) -> bool:
        """Answer wrongly; True where HTTP is whole, so that the next question finds the connection open."""
        body, zipped = answer.body, {**JSON_TYPE, "Content-Encoding": "gzip"}
        match answer.wire:
            case Wire.HANG:
                await asyncio.sleep(3_600)
            case Wire.DRIP:
                await self._begin(writer, 200, {**JSON_TYPE, "Content-Length": "100000"})
                while True:
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.01)
            case Wire.TRUNCATED:
                await self._begin(writer, 200, {**JSON_TYPE, "Content-Length": str(len(body))})
                writer.write(body[: len(body) // 2])
                await writer.drain()
            case Wire.TRUNCATED_JSON:
                await self._send(writer, answer._replace(body=body[: len(body) // 2]))
                return True
            case Wire.TRUNCATED_GZIP:
                packed = gzip.compress(body)
                await self._send(writer, Answer(200, packed[: len(packed) // 2], zipped))
                return True
            case Wire.BOMB:
                await self._send(writer, Answer(200, pack_bomb(), zipped))
                return True
            case Wire.HUGE:
                await self._begin(writer, 200, {**JSON_TYPE, "Transfer-Encoding": "chunked"})
                for _ in range(HUGE_BYTES // 65_536):
                    writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
                    await writer.drain()
        return False

    async def _send(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        await self._begin(writer, answer.status, {**answer.headers, "Content-Length": str(len(answer.body))})
        writer.write(answer.body)
        await writer.drain()

    async def _begin(self, writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str]) -> None:
        named = (f"{name}: {value}" for name, value in headers.items())
        lines = (f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *named, *self.always)
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        await writer.drain()
