"""One thing that a caller can ask for, described once for both faces, and how it is carried out.

A face only translates: it makes the request, calls `perform` or `follow`, and writes what comes back. Deadlines and
idempotency are here, so that REST and gRPC cannot differ in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, Protocol

from api.body import adapter
from core.desk import deadline_exceeded
from core.idempotency import Attempt, Outcome, Replay, settled
from core.idempotency import Call as KeyedCall
from core.risk.account import Clock, Moment

LARGE_BYTES: Final = 4 * 1024 * 1024  # ten windows of 500 candles are 293-526 KB
SMALL_BYTES: Final = 64 * 1024
MAX_TIMEOUT_SECONDS: Final = 30.0


class Call(NamedTuple):
    """What a caller says beside the request: how long to wait, and a key that makes a repetition harmless."""

    timeout_seconds: float
    idempotency_key: str | None = None
    attempt: Attempt | None = None  # set when the key was taken: what is stored names it


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on both faces. `run` takes the request and the call; a stream's gives an iterator of answers."""

    service: str
    rpc: str
    verb: Literal["GET", "POST"]
    path: str
    request: type[Any]  # Any: a dataclass of ours; each operation has its own
    answer: type[Any]
    run: Callable[[Any, Call], Any]
    summary: str
    description: str = ""
    max_bytes: int = SMALL_BYTES
    creates: bool = False
    streams: bool = False
    patience_seconds: float | None = None  # how long a caller waits who does not say; None: as the server is set

    @property
    def name(self) -> str:
        """Its name in OpenAPI and on the command line: GetRisk is get_risk."""
        return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in self.rpc).lstrip("_")


class Keys(Protocol):
    """Whoever keeps the keys of calls and their answers."""

    async def begin(self, call: KeyedCall, moment: Moment) -> Outcome:
        """Take the key, or say what stands in the way."""
        ...

    async def finish(self, attempt: Attempt, answer: bytes) -> None:
        """Store the answer, unless a later attempt owns the key."""
        ...

    async def release(self, attempt: Attempt) -> None:
        """Give the key back after a failure."""
        ...


async def perform(operation: Operation, request: Any, call: Call) -> Any:  # Any: see Operation
    """The answer, within the caller's deadline."""
    if call.timeout_seconds <= 0:
        raise deadline_exceeded(call.timeout_seconds)
    try:
        async with asyncio.timeout(call.timeout_seconds):
            return await operation.run(request, call)
    except TimeoutError:
        raise deadline_exceeded(call.timeout_seconds) from None


async def follow(operation: Operation, request: Any, call: Call, closing: asyncio.Event) -> AsyncGenerator[Any]:
    """The answers of a stream, for as long as the caller listens and the server is not about to end."""
    answers: AsyncGenerator[Any] = operation.run(request, call)
    closed = asyncio.ensure_future(closing.wait())
    pending: asyncio.Future[Any] | None = None
    try:
        while True:
            pending = asyncio.ensure_future(anext(answers))
            await asyncio.wait({pending, closed}, return_when=asyncio.FIRST_COMPLETED)
            if not pending.done():
                return
            try:
                answer = pending.result()
            except StopAsyncIteration:
                return
            yield answer
    finally:
        closed.cancel()
        if pending is not None and not pending.done():
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                await pending
        await answers.aclose()


def remember(operation: Operation, keys: Keys, clock: Clock) -> Operation:
    """The same operation, of which a repetition under the same key gets the answer of the first call."""
    if not operation.creates:
        return operation
    asks, answers = adapter(operation.request), adapter(operation.answer)
    name = f"{operation.service}.{operation.rpc}"

    async def run(request: Any, call: Call) -> Any:
        if call.idempotency_key is None:
            return await operation.run(request, call)
        said = hashlib.sha256(asks.dump_json(request)).hexdigest()
        keyed = KeyedCall(name, call.idempotency_key, said)
        outcome = settled(await keys.begin(keyed, clock()), keyed)
        if isinstance(outcome, Replay):
            return answers.validate_json(outcome.answer)
        try:
            answer = await operation.run(request, call._replace(attempt=outcome.attempt))
        except BaseException:
            await asyncio.shield(keys.release(outcome.attempt))
            raise
        await keys.finish(outcome.attempt, answers.dump_json(answer))
        return answer

    return replace(operation, run=run)
