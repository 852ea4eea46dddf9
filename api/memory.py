"""What is kept under the key of a call, and how a repetition gets its answer from that."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from api.body import adapter
from core.signals.reader import SignalReader
from core.signals.requests import GenerateSignalsRequest, GenerateSignalsResponse


@dataclass(frozen=True, slots=True)
class Memory:
    """`keep` makes of an answer what is kept; `recall` makes the answer again, of the request and what was kept."""

    keep: Callable[[Any], bytes]  # Any: the request and the answer of an operation, dataclasses of ours
    recall: Callable[[Any, bytes], Awaitable[Any]]


def whole(answer: type[Any], again: Callable[[Any], Awaitable[Any]] | None = None) -> Memory:
    """The answer is kept as it is.

    With `again` its effect may have been stored without it, because it is only known afterwards; a repetition then
    asks anew, and nothing is done twice.
    """
    answers = adapter(answer)

    async def recall(request: Any, kept: bytes) -> Any:
        if not kept and again is not None:
            return await again(request)
        return answers.validate_json(kept)

    return Memory(answers.dump_json, recall)


def signal_ids(reader: SignalReader) -> Memory:
    """Decisions lie in the ledger already: their ids are kept, and which of them were executed at the time."""

    def keep(answer: GenerateSignalsResponse) -> bytes:
        ids = [signal.id for signal in answer.signals]
        executed = [signal.id for signal in answer.signals if signal.executed]
        return json.dumps({"ids": ids, "executed": executed}, separators=(",", ":")).encode()

    async def recall(_request: GenerateSignalsRequest, kept: bytes) -> GenerateSignalsResponse:
        told = json.loads(kept)
        found = await reader.several(told["ids"])
        return GenerateSignalsResponse(
            tuple(replace(signal, executed=signal.id in told["executed"]) for signal in found)
        )

    return Memory(keep, recall)
