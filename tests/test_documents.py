"""Documents agree with the code: generated ones are current, and what CONTRIBUTING shows works."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.docs import documents
from tests.documents import ROOT, code_blocks

ROOMS = ("api", "cli", "client", "core", "protos", "serving", "tests", "docs", "alembic")
FILES = ("pyproject.toml", "alembic.ini", ".env.example")
NAME = "closing_position"

# asks both faces of a gateway for the new theory, and prints what each said
ASK_BOTH_FACES = """
import asyncio, json
import grpc, httpx
from protos.crpbot_pb2 import AnalyzeRequest
from protos.crpbot_pb2_grpc import AnalysisServiceStub
from api.gateway import Address, Gateway
from api.metrics import Metrics
from api.readiness import Readiness
from core.settings_sources import load_settings
from pathlib import Path
from serving.app import build_local_desk

async def main():
    desk = build_local_desk(load_settings({}, Path.cwd()).settings)
    gateway = Gateway(desk, readiness=Readiness({}), metrics=Metrics(), http=Address("127.0.0.1", 0),
                      grpc=Address("127.0.0.1", 0), timeout_seconds=10)
    running = asyncio.create_task(gateway.run())
    body = {"symbol": "BTC-USD", "theories": ["closing_position"]}
    async with httpx.AsyncClient(trust_env=False) as client:
        rest = (await client.post(f"http://127.0.0.1:{gateway.http_port}/v1/analyze", json=body)).json()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.grpc_port}") as channel:
        rpc = await AnalysisServiceStub(channel).Analyze(AnalyzeRequest(**body))
    gateway.stop()
    await running
    print(json.dumps([rest["analyses"][0]["readings"][0]["words"], rpc.analyses[0].readings[0].words]))

asyncio.run(main())
"""


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_a_generated_document_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == documents()[path], "run `make docs`"


@pytest.fixture(scope="module")
def house_with_a_fourth_theory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the house with the theory of CONTRIBUTING dropped in, and nothing else changed."""
    house = tmp_path_factory.mktemp("house")
    for room in ROOMS:
        shutil.copytree(ROOT / room, house / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, house / file)
    (house / "core" / "analyzers" / f"{NAME}.py").write_text(code_blocks("CONTRIBUTING.md", "python")[0])
    return house


def run_in(house: Path, *arguments: str) -> str:
    """A Python of the copy: its own rooms come before the installed ones."""
    environment = {**os.environ, "PYTHONPATH": str(house), "CRPBOT__RUNTIME__STATE_FOLDER": str(house / "state")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=house, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_fourth_theory_is_one_file(house_with_a_fourth_theory: Path) -> None:
    house = house_with_a_fourth_theory
    listed = json.loads(run_in(house, "-m", "cli.main", "theories", "--json"))
    assert NAME in [theory["name"] for theory in listed]
    assert NAME in run_in(house, "-m", "cli.main", "analyze", "BTC-USD", "--local", "--theory", NAME)
    run_in(house, "-m", "cli.docs")
    assert f"## {NAME}" in (house / "docs" / "theories.md").read_text()
    rest, rpc = json.loads(run_in(house, "-c", ASK_BOTH_FACES))
    assert rest == rpc
    assert rest.startswith("Closed at")


def test_the_contract_tests_find_a_fourth_theory(house_with_a_fourth_theory: Path) -> None:
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/contract/test_analyzers.py", "-k", NAME)
    assert " passed" in run_in(house_with_a_fourth_theory, *arguments)
