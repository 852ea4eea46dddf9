"""The README's examples run, against a server on other ports than the README's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, code_blocks
from tests.serving.running import Server

pytestmark = pytest.mark.serve

BIN = Path(sys.executable).parent
# the README shows grpcurl; buf, which the lock brings, makes the same call through the same reflection
GRPCURL = """grpcurl() { "$BUF" curl --protocol grpc --http2-prior-knowledge -d "$3" "http://$4/$5"; }
"""


def run(server: Server, *command: str) -> str:
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "BUF": str(BIN / "buf"),
        "CRPBOT_URL": server.url,
        "CRPBOT__RUNTIME__STATE_FOLDER": str(server.state),
        "COLUMNS": "160",
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def moved(code: str, server: Server) -> str:
    """The example with this server's ports."""
    return code.replace("127.0.0.1:8000", f"127.0.0.1:{server.http_port}").replace(
        "127.0.0.1:9000", f"127.0.0.1:{server.grpc_port}"
    )


def test_the_shell_examples_of_the_readme_run(server: Server) -> None:
    curl, grpcurl, crpbot, *_ = code_blocks("README.md", "bash")
    answer = json.loads(run(server, "bash", "-ec", moved(curl, server)))
    assert [analysis["symbol"] for analysis in answer["analyses"]] == ["BTC-USD", "ETH-USD"]
    assert {analysis["interval"] for analysis in answer["analyses"]} == {"15m"}
    answer = json.loads(run(server, "bash", "-ec", GRPCURL + moved(grpcurl, server)))
    assert answer["analyses"][0]["symbol"] == "BTC-USD"
    assert answer["analyses"][0]["synthetic"] is True
    tables = run(server, "bash", "-ec", crpbot)
    for word in ("BTC-USD", "ETH-USD", "hurst_exponent", "DATA_PROVIDER"):
        assert word in tables


def test_the_signal_examples_of_the_readme_run(server: Server) -> None:
    curl, crpbot = code_blocks("README.md", "bash")[3:]
    first, again = (json.loads(run(server, "bash", "-ec", moved(curl, server))) for _ in range(2))
    assert [signal["symbol"] for signal in first["signals"]] == ["BTC-USD"]
    assert again == first
    printed = run(server, "bash", "-ec", crpbot)
    for word in ("BTC-USD", "daily_loss", "ftmo-2step-challenge", "kill switch pause", "news at 14:30"):
        assert word in printed
    assert "kill switch off" in printed.splitlines()[-1]
    stored = json.loads(run(server, "crpbot", "signals", "--json"))
    assert first["signals"][0]["id"] in [signal["id"] for signal in stored]
    told = f"http://127.0.0.1:{server.http_port}/v1/signals/{first['signals'][0]['id']}/explanation"
    assert json.loads(run(server, "curl", "-s", told))["sentences"]


@pytest.mark.parametrize("example", code_blocks("README.md", "python"), ids=["sdk", "grpc"])
def test_the_python_examples_of_the_readme_run(server: Server, example: str) -> None:
    assert run(server, sys.executable, "-c", moved(example, server)).strip()


def test_both_faces_give_the_same_numbers(server: Server) -> None:
    body = '{"symbol": "BTC-USD", "window": 300, "interval": "1h"}'
    call = f"grpcurl -plaintext -d '{body}' 127.0.0.1:{server.grpc_port} crpbot.v1.AnalysisService/Analyze"
    rpc = json.loads(run(server, "bash", "-ec", GRPCURL + call))["analyses"][0]
    status, rest = server.analyze(json.loads(body))
    assert status == 200
    assert rpc["asOf"] == rest["analyses"][0]["as_of"]
    told = [each.get("values", {}) for each in rpc["readings"]]  # JSON of a message leaves out what is empty
    assert told == [each["values"] for each in rest["analyses"][0]["readings"]]
