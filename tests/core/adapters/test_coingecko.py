"""The live facts of the whole market: never waited for, never from the future, never beyond the credits."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.adapters.coingecko.answers import COINS, SOURCES
from core.adapters.coingecko.facts import FREE_CREDITS, KEEPER, CoinGecko, key_headers
from core.adapters.coingecko.memory import ContextMemory, Fetch
from core.adapters.exchange_http import Surroundings
from core.context import Facts
from core.errors import Code, CrpbotError
from core.market import SYMBOLS
from tests.core.virtual_time import PATIENT, until
from tests.fake_coingecko import FakeCoinGecko, Flaw, Reply
from tests.loopback_server import Wire

NOW_MS = 1_767_225_600_000 + 43_200_000  # noon of 2026-01-01
KEY = "demo-key-of-the-test"
PARTS = {"global": "/global", "coins": "/simple/price", "fear_greed": "/fng/"}
FIELDS = {"global": ("cap_change_percent", "dominance_percent"), "coins": ("breadth_fraction",)}
FIELDS["fear_greed"] = ("fear_greed",)
RECORDED = Facts(-0.31720124907949293, 47.563363609819326, 0.4, 60.0, NOW_MS)


class World:
    """Clocks that move only when they are told to, and then wake who sleeps; the site's clock goes along."""

    def __init__(self, site: FakeCoinGecko) -> None:
        self.seconds = 1_000.0
        self.wall_ms = NOW_MS
        self.site = site
        self.sleepers: list[tuple[float, asyncio.Event]] = []
        self.surroundings = Surroundings(
            now_ms=lambda: self.wall_ms, monotonic=lambda: self.seconds, sleep=self.sleep, jitter=lambda most: most
        )
        site.now = NOW_MS / 1_000

    async def sleep(self, seconds: float) -> None:
        sleeper = (self.seconds + seconds, asyncio.Event())
        self.sleepers.append(sleeper)
        try:
            await sleeper[1].wait()
        finally:
            if sleeper in self.sleepers:  # who was sent home sleeps no more
                self.sleepers.remove(sleeper)

    async def settle(self) -> None:
        """Until whoever asks in the background sleeps, or has gone home."""
        async with asyncio.timeout(PATIENT):
            while not self.sleepers and any(task.get_name() == KEEPER for task in asyncio.all_tasks()):
                await asyncio.sleep(0.001)

    async def advance(self, seconds: float) -> None:
        """Lets the time pass, with all that happens in it."""
        end = self.seconds + seconds
        await self.settle()
        while self.sleepers and self.sleepers[0][0] <= end:
            at, event = self.sleepers.pop(0)
            self._move(max(0.0, at - self.seconds))
            event.set()
            await asyncio.sleep(0)
            await self.settle()
        self._move(end - self.seconds)

    def _move(self, seconds: float) -> None:
        self.seconds += seconds
        self.wall_ms += round(1_000 * seconds)
        self.site.now = self.wall_ms / 1_000


@pytest.fixture
def site() -> Iterator[FakeCoinGecko]:
    with FakeCoinGecko() as found:
        yield found


@pytest.fixture
def world(site: FakeCoinGecko) -> World:
    return World(site)


class Opened:
    """Opens the facts over one file, as often as a test likes, and closes all of them."""

    def __init__(self, world: World, file: Path) -> None:
        self.world = world
        self.file = file
        self.all: list[CoinGecko] = []

    def __call__(self, **how: Any) -> CoinGecko:
        urls = {"base_url": self.world.site.coingecko_url, "fear_greed_url": self.world.site.url}
        patient = {"patience_seconds": PATIENT, "surroundings": self.world.surroundings}
        contexts = CoinGecko(self.file, **{**urls, **patient, **how})
        self.all.append(contexts)
        return contexts


@pytest.fixture
async def opened(world: World, tmp_path: Path) -> AsyncIterator[Opened]:
    found = Opened(world, tmp_path / "state" / "market_facts.json")
    yield found
    for contexts in found.all:
        await contexts.close()


