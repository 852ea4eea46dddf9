"""Documents agree with the code: generated ones are current, and what CONTRIBUTING shows works."""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import docs
from cli.docs import documents, render_theories_page
from cli.main import app
from core.analyzers import code_hash, discover
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
from api.operations import analysis_operations
from api.readiness import Readiness
from core.settings.sources import load_settings
from pathlib import Path
from serving.app import build_local_desk

async def main():
    desk = build_local_desk(load_settings({}, Path.cwd()).settings)
    metrics = Metrics()
    gateway = Gateway(analysis_operations(desk, metrics), readiness=Readiness({}), metrics=metrics,
                      http=Address("127.0.0.1", 0), grpc=Address("127.0.0.1", 0), timeout_seconds=10)
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


SCORE = {"claim": "|vote| <= 0.1", "goal": ">= 95 %", "library": "-", "ours": "96 %"}
CONTEST = {"name": "a|b", "batch_us": 1.0, "single_us": 8.0, "library": "lib", "library_us": 40.0}
SETTING = {"day": "2026-11-20", "machine": "m", "versions": "v", "length": 500, "batch": 1_000, "rounds": 9}
TOGETHER = {"theories": 15, "single_us": 2e3, "batch_us_without_simulation": 4e2, "libraries_us": 9e5}


def record(folder: Path, theory: str, *, code: str | None = None) -> None:
    """Records of one theory, and of all together, measured on this code or on what `code` says."""
    found = code or code_hash(theory)
    facts = {"day": "2026-11-20", "seed": 7, "windows": 1_500}
    contest = {**CONTEST, "ratio": 5.0, "goal": 100.0, "alone": True}
    codes = {**{name: code_hash(name) for name in discover()}, theory: found}
    together = {**TOGETHER, **SETTING, "times_faster": 450.0, "codes": codes}
    accuracy = {"theories": {theory: {"code": found, **facts, "scores": [SCORE]}}}
    speed = {"theories": {theory: {"code": found, **SETTING, "contests": [contest]}}, "together": together}
    (folder / "accuracy.json").write_text(json.dumps(accuracy))
    (folder / "speed.json").write_text(json.dumps(speed))


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for records in place of the real one."""
    monkeypatch.setattr(docs, "MEASURED", tmp_path)
    return tmp_path


def bars(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line))


def assert_tables_are_whole(page: str) -> None:
    """Each line of a table has as many cells as the line above it."""
    lines = page.splitlines()
    broken = [
        lower
        for upper, lower in pairwise(lines)
        if upper.startswith("| ") and lower.startswith("| ") and bars(upper) != bars(lower)
    ]
    assert broken == []


@pytest.mark.usefixtures("measured")
def test_what_was_never_measured_is_said_to_be_so() -> None:
    page = render_theories_page()
    assert page.count("\nAccuracy: not measured yet.\n") == len(discover())
    assert page.count("\nSpeed: not measured yet.\n") == len(discover())
    assert "All theories together: not measured yet." in page
    assert_tables_are_whole(page)


def test_figures_stand_with_their_seed_and_day_and_a_bar_does_not_break_a_table(measured: Path) -> None:
    record(measured, "hurst_exponent")
    page = render_theories_page()
    assert "Accuracy, seed 7, 1,500 windows a case, 2026-11-20:\n" in page
    assert "| \\|vote\\| <= 0.1 | >= 95 % | - | 96 % |\n" in page
    assert "Speed, 500 candles, median of 9 rounds, 2026-11-20, m, v:\n" in page
    assert "| a\\|b | 1.0 | 8 | lib | 40 | 5.0 | 100 (alone) |\n" in page
    assert "All 15 together, 2026-11-20, m, v:\n" in page
    assert "STALE" not in page
    assert_tables_are_whole(page)


def test_figures_of_an_earlier_version_are_called_stale(measured: Path) -> None:
    record(measured, "hurst_exponent", code="earlier")
    page = render_theories_page()
    assert page.count("STALE: measured on an earlier version of this theory") == 2
    assert "All 15 together (STALE: measured before changes of hurst_exponent), " in page


def test_no_table_of_the_documents_is_broken() -> None:
    for name in ("theories.md", "settings.md", "benchmarks.md"):
        assert_tables_are_whole((ROOT / "docs" / name).read_text(encoding="utf-8"))


def test_the_printed_catalogue_names_variants_and_what_must_be_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    printed = CliRunner().invoke(app, ["theories"]).stdout
    fitted = [name for name, analyzer in discover().items() if analyzer.learning]
    assert printed.count("needs crpbot fit") == len(fitted) > 0
    assert "also: monte_carlo/filtered, monte_carlo/bootstrap" in printed


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
