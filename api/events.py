"""A stream of answers as server-sent events: each with its sequence as id, so that a reader resumes where it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

from api.body import adapter
from api.errors import Problem, to_problem
from api.operation import Operation
from core.errors import CrpbotError

HEARTBEAT_SECONDS: Final = 10.0  # so that a dead line is noticed and no proxy thinks the stream is idle
HEARTBEAT: Final = b": still here\n\n"


async def write_events(operation: Operation, answers: AsyncGenerator[Any]) -> AsyncIterator[bytes]:
    """The events of a stream, with a comment now and then while nothing happens. An error is the last event."""
    shape = adapter(operation.answer)
    pending: asyncio.Future[Any] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(answers))
            done, _ = await asyncio.wait({pending}, timeout=HEARTBEAT_SECONDS)
            if not done:
                yield HEARTBEAT
                continue
            try:
                answer = pending.result()
            except StopAsyncIteration:
                return
            except CrpbotError as error:
                yield b"event: problem\ndata: " + adapter(Problem).dump_json(to_problem(error, "")) + b"\n\n"
                return
            pending = None
            yield b"id: %d\ndata: " % answer.sequence + shape.dump_json(answer) + b"\n\n"
    finally:
        if pending is not None:
            pending.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, CrpbotError):
                await pending
        close = getattr(answers, "aclose", None)
        if close is not None:
            await close()
