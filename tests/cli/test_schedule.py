"""`crpbot schedule`, `signal` and `signals` against a server of real HTTP: what they ask, show and refuse."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cli.signals.commands import spell_short
from cli.signals.console import Screen, Start, Statistics
from cli.signals.schedule import Order, run
from cli.signals.sides import line_up, print_sides
from client.agreement import Expected, Limits, find_looser
from client.happenings import Scanned, Tally, Tick, Waiting
from core.errors import CrpbotError
from core.signal import Degradation, RuntimeMode, Signal, Strategy
from core.trade import Book, Direction, Tier
from serving.processes import free_ports
from tests.cli.conftest import ROOT, Crpbot, clean_environment
from tests.fake_signals import BUY, HOLD, SPEND, VETOED, FakeSignals, as_json

ESCAPE = "\x1b["
ONCE = ("schedule", "--iterations", "1")


@pytest.fixture
def fake() -> Iterator[FakeSignals]:
    with FakeSignals() as server:
        yield server


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_scan_shows_what_runs_every_symbol_and_what_it_cost(fake: FakeSignals, crpbot: Crpbot) -> None:
    ended = crpbot(*ONCE, "--url", fake.url, CRPBOT__LLM__DAILY_BUDGET_USD="5")
    assert ended.returncode == 0, ended.stderr
    [call] = fake.calls
    assert len(call.body["symbols"]) == 10
    assert "mode" not in call.body
    shown = ended.stdout
    for words in ("every 300 s, 4 s after the close", "3 signals an hour", "5.00 USD a day, 150.00 USD a month"):
        assert words in shown
    assert shown.count("· HOLD") == 10
    assert "day 0.42 of 5.00 USD · month 7.50 of 150.00 USD" in shown
    assert ESCAPE not in shown, "no colour where no terminal is"


def test_programs_get_a_json_object_a_line(fake: FakeSignals, crpbot: Crpbot) -> None:
    ended = crpbot(*ONCE, "--symbols", "ETH-USD,btc/usd", "--json", CRPBOT_URL=fake.url)
    told = lines_of(ended.stdout)
    assert [each["event"] for each in told] == ["start", "scan", "signal", "signal", "statistics"]
    assert [each["symbol"] for each in told[2:4]] == ["ETH-USD", "BTC-USD"]
    assert told[2] == {"event": "signal", **fake.decided["ETH-USD", fake.calls[0].body["slot"]]}
    assert (told[4]["scans"], told[4]["missed"], told[4]["spend"]["day_calls"]) == (1, 0, 1_021)


def test_the_spellings_of_other_tools_are_understood(fake: FakeSignals, crpbot: Crpbot) -> None:
    spelled = ("--symbols", "BTC-USD", "ETH-USD", "--conservative", "False", "--max-signals", "3", "--iterations", "1")
    ended = crpbot("schedule", *spelled, "--url", fake.url)
    assert ended.returncode == 0, ended.stderr
    assert fake.calls[0].body["symbols"] == ["BTC-USD", "ETH-USD"]
    assert fake.calls[0].body["mode"] == "aggressive"


@pytest.mark.parametrize(
    ("typed", "short"),
    [
        (["--conservative", "True", "--json"], ["--conservative", "--json"]),
        (["--aggressive", "false"], ["--conservative"]),
        (["--conservative"], ["--conservative"]),
        (["--symbols", "A", "B", "--symbols", "C", "-x"], ["--symbols", "A,B", "--symbols", "C", "-x"]),
        (["--symbols"], ["--symbols"]),
    ],
)
def test_long_spellings_become_short_ones(typed: list[str], short: list[str]) -> None:
    assert spell_short(typed) == short


@pytest.mark.parametrize(
    ("flags", "remedy"),
    [
        (("--max-signals-per-hour", "2"), "MAX_SIGNALS_PER_HOUR=2"),
        (("--daily-budget", "4.99"), "CRPBOT__LLM__DAILY_BUDGET_USD=4.99"),
        (("--monthly-budget", "100"), "CRPBOT__LLM__MONTHLY_BUDGET_USD=100"),
    ],
)
def test_a_server_that_allows_more_than_was_said_is_not_asked(
    fake: FakeSignals, crpbot: Crpbot, flags: tuple[str, str], remedy: str
) -> None:
    ended = crpbot(*ONCE, *flags, "--url", fake.url)
    assert ended.returncode == 1
    assert remedy in ended.stderr
    assert "Traceback" not in ended.stderr
    assert fake.calls == []


def test_a_server_that_allows_less_is_safe() -> None:
    limits = Limits(3, Decimal(5), Decimal(150))
    assert find_looser(Expected(3, Decimal(5), Decimal("150.00")), limits) == ()
    assert find_looser(Expected(60, Decimal(6), Decimal(151)), limits) == ()
    assert find_looser(Expected(), limits) == ()
    assert len(find_looser(Expected(2, Decimal("4.99"), Decimal(149)), limits)) == 3


def test_live_must_be_said_twice(fake: FakeSignals, crpbot: Crpbot) -> None:
    once = crpbot(*ONCE, "--mode", "live", "--url", fake.url)
    assert once.returncode == 1
    assert "--mode live --confirm live" in once.stderr
    assert fake.calls == []
    twice = crpbot(*ONCE, "--mode", "live", "--confirm", "live", "--url", fake.url)
    assert twice.returncode == 0, twice.stderr


@pytest.mark.parametrize(("told", "calls"), [(None, 0), (RuntimeMode.DRYRUN, 1)])
def test_a_live_server_is_told_apart_before_the_first_call_and_one_that_became_live_ends_the_scheduler(
    fake: FakeSignals, crpbot: Crpbot, told: RuntimeMode | None, calls: int
) -> None:
    here = crpbot(*ONCE, "--mode", "dryrun", RUNTIME_MODE="live", DATA_PROVIDER="coinbase")
    assert here.returncode == 1
    assert "RUNTIME_MODE=dryrun" in here.stderr
    fake.template, fake.mode = replace(HOLD, runtime_mode=RuntimeMode.LIVE), told
    there = crpbot("schedule", "--iterations", "3", "--url", fake.url)
    assert there.returncode == 1
    assert "the server is live and you said dryrun" in there.stderr
    assert len(fake.calls) == calls


def test_a_slot_is_never_shorter_than_a_candle(fake: FakeSignals, crpbot: Crpbot) -> None:
    settings = {"CRPBOT__MARKET__INTERVAL": "15m", "CRPBOT_URL": fake.url}
    assert lines_of(crpbot(*ONCE, "--json", **settings).stdout)[0]["interval_seconds"] == 900
    assert lines_of(crpbot(*ONCE, "--json", "--interval", "1h", **settings).stdout)[0]["interval_seconds"] == 3_600
    assert [call.body.get("interval") for call in fake.calls] == [None, "1h"]
    assert fake.calls[0].body["slot"][14:] in {"00:00Z", "15:00Z", "30:00Z", "45:00Z"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--sleep-seconds", "5"), "--sleep-seconds: 5 s between scans; 10 to 86400 are allowed"),
        (("--iterations", "0"), "--iterations: 0 scans"),
        (("--mode", "wild"), "--mode: 'wild' is neither dryrun nor live"),
        (("--symbols", "NOPE-USD"), "NOPE-USD"),
        (("--daily-budget", "NaN"), "is not an amount"),
    ],
)
def test_a_flag_that_cannot_be_meant_is_told(crpbot: Crpbot, flags: tuple[str, str], words: str) -> None:
    ended = crpbot("schedule", *flags)
    assert ended.returncode != 0
    assert words in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def start(folder: Path, url: str, *flags: str) -> subprocess.Popen[str]:
    """A scheduler without end."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", "schedule", "--json", "--symbols", "BTC-USD", "--url", url, *flags],
        cwd=folder,
        env={**clean_environment(), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_until(scheduler: subprocess.Popen[str], event: str) -> dict[str, Any]:
    assert scheduler.stdout is not None
    for line in scheduler.stdout:
        told: dict[str, Any] = json.loads(line)
        if told["event"] == event:
            return told
    raise AssertionError(f"ended before {event}: {scheduler.communicate()}")


def test_a_second_scheduler_ends_with_its_own_status_or_stands_by_until_the_first_is_gone(
    fake: FakeSignals, tmp_path: Path
) -> None:
    first = start(tmp_path, fake.url)
    read_until(first, "statistics")
    second = start(tmp_path, fake.url)
    told, _ = second.communicate(timeout=300)
    assert second.returncode == 3
    assert f"pid {first.pid}" in told
    third = start(tmp_path, fake.url, "--stand-by")
    assert "standing by" in read_until(third, "note")["detail"]
    assert len(fake.calls) == len({call.body["slot"] for call in fake.calls}), "the first asked alone"
    first.kill()
    first.communicate(timeout=300)
    read_until(third, "statistics")
    assert len(fake.decided) == len({call.body["slot"] for call in fake.calls}), "one signal a slot"
    third.send_signal(signal.SIGTERM)
    third.communicate(timeout=300)
    assert third.returncode == 0


class Hurried:
    """A clock on which a second passes as soon as somebody waits for it."""

    passed = 0.0

    def wall(self) -> float:
        return 1_795_262_800.0 + self.passed

    def steady(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


@pytest.mark.usefixtures("empty_folder")
def test_a_server_that_does_not_come_up_within_half_a_minute_ends_the_start() -> None:
    [port] = free_ports(1)
    clock = Hurried()
    with pytest.raises(CrpbotError, match="no server answers"):
        run(Order(("BTC-USD",), url=f"http://127.0.0.1:{port}"), clock)
    assert clock.passed == 30.0


def test_a_signal_of_now_shows_every_theory_and_names_what_was_refused(fake: FakeSignals, crpbot: Crpbot) -> None:
    fake.template = BUY
    ended = crpbot("signal", "BTC-USD", "NOPE-USD", "--aggressive", "--url", fake.url)
    assert ended.returncode == 1, "one symbol was refused"
    assert fake.calls[0].body == {"symbols": ["BTC-USD", "NOPE-USD"], "mode": "aggressive"}
    for words in (
        "▲ BUY BTC-USD",
        "84,120.5",
        "+1.32 % in 24 h",
        "2026-11-21 12:05:06 UTC",
        "confidence 78 % high",
        "hurst_exponent",
        "┃███",
        "not fitted for this coin",
        "LLM 0.00041 USD (deepseek-flash, 1.8 s)",
        "firm's rules kept",
        "0.1 lots, 49.05 USD at risk",
        "UNKNOWN_SYMBOL",
    ):
        assert words in ended.stdout


def test_stored_signals_are_listed_over_pages_and_filtered_by_the_server(fake: FakeSignals, crpbot: Crpbot) -> None:
    fake.stored = [{**as_json(HOLD), "id": str(number)} for number in range(250)]
    fake.stored[3]["direction"] = "BUY"
    listed = crpbot("signals", "--limit", "230", "--symbol", "ETH-USD", "--json", "--url", fake.url)
    assert [each["id"] for each in json.loads(listed.stdout)] == [str(number) for number in range(230)]
    assert [asked["limit"] for _, asked in fake.asked] == ["100", "100", "30"]
    assert [asked.get("cursor") for _, asked in fake.asked] == [None, "100", "200"]
    found = crpbot("signals", "--direction", "BUY", "--json", "--url", fake.url)
    assert [each["id"] for each in json.loads(found.stdout)] == ["3"]


def shadow(signal: Signal, strategy: Strategy, direction: Direction, **changes: Any) -> dict[str, Any]:
    """What another strategy decided on the same candle, a moment later."""
    later = signal.timestamp + timedelta(seconds=1)
    values = {"direction": direction, "timestamp": later, "book": Book.SHADOW, "account": "shadow", **changes}
    return as_json(replace(signal, strategy=strategy, **values))


@pytest.mark.parametrize("columns", ["80", "120"])
def test_strategies_are_listed_side_by_side_with_the_mark_of_what_is_published(
    fake: FakeSignals, crpbot: Crpbot, columns: str
) -> None:
    other = replace(HOLD, slot=HOLD.slot and HOLD.slot - timedelta(minutes=5), symbol="BTC-USD", confidence=0.51)
    fake.stored = [
        shadow(BUY, Strategy.VOTE, Direction.HOLD, confidence=0.56, tier=Tier.LOW),
        shadow(BUY, Strategy.V6, Direction.SELL, confidence=0.7, tier=Tier.MEDIUM),
        shadow(BUY, Strategy.V7, Direction.SELL, confidence=0.99),  # the other variant
        shadow(other, Strategy.V6, Direction.SELL, confidence=0.98),  # of another slot
        *(as_json(each) for each in (BUY, HOLD)),
    ]
    ended = crpbot("signals", "--url", fake.url, COLUMNS=columns)
    head, first, second, *notes = ended.stdout.splitlines()
    assert re.search("V7 theories +V6 models +vote", head)
    assert re.findall(r"(●?)[▲▼·] (\w+) +(\d+)% ?(\w*)", first) == [
        ("●", "BUY", "78", "high"),
        ("", "SELL", "70", "medium"),
        ("", "HOLD", "56", "low"),
    ]
    assert "ETH-USD" in second
    assert second.count("no model") == 2
    assert "is published" in notes[0]
    told = " ".join(" ".join(notes).split())
    assert "none is promoted for ETH-USD" in told
    assert "make train COIN=ETH, about 3 minutes on two cores, then crpbot promote" in told
    assert max(len(line) for line in ended.stdout.splitlines()) <= int(columns)
    for named in (("--book", "shadow"), ()):
        listed = crpbot("signals", "--strategy", "v6", *named, "--json", "--url", fake.url)
        assert [each["confidence"] for each in json.loads(listed.stdout)] == [0.7, 0.98]
    both = crpbot("signals", "--strategy", "v7", "--limit", "2", "--json", "--url", fake.url)
    assert [each["book"] for each in json.loads(both.stdout)] == ["shadow", "primary"]


def model(**facts: Any) -> dict[str, Any]:
    return {"state": "promoted", "symbols": ["ETH-USD"], "fault": None, **facts}


@pytest.mark.parametrize("models", [None, [model()], [model(state="damaged", symbols=[], fault="cut off")]])
def test_no_model_is_said_only_where_none_is_promoted_and_else_that_nothing_was_compared(
    fake: FakeSignals, crpbot: Crpbot, models: list[dict[str, Any]] | None
) -> None:
    fake.stored, fake.models = [as_json(HOLD)], models
    listed = crpbot("signals", "--url", fake.url, COLUMNS="80").stdout
    assert "no model" not in listed.splitlines()[1]
    assert listed.splitlines()[1].split()[-2:] == ["-", "-"]
    assert "was not compared" in listed
    fake.models = [model(state="kept"), model(symbols=["BTC-USD"])]
    assert crpbot("signals", "--url", fake.url).stdout.splitlines()[1].count("no model") == 2


def test_beside_a_decision_of_the_models_no_model_is_never_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_sides(Console(width=120), line_up([as_json(replace(BUY, strategy=Strategy.V6))], []), frozenset({"BTC-USD"}))
    shown = capsys.readouterr().out
    assert "no model" not in shown.splitlines()[1]
    assert "make train" not in shown


def test_a_published_strategy_without_a_model_says_so_and_what_was_not_compared_says_no_more_than_is_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    doubt = Degradation("no_model", "no lstm is promoted for ETH-USD")
    lost = as_json(replace(HOLD, strategy=Strategy.V6, degraded=True, degradations=(doubt,)))
    unread = as_json(replace(HOLD, symbol="ADA-USD", as_of=None))
    print_sides(Console(width=120), line_up([lost, unread], []))
    _, first, second, *_ = capsys.readouterr().out.splitlines()
    assert "● no model" in first
    assert "no lstm is promoted for ETH-USD" in first
    assert "no model" not in second
    print_sides(Console(width=120), line_up([unread], []), frozenset({"ADA-USD"}))
    assert capsys.readouterr().out.splitlines()[1].count("no model") == 2, "also where the account stopped it at once"
    print_sides(Console(width=80), line_up([as_json(replace(BUY, confidence=0.9998))], []))
    assert "BUY  99%" in capsys.readouterr().out, "nothing is certain, and the column is as wide as before"


def test_models_that_are_promoted_and_do_not_speak_are_silent_and_need_no_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    doubt = Degradation("models_silent", "lstm-1a2b3c4d does not speak: it is promoted and is not loaded yet")
    quiet = as_json(replace(HOLD, strategy=Strategy.V6, degraded=True, degradations=(doubt,)))
    print_sides(Console(width=120), line_up([quiet], []))
    shown = capsys.readouterr().out
    assert "● silent" in shown.splitlines()[1]
    assert f"silent: {doubt.detail}" in " ".join(shown.split())
    assert "make train" not in shown
    assert "no model:" not in shown
    assert "it failed (crpbot_comparisons_failed_total in /metrics, and the server's log)" in " ".join(shown.split())


def event(number: int, *, kind: str | None = None) -> bytes:
    told = {"sequence": number, "signal": {**as_json(HOLD), "id": str(number), "reasoning": "up \u2028 down"}}
    named = b"" if kind is None else b"event: " + kind.encode() + b"\n"
    return named + b"id: %d\ndata: " % number + json.dumps(told, ensure_ascii=False).encode() + b"\n\n"


def test_followed_signals_go_on_after_the_last_one_seen_when_the_line_breaks(fake: FakeSignals, crpbot: Crpbot) -> None:
    cut = event(8)[:40]
    problem = b'event: problem\ndata: {"detail": "the server ends", "reason": "STOPPING"}\n\n'
    fake.streams = [b": still here\n\n" + event(5) + event(7) + cut, event(8) + problem]
    ended = crpbot("signals", "--follow", "--json", "--url", fake.url)
    assert [each["id"] for each in lines_of(ended.stdout)] == ["5", "7", "8"]
    assert lines_of(ended.stdout)[0]["reasoning"] == "up \u2028 down"
    assert fake.resumed == [None, "7"]
    assert ended.returncode == 1
    assert "the server ends" in ended.stderr


def test_a_followed_stream_shows_what_is_wanted_and_loses_no_place(fake: FakeSignals, crpbot: Crpbot) -> None:
    other = event(6).replace(b"ETH-USD", b"BTC-USD")
    fake.streams = [event(5) + other, b'event: problem\ndata: {"detail": "the server ends"}\n\n']
    ended = crpbot("signals", "-f", "-s", "ETH-USD", "--json", "--url", fake.url)
    assert [each["id"] for each in lines_of(ended.stdout)] == ["5"]
    assert fake.resumed == [None, "6"]


def test_the_shadow_book_can_be_followed_and_its_signals_say_that_they_only_compare(
    fake: FakeSignals, crpbot: Crpbot
) -> None:
    other = {"sequence": 9, "signal": shadow(BUY, Strategy.V6, Direction.BUY)}
    fake.streams = [
        b"id: 9\ndata: " + json.dumps(other).encode() + b"\n\n" + b'event: problem\ndata: {"detail": "it ends"}\n\n'
    ]
    ended = crpbot("signals", "-f", "--book", "shadow", "--strategy", "v6", "--url", fake.url)
    assert fake.asked == [("/v1/signals/stream", {"book": "shadow"})]
    assert "BUY BTC-USD" in ended.stdout
    assert "v6 compares, not published" in " ".join(ended.stdout.split())


def test_a_followed_strategy_without_its_book_is_refused_instead_of_waited_for(
    fake: FakeSignals, crpbot: Crpbot
) -> None:
    ended = crpbot("signals", "--follow", "--strategy", "v6", "--url", fake.url)
    assert ended.returncode != 0
    assert "--book shadow for what compares" in " ".join(ended.stderr.split())
    assert fake.asked == []


def test_what_is_no_stream_is_told(fake: FakeSignals, crpbot: Crpbot) -> None:
    ended = crpbot("signals", "--follow", "--url", fake.url)
    assert ended.returncode == 1
    assert "no such path" in ended.stderr


def shown(screen: io.StringIO) -> str:
    return screen.getvalue()


def scan(*signals: dict[str, Any], missed: int = 0) -> Scanned:
    tick = Tick(1_795_262_700, 1_795_262_704.0, 0.0, 34.0, missed)
    return Scanned(tick, signals, (), 1, 1.9)


def test_a_hold_is_one_line_with_its_veto_and_the_header_names_what_was_missed() -> None:
    screen = io.StringIO()
    watcher = Screen(Console(file=screen, width=120))
    watcher.tell(scan(as_json(HOLD), as_json(VETOED), missed=11))
    header, first, second = shown(screen).strip().splitlines()
    assert "2026-11-21 12:05:00 UTC" in header
    assert "invented prices" in header
    assert "11 slots missed  late by 34 s" in header
    assert first.startswith("· HOLD ETH-USD")
    assert "3 up, 2 down" in first
    assert "daily_loss_guard: the day's loss is at the guard" in second


def test_a_fall_is_red_and_a_rise_green_on_a_terminal_and_neither_with_no_color(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fall = {**as_json(BUY), "direction": Direction.SELL.value}
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = io.StringIO()
    Screen(Console(file=coloured, force_terminal=True, width=140)).tell(scan(as_json(BUY), fall))
    assert f"{ESCAPE}1;32m▲ BUY" in shown(coloured)
    assert f"{ESCAPE}1;31m▼ SELL" in shown(coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = io.StringIO()
    Screen(Console(file=plain, force_terminal=True, width=140)).tell(scan(as_json(BUY), fall))
    assert "▼ SELL" in shown(plain)
    assert "32m" not in shown(plain)
    assert "31m" not in shown(plain)


def test_a_terminal_counts_down_to_the_next_scan_and_a_log_does_not() -> None:
    terminal, log = io.StringIO(), io.StringIO()
    watcher = Screen(Console(file=terminal, force_terminal=True, width=100))
    watcher.tell(Waiting(151.0, 300.0))
    watcher.close()
    assert "next scan in" in shown(terminal)
    assert " 2:31 " in shown(terminal)
    assert shown(terminal).rfind(f"{ESCAPE}?25h") > shown(terminal).rfind(f"{ESCAPE}?25l"), "the cursor is back"
    Screen(Console(file=log, width=100)).tell(Waiting(151.0, 300.0))
    assert shown(log) == ""


def test_the_statistics_count_calls_and_cost_and_quote_the_win_rate() -> None:
    statistics = Statistics()
    statistics.count(scan(as_json(BUY), as_json(BUY), as_json(HOLD)))
    statistics.spend = {"day_spent_usd": "4.1", "day_cap_usd": "5", "day_alarm": True,
                        "month_spent_usd": "7.5", "month_cap_usd": "150", "month_alarm": SPEND.month_alarm}  # fmt: skip
    screen = io.StringIO()
    Screen(Console(file=screen, width=200)).sum_up(statistics, Tally(scans=1, overlapped=2))
    assert "2 signals in 1 scan · 2 left out · LLM calls 2, 0.00082 USD · day 4.10 of 5.00 USD (!)" in shown(screen)
    assert "Bayesian win rate: Not decidable yet: win rate 58.3 % of 12 closed trades." in shown(screen)


def test_scans_go_on_when_the_terminal_is_gone() -> None:
    begin = Start("http://x", ("BTC-USD",), 300, 4.0, -1, None, 3, Decimal(5), Decimal(150), "dryrun")
    with Path("/dev/full").open("w") as gone:
        watcher = Screen(Console(file=gone, force_terminal=True))
        watcher.start(begin)
        watcher.tell(scan(as_json(BUY)))
        watcher.tell(Waiting(1.0, 300.0))
        watcher.close()
        with suppress(OSError):
            gone.close()
