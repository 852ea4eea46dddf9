"""The whole server on a live exchange that is a fake: ten symbols on both faces, signed requests, doubts told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from api.body import parse_json
from api.wire import from_message
from core.analysis import AnalyzeResponse
from core.market import SYMBOLS
from protos.crpbot_pb2 import AnalyzeRequest
from protos.crpbot_pb2_grpc import AnalysisServiceStub
from tests.core.adapters.coinbase_scene import NAME, ed25519_key, p256_key
from tests.fake_coinbase import FakeCoinbase
from tests.fake_coinbase_market import Flaw
from tests.fake_coingecko import FakeCoinGecko
from tests.serving.running import CALL_SECONDS, Server, running_server

ROOT = Path(__file__).parents[2]


@contextmanager
def live_server(folder: Path, exchange: FakeCoinbase, settings: Mapping[str, str]) -> Iterator[Server]:
    """A server without Ray whose exchange and facts are the fakes'."""
    with FakeCoinGecko() as site, running_server(folder, {**lead_to(exchange, site), **settings}) as server:
        yield server


def lead_to(exchange: FakeCoinbase, site: FakeCoinGecko) -> dict[str, str]:
    """The settings of such a server."""
    return {
        "DATA_PROVIDER": "coinbase",
        "CRPBOT__SERVING__MODE": "inprocess",
        "CRPBOT__COINBASE__BASE_URL": exchange.url,
        "CRPBOT__COINBASE__REQUESTS_PER_SECOND": "30",
        "CRPBOT__COINGECKO__BASE_URL": site.coingecko_url,
        "CRPBOT__COINGECKO__FEAR_GREED_URL": site.url,
    }


def ask_grpc(server: Server, symbols: tuple[str, ...]) -> AnalyzeResponse:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        answer = AnalysisServiceStub(channel).Analyze(AnalyzeRequest(symbols=symbols), timeout=CALL_SECONDS)
        return from_message(answer, AnalyzeResponse)


def ask_rest(server: Server, symbols: tuple[str, ...]) -> AnalyzeResponse:
    status, body = server.analyze({"symbols": symbols})
    assert status == 200, body
    return parse_json(json.dumps(body).encode(), AnalyzeResponse)


@pytest.mark.serve
@pytest.mark.parametrize("make", [ed25519_key, p256_key])
def test_all_ten_symbols_are_analysed_on_both_faces_with_every_request_signed(tmp_path: Path, make: Callable) -> None:
    _, public, private = make()
    with FakeCoinbase(public_per_second=1_000, private_per_second=1_000) as exchange:
        exchange.keys[NAME] = public
        key = {"COINBASE_API_KEY_NAME": NAME, "COINBASE_API_PRIVATE_KEY": private.replace("\n", "\\n")}
        with live_server(tmp_path, exchange, key) as server:
            assert server.places["Market data"] == f"Coinbase ({exchange.url}, signed with your key)"
            for answer in (ask_rest(server, SYMBOLS), ask_grpc(server, SYMBOLS)):
                assert [analysis.symbol for analysis in answer.analyses] == list(SYMBOLS)
                assert answer.refused == ()
                for analysis in answer.analyses:
                    assert (analysis.source, analysis.synthetic, analysis.degradations) == ("coinbase", False, ())
                    assert analysis.missing == ()
            assert private not in server.logs()
        asked = exchange.asked("/candles")
        assert len(asked) >= 2 * len(SYMBOLS)
        assert all(seen.token and "/market/" not in seen.path for seen in asked)
        assert {seen.status for seen in exchange.seen} == {200}
        assert list(exchange.refused) == []


@pytest.mark.serve
def test_without_a_key_it_says_that_none_is_needed_and_faults_cost_only_their_symbols(tmp_path: Path) -> None:
    with FakeCoinbase(public_per_second=1_000) as exchange, live_server(tmp_path, exchange, {}) as server:
        assert server.places["Market data"] == f"Coinbase ({exchange.url}, no key needed)"
        exchange.plan(Flaw.STALE, part="LTC-USD/candles", times=99)
        exchange.plan(Flaw.NAN, part="XRP-USD/candles", times=99)
        rest, over_grpc = ask_rest(server, SYMBOLS), ask_grpc(server, SYMBOLS)
        for answer in (rest, over_grpc):
            assert [analysis.symbol for analysis in answer.analyses] == [each for each in SYMBOLS if each != "LTC-USD"]
            assert [(each.symbol, each.reason) for each in answer.refused] == [("LTC-USD", "STALE_MARKET_DATA")]
            doubted = {analysis.symbol: analysis.degradations for analysis in answer.analyses if analysis.degradations}
            assert {symbol: [each.reason for each in found] for symbol, found in doubted.items()} == {
                "XRP-USD": ["NOT_FINITE"]
            }
        assert not any(seen.token for seen in exchange.seen)
        assert server.analyze({"symbol": "LTC-USD"})[1]["reason"] == "STALE_MARKET_DATA"


@pytest.mark.serve
def test_a_clock_that_is_wrong_by_the_exchanges_keeps_the_server_from_being_ready(tmp_path: Path) -> None:
    slow_ms = time.time_ns() // 1_000_000 - 20_000
    with FakeCoinbase(now_ms=slow_ms) as exchange, FakeCoinGecko() as site:
        server = Server(tmp_path, lead_to(exchange, site), wait=False)
        try:
            health = server.wait_for("/health/ready", 503)
        finally:
            server.end()
    problems = {each["name"]: each["problem"] for each in health["conditions"]}
    assert re.search(r"clock is \+\d+\.\d s from the exchange's, and more than \d+ s", problems["market"])
    assert problems["market"].endswith("set the clock")
    assert problems["ledger"] is None


def test_make_run_hands_the_provider_on(tmp_path: Path) -> None:
    program = tmp_path / "crpbot"
    program.write_text('#!/bin/sh\necho "$1 $DATA_PROVIDER"\n')
    program.chmod(0o755)
    command = ["make", "run", "DATA_PROVIDER=coinbase", f"BIN={tmp_path}", "--old-file=.venv/.installed"]
    # a make above this one (`make test`) would be told about in the output
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    ended = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, timeout=300, check=True)
    assert ended.stdout == "serve coinbase\n"
