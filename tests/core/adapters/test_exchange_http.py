"""The polite client: paced, patient within its deadline, bounded, and deaf to redirects, cookies and proxies."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate

import pytest

from core.adapters.exchange_http import Pace, PoliteClient, RateLimiter, Surroundings
from core.errors import Code, CrpbotError
from tests.core.virtual_time import PATIENT, HeldTime, VirtualTime, until
from tests.fake_coinbase import FakeCoinbase, Reply
from tests.loopback_server import Wire, pack_bomb

NOW_MS = 1_760_000_123_456
TIME = "/api/v3/brokerage/time"
USUAL = Pace(attempt_seconds=PATIENT)
QUICK = replace(USUAL, requests_per_second=1_000, first_wait_seconds=0.01)
IMPATIENT = replace(QUICK, attempt_seconds=0.2)  # for silence alone: a machine that stands still is silent too


def surroundings(clock: VirtualTime) -> Surroundings:
    """Without chance: a wait is as long as it may be."""
    return Surroundings(now_ms=lambda: NOW_MS, monotonic=clock.monotonic, sleep=clock.sleep, jitter=lambda most: most)


@pytest.fixture
def exchange() -> Iterator[FakeCoinbase]:
    with FakeCoinbase(now_ms=NOW_MS, public_per_second=1_000) as running:
        yield running


def make_client(exchange: FakeCoinbase, pace: Pace = QUICK, world: Surroundings | None = None) -> PoliteClient:
    return PoliteClient("coinbase", exchange.url, pace=pace, surroundings=world or Surroundings(now_ms=lambda: NOW_MS))


async def ask(client: PoliteClient, seconds: float = PATIENT, now: float | None = None) -> object:
    try:
        deadline = (time.monotonic() if now is None else now) + seconds
        return await client.get(TIME, deadline=deadline, subject="the exchange's time")
    finally:
        await client.close()


async def refusal(client: PoliteClient, seconds: float = PATIENT, now: float | None = None) -> CrpbotError:
    with pytest.raises(CrpbotError) as caught:
        await ask(client, seconds, now)
    return caught.value


class TestRateLimiter:
    async def test_no_second_has_more_turns_than_allowed_and_none_is_wasted(self) -> None:
        clock = VirtualTime()
        limiter = RateLimiter(5, surroundings(clock))
        turns = []
        for _ in range(23):
            assert await limiter.turn(clock.now + 60.0) is None
            turns.append(clock.now)
        for begin in turns:
            assert sum(begin <= turn < begin + 1.0 for turn in turns) <= 5
        assert turns[-1] - turns[0] == pytest.approx(4.0)

    async def test_turns_come_in_the_order_of_asking(self) -> None:
        clock = VirtualTime()
        limiter = RateLimiter(50, surroundings(clock))
        order: list[int] = []

        async def take(number: int) -> None:
            await limiter.turn(clock.now + 10.0)
            order.append(number)

        await asyncio.gather(*(take(number) for number in range(70)))
        assert order == list(range(70))

    async def test_a_wait_that_would_pass_the_deadline_is_not_begun(self) -> None:
        clock = VirtualTime()
        limiter = RateLimiter(2, surroundings(clock))
        for _ in range(2):
            await limiter.turn(clock.now)
        assert await limiter.turn(clock.now + 0.9) == pytest.approx(1.0)
        assert clock.slept == []

    async def test_after_the_deadline_there_is_no_turn(self) -> None:
        clock = VirtualTime()
        limiter = RateLimiter(2, surroundings(clock))
        assert await limiter.turn(clock.now - 1.0) == 0.0

    async def test_who_stands_far_back_in_the_queue_is_told_so_at_once(self) -> None:
        clock = HeldTime()
        limiter = RateLimiter(2, surroundings(clock))
        waiting = [asyncio.create_task(limiter.turn(clock.now + 60.0)) for _ in range(21)]
        await until(lambda: clock.asleep)
        assert await limiter.turn(clock.now + 5.0) == pytest.approx(10.0)  # no time passes while he asks
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        clock.release()
        assert await limiter.turn(clock.now + 1.5) is None  # who went away left his place

    async def test_a_hold_stops_everybody(self) -> None:
        clock = VirtualTime()
        limiter = RateLimiter(5, surroundings(clock))
        limiter.hold(7.0)
        assert await limiter.turn(clock.now + 5.0) == pytest.approx(7.0)
        assert await limiter.turn(clock.now + 8.0) is None
        assert clock.slept == [pytest.approx(7.0)]


class TestPatience:
    async def test_what_passes_is_tried_again_after_waits_that_double(self, exchange: FakeCoinbase) -> None:
        exchange.plan(Reply.STATUS, 503, part="/time", times=4)
        clock = VirtualTime()
        pace = replace(USUAL, requests_per_second=1_000, first_wait_seconds=0.5)
        body = await ask(make_client(exchange, pace, surroundings(clock)), 60.0, clock.now)
        assert body["epochMillis"] == str(NOW_MS)
        assert clock.slept == [0.5, 1.0, 2.0, 4.0]

    async def test_waits_are_drawn_by_chance_up_to_a_cap(self, exchange: FakeCoinbase) -> None:
        exchange.plan(Reply.STATUS, 500, part="/time", times=9)
        clock, asked = VirtualTime(), []
        world = replace(surroundings(clock), jitter=lambda most: asked.append(most) or most / 4.0)
        pace = replace(USUAL, requests_per_second=1_000, first_wait_seconds=0.5, longest_wait_seconds=3.0, attempts=10)
        await ask(make_client(exchange, pace, world), 60.0, clock.now)
        assert asked == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
        assert clock.slept == [most / 4.0 for most in asked]

    async def test_it_gives_up_after_five_attempts_and_says_so(self, exchange: FakeCoinbase) -> None:
        exchange.plan(Reply.STATUS, 502, part="/time", times=99)
        clock = VirtualTime()
        error = await refusal(make_client(exchange, USUAL, surroundings(clock)), 1_000.0, clock.now)
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "EXCHANGE_UNAVAILABLE")
        assert error.detail == (
            "coinbase: the exchange's time: it answered 502 UNAVAILABLE (5 attempts); "
            "ask again, or look at the exchange's status page"
        )
        assert len(exchange.asked("/time")) == 5

    @pytest.mark.parametrize("header", ["3", formatdate(NOW_MS / 1_000 + 3.0, usegmt=True)])
    async def test_retry_after_is_obeyed_as_number_and_as_date(self, exchange: FakeCoinbase, header: str) -> None:
        exchange.plan(Reply.RATE_LIMITED, header, part="/time")
        clock = VirtualTime()
        await ask(make_client(exchange, USUAL, surroundings(clock)), 60.0, clock.now)
        assert sum(clock.slept) == pytest.approx(3.0, abs=0.5)  # a date has whole seconds

    @pytest.mark.parametrize("header", ["-5", "soon", "1e9", "٣", "Tue, 99 Foo 2026"])
    async def test_a_retry_after_that_cannot_be_read_is_as_none(self, exchange: FakeCoinbase, header: str) -> None:
        exchange.plan(Reply.STATUS, 503, part="/time")
        exchange.plan(Reply.RATE_LIMITED, header.encode().decode("latin-1"), part="/time")
        clock = VirtualTime()
        await ask(make_client(exchange, USUAL, surroundings(clock)), 60.0, clock.now)
        assert sum(clock.slept) <= 0.5 + 1.0 + 1.0

    async def test_without_retry_after_a_429_costs_everybody_a_second(self, exchange: FakeCoinbase) -> None:
        exchange.plan(Reply.RATE_LIMITED, part="/time")
        clock = VirtualTime()
        await ask(make_client(exchange, USUAL, surroundings(clock)), 60.0, clock.now)
        assert sum(clock.slept) == pytest.approx(1.0)

    async def test_a_retry_after_past_the_deadline_ends_the_matter_at_once(self, exchange: FakeCoinbase) -> None:
        exchange.plan(Reply.RATE_LIMITED, 100, part="/time", times=99)
        clock = VirtualTime()
        pace = replace(USUAL, longest_hold_seconds=1_000.0)
        error = await refusal(make_client(exchange, pace, surroundings(clock)), PATIENT, clock.now)
        assert clock.slept == []
        assert (error.reason, error.retry_after_seconds) == ("EXCHANGE_RATE_LIMITED", 100.0)
        assert len(exchange.asked("/time")) == 1

    async def test_an_absurd_retry_after_does_not_silence_us_for_ever(self, exchange: FakeCoinbase) -> None:
        exchange.plan(Reply.RATE_LIMITED, "99999999999999", part="/time")
        clock = VirtualTime()
        await ask(make_client(exchange, USUAL, surroundings(clock)), 100.0, clock.now)
        assert sum(clock.slept) == pytest.approx(60.0)

    @pytest.mark.parametrize("wire", [Wire.HANG, Wire.DRIP])
    async def test_silence_and_dripping_end_at_the_deadline(self, exchange: FakeCoinbase, wire: Wire) -> None:
        exchange.plan(wire, part="/time", times=99)
        async with asyncio.timeout(PATIENT):  # they last for ever
            error = await refusal(make_client(exchange, IMPATIENT), 0.5)
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "EXCHANGE_TIMEOUT")
        assert "check the network" in error.detail

    async def test_a_deadline_that_is_past_is_no_limit_of_the_exchange(self, exchange: FakeCoinbase) -> None:
        error = await refusal(make_client(exchange), -1.0)
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "EXCHANGE_TIMEOUT")
        assert not exchange.seen

    async def test_a_lost_connection_is_opened_again(self, exchange: FakeCoinbase) -> None:
        for wire in (Wire.RESET, Wire.TRUNCATED, Wire.TRUNCATED_JSON, Wire.TRUNCATED_GZIP):
            exchange.plan(wire, part="/time")
        assert (await ask(make_client(exchange)))["epochMillis"] == str(NOW_MS)
        assert len(exchange.asked("/time")) == 5

    async def test_nobody_at_the_address_is_told_within_the_deadline(self) -> None:
        world = Surroundings(now_ms=lambda: NOW_MS)
        client = PoliteClient("coinbase", "http://127.0.0.1:9", pace=QUICK, surroundings=world)
        error = await refusal(client)
        assert (error.reason, "ConnectError" in error.detail) == ("EXCHANGE_UNAVAILABLE", True)


class TestJudgement:
    @pytest.mark.parametrize(
        ("status", "code", "reason"),
        [
            (400, Code.FAILED_PRECONDITION, "EXCHANGE_REFUSED_REQUEST"),
            (401, Code.FAILED_PRECONDITION, "EXCHANGE_REFUSED_KEY"),
            (403, Code.FAILED_PRECONDITION, "EXCHANGE_FORBIDDEN"),
            (404, Code.NOT_FOUND, "EXCHANGE_NOT_FOUND"),
            (418, Code.FAILED_PRECONDITION, "EXCHANGE_REFUSED_REQUEST"),
            (204, Code.UNAVAILABLE, "EXCHANGE_BROKEN_ANSWER"),
        ],
    )
    async def test_a_refusal_is_not_tried_again(
        self, exchange: FakeCoinbase, status: int, code: Code, reason: str
    ) -> None:
        exchange.plan(Reply.STATUS, status, part="/time", times=99)
        error = await refusal(make_client(exchange))
        assert (error.code, error.reason) == (code, reason)
        assert f"it answered {status}" in error.detail
        assert len(exchange.asked("/time")) == 1

    async def test_a_redirect_is_not_followed(self, exchange: FakeCoinbase) -> None:
        with FakeCoinbase(now_ms=NOW_MS) as elsewhere:
            exchange.plan(Reply.REDIRECT, f"{elsewhere.url}{TIME}", part="/time", times=99)
            error = await refusal(make_client(exchange))
            assert not elsewhere.seen
        assert error.reason == "EXCHANGE_BROKEN_ANSWER"
        assert "302" in error.detail
        assert len(exchange.asked("/time")) == 1

    @pytest.mark.parametrize(
        ("reply", "words"),
        [(Reply.HTML, "is not JSON"), (Reply.DEEP, "broken JSON"), (Reply.LIST, "is not a JSON object")],
    )
    async def test_what_is_no_json_object_is_refused(self, exchange: FakeCoinbase, reply: Reply, words: str) -> None:
        exchange.plan(reply, part="/time", times=99)
        error = await refusal(make_client(exchange))
        assert error.reason == "EXCHANGE_BROKEN_ANSWER"
        assert words in error.detail
        assert "check that the base URL" in error.detail

    async def test_another_encoding_is_refused(self) -> None:
        class Brotli(FakeCoinbase):
            always = ("Content-Encoding: br",)

        with Brotli(now_ms=NOW_MS) as exchange:
            assert "encoding that was not asked for" in (await refusal(make_client(exchange))).detail

    async def test_what_is_not_packed_as_it_says_is_refused(self) -> None:
        class Liar(FakeCoinbase):
            always = ("Content-Encoding: gzip",)

        with Liar(now_ms=NOW_MS, public_per_second=1_000) as exchange:
            assert "its answer does not unpack (5 attempts)" in (await refusal(make_client(exchange))).detail

    async def test_no_text_of_the_exchange_comes_into_an_error(self, exchange: FakeCoinbase) -> None:
        exchange.plan(Reply.ECHO, part="/time")
        world = Surroundings(now_ms=lambda: NOW_MS)
        client = PoliteClient("x", exchange.url, pace=QUICK, surroundings=world, authorize=lambda _: "ABC_SECRET")
        error = await refusal(client)
        assert exchange.seen[0].token == "ABC_SECRET"
        assert "SECRET" not in f"{error.detail} {error!r}"
        assert error.__context__ is None


class TestBounds:
    @pytest.mark.parametrize("wire", [Wire.HUGE, Wire.BOMB])
    async def test_a_large_body_is_not_read_to_its_end(self, exchange: FakeCoinbase, wire: Wire) -> None:
        pack_bomb()
        exchange.plan(wire, part="/time", times=99)
        client = make_client(exchange)
        tracemalloc.start()
        error = await refusal(client)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert error.reason == "EXCHANGE_BROKEN_ANSWER"
        assert "larger than 2000000 bytes" in error.detail
        assert peak < 12_000_000  # both ends of the wire are in this process
        assert len(exchange.asked("/time")) == 1

    async def test_cookies_are_not_kept(self, exchange: FakeCoinbase) -> None:
        client = make_client(exchange)
        for _ in range(2):
            await client.get(TIME, deadline=time.monotonic() + PATIENT, subject="time")
        await client.close()
        assert all("cookie" not in seen.headers for seen in exchange.seen)
        assert exchange.seen[0].headers["cache-control"] == "no-cache"

    async def test_a_proxy_of_the_environment_is_not_used(
        self, exchange: FakeCoinbase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert (await ask(make_client(exchange)))["epochMillis"] == str(NOW_MS)

    async def test_a_key_may_be_a_header_of_every_request_but_the_unsigned(self, exchange: FakeCoinbase) -> None:
        world = Surroundings(now_ms=lambda: NOW_MS)
        client = PoliteClient("x", exchange.url, pace=QUICK, surroundings=world, key_headers={"x-key": "k1"})
        for signed in (True, False):
            await client.get(TIME, deadline=time.monotonic() + PATIENT, subject="time", signed=signed)
        await client.close()
        assert [seen.headers.get("x-key") for seen in exchange.seen] == ["k1", None]

    @pytest.mark.parametrize("url", ["http://api.coinbase.com", "http://127.evil.com", "http://10.0.0.1:80"])
    @pytest.mark.parametrize("key", [{"authorize": lambda _: "token"}, {"key_headers": {"x-key": "k1"}}])
    def test_a_key_does_not_travel_in_the_clear(self, url: str, key: dict) -> None:
        with pytest.raises(CrpbotError) as caught:
            PoliteClient("x", url, pace=QUICK, surroundings=Surroundings(), **key)
        assert caught.value.reason == "INSECURE_BASE_URL"