async def fetched(contexts: CoinGecko, world: World) -> Facts | None:
    """What is known after the first question has been followed up."""
    contexts.wake()
    await world.settle()
    return await contexts.latest(as_of_ms=world.wall_ms)


def answer_at_once(question: Coroutine[Any, Any, Facts | None]) -> Facts | None:
    """The answer to a question that waits for nothing, not even for the loop."""
    with pytest.raises(StopIteration) as answered:
        question.send(None)
    found: Facts | None = answered.value.value
    return found


def known(facts: Facts | None) -> set[str]:
    """The names of the facts that are known."""
    return (
        set()
        if facts is None
        else {name for names in FIELDS.values() for name in names if not math.isnan(getattr(facts, name))}
    )


def names_without(source: str) -> set[str]:
    return {name for each, names in FIELDS.items() if each != source for name in names}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_followed_coins_are_the_markets() -> None:
    assert tuple(COINS) == SYMBOLS


async def test_the_recorded_answers_become_facts(opened: Opened, world: World, site: FakeCoinGecko) -> None:
    assert await fetched(opened(), world) == RECORDED
    asked = {each.path: each.query for each in site.seen}
    assert set(asked) == {"/api/v3/global", "/api/v3/simple/price", "/fng/"}
    assert asked["/fng/"] == "limit=1"
    assert site.credits == 2


async def test_a_question_is_answered_at_once_with_what_is_known(
    opened: Opened, world: World, site: FakeCoinGecko
) -> None:
    site.plan(Wire.HANG)
    contexts = opened(patience_seconds=0.2)
    assert [answer_at_once(contexts.latest(as_of_ms=NOW_MS)) for _ in range(1_000)] == [None] * 1_000
    await world.settle()
    await contexts.close()
    site.heal()
    contexts = opened()
    contexts.wake()
    await world.advance(120.0)
    await contexts.close()
    site.plan(Wire.HANG)
    contexts = opened(patience_seconds=0.2)
    contexts.wake()
    await world.advance(700.0)
    known_before = replace(RECORDED, fetched_at_ms=NOW_MS + 120_000)
    assert answer_at_once(contexts.latest(as_of_ms=world.wall_ms)) == known_before


async def test_nobody_is_asked_before_the_first_question(opened: Opened, site: FakeCoinGecko) -> None:
    await opened().close()
    assert not site.seen


async def test_many_questions_make_one_request_of_each_kind(opened: Opened, world: World, site: FakeCoinGecko) -> None:
    contexts = opened()
    await asyncio.gather(*(contexts.latest(as_of_ms=NOW_MS) for _ in range(500)))
    await world.settle()
    assert len(site.seen) == len(SOURCES)


async def test_no_question_gets_facts_from_after_its_instant(opened: Opened, world: World, site: FakeCoinGecko) -> None:
    contexts = opened()
    await fetched(contexts, world)
    site.cap_change_percent, site.fear_greed = 5.0, 90
    await world.advance(601.0)
    first = await contexts.latest(as_of_ms=NOW_MS + 599_999)
    second = await contexts.latest(as_of_ms=NOW_MS + 600_000)
    assert first == RECORDED
    assert second == replace(RECORDED, cap_change_percent=5.0)  # the index is asked less often: it is the oldest fact
    assert await contexts.latest(as_of_ms=NOW_MS - 1) is None
    assert await contexts.latest(as_of_ms=0) is None
    await world.advance(3_600.0)
    assert await contexts.latest(as_of_ms=NOW_MS + 599_999) == first
    assert await contexts.latest(as_of_ms=NOW_MS + 600_000) == second


async def test_a_clock_that_is_set_back_changes_nothing_of_what_was_known(opened: Opened, world: World) -> None:
    contexts = opened()
    await fetched(contexts, world)
    await world.advance(600.0)
    before = [await contexts.latest(as_of_ms=NOW_MS + after) for after in (0, 300_000, 600_000)]
    world.wall_ms -= 3_600_000
    await world.advance(1_200.0)
    assert [await contexts.latest(as_of_ms=NOW_MS + after) for after in (0, 300_000, 600_000)] == before


