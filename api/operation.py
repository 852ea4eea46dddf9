"""One thing that a caller can ask for, described once for both faces, and how it is carried out.

A face only translates: it makes the request, calls `perform` or `follow`, and writes what comes back. Deadlines and
idempotency are here, so that REST and gRPC cannot differ in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, Protocol

from api.body import adapter
from api.memory import Memory, whole
from core.desk import deadline_exceeded
from core.errors import CrpbotError
from core.idempotency import LEASE_LOST, Attempt, Outcome, Replay, settled
from core.idempotency import Call as KeyedCall
from core.risk.account import Clock, Moment

logger = logging.getLogger(__name__)

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
    memory: Memory | None = None  # what is kept under a call's key; None: the answer
    page: str | None = None  # the field of the answer that a browser is given as a page of HTML

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
        """Store the answer, also in place of what was stored with the effect; not when a later attempt owns the key."""
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
    """The same operation, of which a repetition under the same key gets the answer of the first call.

    Who stores the effect stores the answer with it (`Attempt.seal`). What is not stored by then is stored here, and
    may be lost: effects in several transactions are found again by their ids.
    """
    if not operation.creates:
        return operation
    asks, memory = adapter(operation.request), operation.memory or whole(operation.answer)
    name = f"{operation.service}.{operation.rpc}"

    async def run(request: Any, call: Call) -> Any:
        if call.idempotency_key is None:
            return await operation.run(request, call)
        said = hashlib.sha256(asks.dump_json(request)).hexdigest()
        keyed = KeyedCall(name, call.idempotency_key, said)
        outcome = settled(await keys.begin(keyed, clock()), keyed)
        if isinstance(outcome, Replay):
            return await memory.recall(request, outcome.answer)
        stored: list[bytes] = []

        def seal(answer: object) -> bytes:
            stored.append(b"" if answer is None else memory.keep(answer))
            return stored[-1]

        attempt = replace(outcome.attempt, seal=seal)
        try:
            answer = await operation.run(request, call._replace(attempt=attempt))
            kept = memory.keep(answer)
            if kept not in stored[-1:]:
                await _finish(keys, attempt, kept)
        except BaseException:
            await asyncio.shield(_release(keys, attempt))
            raise
        return answer

    return replace(operation, run=run)


async def _finish(keys: Keys, attempt: Attempt, kept: bytes) -> None:
    """Store what is kept. The call is done whether or not that works, so its caller gets the answer all the same."""
    try:
        await keys.finish(attempt, kept)
    except CrpbotError as error:
        if error.reason == LEASE_LOST:
            raise
        logger.warning("the answer of %s was not kept: %s", attempt.call.operation, error.detail)
        await _release(keys, attempt)


async def _release(keys: Keys, attempt: Attempt) -> None:
    """Give the key back; one whose answer is stored stays. Where that fails, its lease ends it."""
    try:
        await keys.release(attempt)
    except Exception as error:  # noqa: BLE001 - what made the call fail is what its caller has to hear
        logger.warning("the key of %s was not given back: %r", attempt.call.operation, error)
