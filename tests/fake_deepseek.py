"""A DeepSeek on the loopback: the recorded answers, keys checked, a bill kept, faults on demand.

`with FakeDeepSeek() as server:` serves `server.url`. It bills every completion that it begins, whether or not somebody
waits for its end. Its clock is the machine's, or stands where `now` says. With `is_local=True` it is a server of one's
own: no key, no price, no usage, and a code fence around each reply.

`python -m tests.fake_deepseek` serves until it is stopped, for servers in other processes; the first line is its URL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple

from tests.fake_deepseek_answers import (
    CACHE_BLOCK,
    FRAME_TOKENS,
    PRICES,
    THOUGHT_TOKENS,
    Counted,
    Fault,
    complete,
    count_tokens,
    decide,
    price_call,
    refuse,
    replace_answer,
    spoil_body,
    spoil_text,
)
from tests.loopback_server import JSON_TYPE, Answer, LoopbackServer, Wire

KEY = "sk-fake-0123456789abcdef"
MOST_BODY_BYTES = 8_000_000
MOST_TOKENS = 384_000
COMPLETIONS = ("/chat/completions", "/v1/chat/completions")
MODELS = ("/models", "/v1/models")


class Slow(StrEnum):
    """How an answer can fail to come although the connection lives."""

    BLANK_LINES = "blank lines"  # a newline now and then, without end
    SLOW_HEADERS = "slow headers"  # a byte of a header now and then, without end


class Seen(NamedTuple):
    """One completion that was asked for."""

    at: datetime
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    status: int
    counted: Counted | None  # None: nothing was billed


@dataclass
class _Planned:
    fault: Fault | Wire | Slow
    detail: str
    left: int


class FakeDeepSeek(LoopbackServer):
    """The server. What may change during a test are its public attributes."""

    def __init__(self, *, key: str = KEY, is_local: bool = False, now: datetime | None = None) -> None:
        super().__init__()
        self.key = key
        self.is_local = is_local
        self.now = now
        self.models = ["qwen3"] if is_local else list(PRICES)
        self.latency_seconds = 0.0
        self.blank_line_seconds = 0.01
        self.verdicts: deque[str] = deque()  # said first, in turn
        self.refused_fields: set[str] = set()  # as proxies do with what they do not know
        self.seen: deque[Seen] = deque(maxlen=1_000_000)
        self._plans: list[_Planned] = []
        self._systems: set[str] = set()

    def plan(self, fault: Fault | Wire | Slow, detail: object = "", *, times: int = 1_000_000) -> None:
        """The next `times` completions meet the fault."""
        self._plans.append(_Planned(fault, str(detail), times))

    def heal(self) -> None:
        """No more faults."""
        self._plans.clear()

    def billed_usd(self, day: str | None = None) -> Fraction:
        """What is to be paid, for all or for one UTC day."""
        bills = [each.counted.usd for each in list(self.seen) if each.counted and day in (None, f"{each.at:%Y-%m-%d}")]
        return sum(bills, Fraction(0))

    def dearest_usd(self) -> Fraction:
        """The dearest call so far."""
        return max((each.counted.usd for each in list(self.seen) if each.counted), default=Fraction(0))

    def clock(self) -> datetime:
        """The server's now."""
        return self.now or datetime.now(UTC)

    def answer(self, target: str, headers: Mapping[str, str]) -> Answer:
        """GET: the list of models, and the account."""
        if self._is_stranger(headers):
            return refuse(401)
        if target in MODELS:
            rows = [{"id": name, "object": "model", "owned_by": "fake"} for name in self.models]
            return Answer(200, json.dumps({"object": "list", "data": rows}).encode())
        return refuse(404, "not found")

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        length = int(headers.get("content-length", "0"))
        if length > MOST_BODY_BYTES:
            await self._send(writer, refuse(413))
            return False
        content = await reader.readexactly(length)
        if method != "POST" or target not in COMPLETIONS:
            await self._send(writer, self.answer(target, headers) if method == "GET" else refuse(404, "not found"))
            return True
        planned = next((each for each in self._plans if each.left > 0), None)
        if planned:
            planned.left -= 1
        answer = self._judge(content, headers, planned)
        if answer.status == 200:
            await asyncio.sleep(self.latency_seconds)
        if planned and isinstance(planned.fault, Slow):
            return await self._stall(writer, planned.fault)
        if planned and isinstance(planned.fault, Wire):
            return await self._lose(writer, answer._replace(wire=planned.fault))
        await self._send(writer, answer)
        return True

    async def _stall(self, writer: asyncio.StreamWriter, how: Slow) -> bool:
        if how is Slow.BLANK_LINES:
            await self._begin(writer, 200, {**JSON_TYPE, "Transfer-Encoding": "chunked"})
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            writer.write(b"1\r\n\n\r\n" if how is Slow.BLANK_LINES else b"x")
            await writer.drain()
            await asyncio.sleep(self.blank_line_seconds)

    def _judge(self, content: bytes, headers: Mapping[str, str], planned: _Planned | None) -> Answer:
        try:
            body = json.loads(content)
        except ValueError:
            return refuse(400, "no JSON")
        refusal = self._refuse(body, headers)
        fault = planned.fault if planned and isinstance(planned.fault, Fault) else None
        instead = replace_answer(fault, planned.detail) if fault and planned else None
        # a fault in the midst of the work is billed, as is an answer that gets lost
        is_begun = instead is None or instead.status in {200, 500, 502, 504}
        if refusal is not None or not is_begun:
            answer = refusal or instead or refuse(500)
            self.seen.append(Seen(self.clock(), body, headers, answer.status, None))
            return answer
        answer, counted = self._complete(body, fault, planned.detail if planned else "")
        self.seen.append(Seen(self.clock(), body, headers, (instead or answer).status, counted))
        return instead or answer

    def _complete(self, body: Mapping[str, Any], fault: Fault | None, detail: str) -> tuple[Answer, Counted]:
        system, user = (message["content"] for message in body["messages"])
        text = self.verdicts.popleft() if self.verdicts else json.dumps(decide(user), indent=2)
        spoiled = spoil_text(fault, detail, decide(user)) if fault else None
        text = text if spoiled is None else spoiled
        prompt = count_tokens(system) + count_tokens(user) + FRAME_TOKENS
        is_thinking = not self.is_local and body.get("thinking") != {"type": "disabled"}
        wanted = len(text.encode(errors="replace")) // 3 + 1 + (THOUGHT_TOKENS if is_thinking else 0)
        finish = "length" if wanted > body["max_tokens"] and spoiled is None else "stop"
        if finish == "length":
            text = text[: len(text) // 2]
        counted = price_call(
            body["model"],
            self.clock(),
            prompt=prompt,
            hits=self._count_hits(system),
            completion=min(wanted, body["max_tokens"]),
        )
        if self.is_local:
            text = f"```json\n{text}\n```"
        number = len(self.seen) + 1
        completion = complete(body["model"], text, counted, number=number, finish=finish, is_local=self.is_local)
        answer = spoil_body(fault, detail, completion) if fault else Answer(200, json.dumps(completion).encode())
        return answer, counted

    def _count_hits(self, system: str) -> int:
        """The cache knows the beginning of a prompt, in whole blocks, from its second time on."""
        is_known = system in self._systems
        self._systems.add(system)
        return count_tokens(system) // CACHE_BLOCK * CACHE_BLOCK if is_known else 0

    def _is_stranger(self, headers: Mapping[str, str]) -> bool:
        return not self.is_local and headers.get("authorization") != f"Bearer {self.key}"

    def _refuse(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer | None:
        if self._is_stranger(headers):
            return refuse(401)
        if stray := self.refused_fields & body.keys():
            return refuse(400, f"unknown parameters: {', '.join(sorted(stray))}")
        if body["model"] not in self.models:
            return refuse(400, "Model Not Exist")
        if not 1 <= body["max_tokens"] <= MOST_TOKENS or not 0 <= body.get("temperature", 1) <= 2:
            return refuse(422)
        said = " ".join(message["content"] for message in body["messages"])
        if body.get("response_format") == {"type": "json_object"} and "json" not in said.lower():
            return refuse(400, "Prompt must contain the word 'json' in some form to use 'response_format'")
        return None


def main() -> None:
    """Serves until it is stopped; the first line printed is its URL."""
    parser = argparse.ArgumentParser(description="A DeepSeek on the loopback.")
    parser.add_argument("--key", default=KEY)
    parser.add_argument("--local", action="store_true", help="a server of one's own, without key, price and usage")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds until each answer")
    parser.add_argument("--fault", action="append", default=[], help="NAME or NAME=DETAIL, met by every completion")
    chosen = parser.parse_args()
    kinds = {str(fault): fault for kind in (Fault, Wire, Slow) for fault in kind}
    with FakeDeepSeek(key=chosen.key, is_local=chosen.local) as server:
        server.latency_seconds = chosen.latency
        for name, _, detail in (text.partition("=") for text in chosen.fault):
            server.plan(kinds[name], detail)
        print(server.url, flush=True)  # noqa: T201
        threading.Event().wait()


if __name__ == "__main__":
    main()