async def test_the_facts_stay_fresh_for_an_hour_after_a_question_and_then_nobody_is_asked(
    opened: Opened, world: World, site: FakeCoinGecko
) -> None:
    contexts = opened()
    await fetched(contexts, world)
    await world.advance(10 * 3_600.0)
    assert [len(site.asked(part)) for part in PARTS.values()] == [6, 6, 2]
    late = await contexts.latest(as_of_ms=world.wall_ms)
    assert late is not None
    assert world.wall_ms - late.fetched_at_ms == pytest.approx(9.5 * 3_600_000)
    await world.settle()
    assert [len(site.asked(part)) for part in PARTS.values()] == [7, 7, 3]
    fresh = await contexts.latest(as_of_ms=world.wall_ms)
    assert fresh is not None
    assert fresh.fetched_at_ms == world.wall_ms


async def test_facts_of_yesterday_are_none(opened: Opened, world: World) -> None:
    contexts = opened()
    await fetched(contexts, world)
    await world.advance(2 * 86_400.0)
    assert await contexts.latest(as_of_ms=NOW_MS + 4 * 3_600_000) is not None
    assert await contexts.latest(as_of_ms=NOW_MS + 26 * 3_600_000) is None


# Credits


async def test_a_month_of_questions_is_inside_the_free_credits(
    opened: Opened, world: World, site: FakeCoinGecko
) -> None:
    contexts = opened()
    for _ in range(24):
        contexts.wake()
        await world.advance(1_799.99)
    assert site.credits == 2 * 72  # in half a day
    assert 2 * site.credits * 32 <= FREE_CREDITS
    assert len(site.asked("/fng/")) == 24


async def test_a_smaller_budget_makes_the_waits_longer(opened: Opened, world: World, site: FakeCoinGecko) -> None:
    contexts = opened(monthly_credits=2_304)  # a quarter of what one round each ten minutes takes
    for _ in range(12):
        contexts.wake()
        await world.advance(1_199.99)
    assert [len(site.asked(part)) for part in PARTS.values()] == [6, 6, 8]


async def test_credits_are_counted_across_restarts_and_never_passed(
    opened: Opened, world: World, site: FakeCoinGecko, caplog: pytest.LogCaptureFixture
) -> None:
    spent = {"format": 1, "credits": {str(NOW_MS // 86_400_000 - 3): 9_997}, "due_ms": {}, "fetches": {}}
    opened.file.parent.mkdir()
    opened.file.write_text(json.dumps(spent))
    assert known(await fetched(opened(), world)) == names_without("")
    for _ in range(3):
        await opened.all[-1].close()
        contexts = opened()
        contexts.wake()
        await world.advance(3_000.0)
    assert site.credits == 2
    assert len(site.asked("/fng/")) > 3
    assert sum("9999 of 10000 credits were used in 32 days" in line for line in warnings(caplog)) == 3
    contexts.wake()
    await world.advance(3_601.0)
    assert sum("credits were used" in line for line in warnings(caplog)) == 3  # once by each process
    assert site.credits == 2
    await contexts.close()
    world.wall_ms += 29 * 86_400_000
    await fetched(opened(), world)
    await world.advance(3_600.0)
    assert site.credits > 2


async def test_a_restart_forgets_nothing_and_asks_nobody(opened: Opened, world: World, site: FakeCoinGecko) -> None:
    first = opened()
    await fetched(first, world)
    await first.close()
    await world.advance(300.0)
    second = opened()
    assert await second.latest(as_of_ms=world.wall_ms) == RECORDED
    await world.settle()
    assert len(site.seen) == len(SOURCES)
    await world.advance(301.0)
    assert [len(site.asked(part)) for part in PARTS.values()] == [2, 2, 1]


async def test_a_process_that_dies_again_and_again_asks_once_a_minute(
    opened: Opened, world: World, site: FakeCoinGecko
) -> None:
    site.plan(Wire.HANG)
    for _ in range(20):
        contexts, before = opened(), len(site.seen)
        contexts.wake()
        await until(lambda before=before: world.sleepers or len(site.seen) == before + len(SOURCES))
        await contexts.close()  # with no answer yet
        await world.advance(15.0)
    assert [len(site.asked(part)) for part in PARTS.values()] == [5, 5, 5]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"format":2,"credits":{},"due_ms":{},"fetches":{}}',
        b'{"format":1,"credits":{"a":1},"due_ms":{},"fetches":{}}',
        b'{"format":1,"credits":{},"due_ms":{"global":null},"fetches":{}}',
        b'{"format":1,"credits":{},"due_ms":{},"fetches":{"global":[[1,2.0]]}}',
        b'{"format":1,"credits":{},"due_ms":{},"fetches":{"global":[[1,NaN,2.0]]}}',
        b'{"format":1,"credits":{},"due_ms":{},"fetches":{"global":[[1,1' + b"0" * 400 + b",2.0]]}}",
        b"[" * 100_000,
    ],
)
async def test_a_damaged_file_is_told_and_replaced(
    content: bytes, opened: Opened, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    opened.file.parent.mkdir()
    opened.file.write_bytes(content)
    assert await fetched(opened(), world) == RECORDED
    assert "the market's facts and the credits used are forgotten" in warnings(caplog)[0]
    caplog.clear()
    assert await opened().latest(as_of_ms=world.wall_ms) == RECORDED
    assert warnings(caplog) == []


async def test_what_cannot_be_written_is_told_once_and_costs_no_answer(
    opened: Opened, world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    contexts = opened()
    assert await fetched(contexts, world) == RECORDED
    await world.advance(1_200.0)
    assert sum("cannot be written" in line for line in warnings(caplog)) == 1
    opened.file.parent.unlink()
    await world.advance(600.0)
    assert json.loads(opened.file.read_text())["credits"] == {str(NOW_MS // 86_400_000): 8}


# Faults

SILENT = (Wire.HANG, Wire.DRIP)
FLAWS: list[tuple[Reply | Flaw | Wire, str]] = [(flaw, "") for flaw in Flaw]
FAULTS: list[tuple[Reply | Flaw | Wire, str]] = [
    *((Reply.STATUS, status) for status in ("400", "401", "403", "404", "408", "500", "502", "503", "504")),
    *((reply, "") for reply in Reply if reply is not Reply.STATUS),
    *((wire, "") for wire in Wire if wire not in SILENT),
]


@pytest.mark.parametrize(
    ("source", "fault", "detail"),
    [("global", *fault) for fault in FAULTS]
    + [(source, *flaw) for source in PARTS for flaw in FLAWS]
    + [("fear_greed", Reply.REPORTED, ""), ("coins", Reply.LIST, "")],
    ids=str,
)
async def test_a_source_that_fails_leaves_its_facts_unknown_and_a_line_in_the_log(
    source: str,
    fault: Reply | Flaw | Wire,
    detail: str,
    opened: Opened,
    world: World,
    site: FakeCoinGecko,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="core")
    site.plan(fault, detail, part=PARTS[source])
    contexts = opened()
    facts = await fetched(contexts, world)
    assert known(facts) == names_without(source)
    await assert_told_and_found_again(source, contexts, world, caplog)
    assert json.loads(opened.file.read_text())["format"] == 1


@pytest.mark.parametrize("silence", SILENT)
async def test_a_source_that_says_nothing_is_given_up(
    silence: Wire, opened: Opened, world: World, site: FakeCoinGecko, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="core")
    site.plan(Reply.STATUS, "503", part="/global", times=1)
    await fetched(opened(), world)
    await opened.all[-1].close()
    caplog.clear()
    site.plan(silence, part="/global")
    contexts = opened(patience_seconds=0.2)  # only the silent source is asked meanwhile
    contexts.wake()
    await world.advance(120.0)
    assert known(await contexts.latest(as_of_ms=world.wall_ms)) == names_without("global")
    await assert_told_and_found_again("global", contexts, world, caplog)


async def assert_told_and_found_again(
    source: str, contexts: CoinGecko, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says that a source failed, one that it is well again when it is."""
    (line,) = warnings(caplog)
    (subject,) = [each.subject for each in SOURCES if each.name == source]
    assert subject in line
    assert "without it for now, it is asked again in" in line
    await world.advance(200.0)
    assert len(warnings(caplog)) == 1  # each trouble is told once
    world.site.heal()
    contexts.wake()
    await world.advance(3_600.0)
    assert known(await contexts.latest(as_of_ms=world.wall_ms)) == names_without("")
    assert f"{subject}: known again" in caplog.text


async def test_a_source_that_is_down_for_longer_than_an_hour_is_unknown(
    opened: Opened, world: World, site: FakeCoinGecko
) -> None:
    contexts = opened()
    await fetched(contexts, world)
    site.plan(Reply.STATUS, "503", part="/simple/price")
    for _ in range(3):
        contexts.wake()
        await world.advance(1_190.0)
    just = await contexts.latest(as_of_ms=world.wall_ms)
    assert known(just) == names_without("")
    assert just is not None
    assert just.fetched_at_ms == NOW_MS  # the oldest of the facts
    contexts.wake()
    await world.advance(1_190.0)
    later = await contexts.latest(as_of_ms=world.wall_ms)
    assert known(later) == names_without("coins")
    assert later is not None
    assert world.wall_ms - later.fetched_at_ms < 2_400_000


async def test_everything_down_is_nothing_known(opened: Opened, world: World, site: FakeCoinGecko) -> None:
    site.plan(Reply.STATUS, "503")
    assert await fetched(opened(), world) is None


@pytest.mark.parametrize(("asked", "seconds"), [("119", 120), ("700", 700), ("", 120), ("86400", 3_600), ("0", 120)])
async def test_an_exchange_that_is_overrun_is_left_alone(
    asked: str, seconds: int, opened: Opened, world: World, site: FakeCoinGecko
) -> None:
    site.plan(Reply.RATE_LIMITED, asked, part="/global", times=1)
    contexts = opened()
    await fetched(contexts, world)
    contexts.wake()
    await world.advance(seconds - 1)
    contexts.wake()
    assert len(site.asked("/global")) == 1
    await world.advance(2)
    assert len(site.asked("/global")) == 2
    await world.advance(60)
    assert known(await contexts.latest(as_of_ms=world.wall_ms)) == names_without("")


async def test_waits_double_up_to_an_hour(opened: Opened, world: World, site: FakeCoinGecko) -> None:
    site.plan(Reply.STATUS, "503", part="/global")
    contexts = opened()
    for _ in range(8):
        contexts.wake()
        await world.advance(1_800.0)
    waits = [later.at - earlier.at for earlier, later in itertools.pairwise(site.asked("/global"))]
    assert waits == [120, 240, 480, 960, 1_920, 3_600, 3_600]


async def test_redirects_are_not_followed(opened: Opened, world: World, site: FakeCoinGecko) -> None:
    site.plan(Reply.REDIRECT, f"{site.url}/elsewhere")
    assert await fetched(opened(), world) is None
    assert site.asked("/elsewhere") == []


async def test_proxies_of_the_environment_are_ignored(
    opened: Opened, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await fetched(opened(), world) == RECORDED


# Answers


async def test_a_coin_that_is_left_out_is_not_counted(opened: Opened, world: World, site: FakeCoinGecko) -> None:
    for coin in ("bitcoin", "polygon-ecosystem-token"):
        del site.changes[coin]
    facts = await fetched(opened(), world)
    assert facts is not None
    assert facts.breadth_fraction == 0.5


async def test_breadth_of_too_few_coins_is_unknown(opened: Opened, world: World, site: FakeCoinGecko) -> None:
    for coin in ("bitcoin", "polygon-ecosystem-token", "solana"):
        del site.changes[coin]
    assert known(await fetched(opened(), world)) == names_without("coins")


@pytest.mark.parametrize(("change", "share"), [(0.0, 0.0), (-5.0, 0.0), (0.01, 1.0), (900.0, 1.0)])
async def test_a_coin_that_did_not_move_did_not_rise(
    change: float, share: float, opened: Opened, world: World, site: FakeCoinGecko
) -> None:
    site.changes = dict.fromkeys(site.changes, change)
    facts = await fetched(opened(), world)
    assert facts is not None
    assert facts.breadth_fraction == share


@pytest.mark.parametrize(
    ("cap", "dominance", "found"),
    [
        (-100.1, 50.0, {"dominance_percent"}),
        (1_000.1, 50.0, {"dominance_percent"}),
        (3.0, 100.1, {"cap_change_percent"}),
        (3.0, -0.1, {"cap_change_percent"}),
        (-200.0, 200.0, set()),
    ],
)
async def test_what_cannot_be_is_unknown(
    cap: float, dominance: float, found: set[str], opened: Opened, world: World, site: FakeCoinGecko
) -> None:
    site.cap_change_percent, site.dominance_percent = cap, dominance
    assert known(await fetched(opened(), world)) == found | names_without("global")


@pytest.mark.parametrize(("value", "found"), [(0, True), (100, True), (101, False), (-1, False), (10**13, False)])
async def test_the_index_goes_from_0_to_100(
    value: int, found: bool, opened: Opened, world: World, site: FakeCoinGecko
) -> None:
    site.fear_greed = value
    assert ("fear_greed" in known(await fetched(opened(), world))) is found


# The key


async def test_the_key_travels_in_the_header_of_coingecko_alone(
    opened: Opened, world: World, site: FakeCoinGecko, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site.key = KEY
    assert await fetched(opened(api_key=KEY), world) == RECORDED
    for each in site.seen:
        assert KEY not in each.path + each.query
        assert (each.headers.get("x-cg-demo-api-key") == KEY) is each.path.startswith("/api/v3")
        assert (KEY in str(each.headers)) is each.path.startswith("/api/v3")
    assert KEY not in caplog.text
    assert KEY not in opened.file.read_text()


@pytest.mark.parametrize("key", [None, "another-key"])
async def test_a_key_that_is_refused_is_told_once_and_tried_once_an_hour(
    key: str | None, opened: Opened, world: World, site: FakeCoinGecko, caplog: pytest.LogCaptureFixture
) -> None:
    site.key = KEY
    contexts = opened(api_key=key)
    assert known(await fetched(contexts, world)) == {"fear_greed"}
    for _ in range(6):
        contexts.wake()
        await world.advance(1_800.0)
    assert len(site.asked("/global")) == 4
    assert site.credits == 0
    assert len(warnings(caplog)) == 2
    assert all("check the API key" in line for line in warnings(caplog))
    assert "another-key" not in caplog.text


async def test_a_key_is_not_sent_in_the_clear_to_another_machine(opened: Opened) -> None:
    with pytest.raises(CrpbotError, match="coingecko: a key is set and the base URL is not https") as caught:
        opened(api_key=KEY, base_url="http://example.com/api/v3")
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert KEY not in caught.value.detail


@pytest.mark.parametrize("key", ["with\nline", "clé", "tab\t"])
async def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str, opened: Opened) -> None:
    with pytest.raises(CrpbotError, match="coingecko: the API key has characters that no key has") as caught:
        opened(api_key=key)
    assert key not in str(caught.value)


def test_a_paid_plan_has_its_own_header() -> None:
    assert key_headers(KEY, "https://pro-api.coingecko.com/api/v3") == {"x-cg-pro-api-key": KEY}
    assert key_headers(KEY, "https://api.coingecko.com/api/v3") == {"x-cg-demo-api-key": KEY}


# The file


def test_the_file_stays_small_and_reaches_back_two_days(tmp_path: Path) -> None:
    memory = ContextMemory(tmp_path / "facts.json", {"global": 2})
    for step in range(1_000):
        memory.keep("global", Fetch(NOW_MS + 600_000 * step, (-0.31720124907949293, 47.563363609819326)))
        memory.spend(2, NOW_MS + 600_000 * step)
    asyncio.run(memory.save())
    assert len((tmp_path / "facts.json").read_bytes()) < 30_000
    again = ContextMemory(tmp_path / "facts.json", {"global": 2})
    newest = NOW_MS + 600_000 * 999
    assert again.known("global", newest) == memory.known("global", newest)
    assert again.known("global", newest - 2 * 86_400_000) is not None
    assert again.known("global", newest - 3 * 86_400_000) is None
    assert again.spent(newest) == 2_000
    assert again.spent(newest + 40 * 86_400_000) == 0
