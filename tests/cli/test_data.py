"""`crpbot data`: what is fetched, validated, made into features and drawn, and that a killed download loses nothing."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from cli.data.chart import MOST_BARS, Marks, draw, gather
from cli.data.commands import data
from cli.data.quality import Verdict
from cli.data.work import Order, features, fetch, parse_instant, plot, validate
from cli.progress import bar
from core.adapters.history.download import Outcome
from core.adapters.history.file import KEY, read_memo
from core.adapters.history.raw_file import read_raw
from core.errors import Code, CrpbotError
from core.features import FEATURES, WARM_UP, tabulate
from core.market import COLUMNS, SYMBOLS, Candles
from tests.cli.conftest import clean_environment
from tests.cli.downloads import start_download
from tests.core.histories import (
    DAY_MS,
    GAP_OF_TWO,
    HOLE,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    START_MS,
    FakeHistory,
    rows_of,
)

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"

app = typer.Typer()
app.add_typer(data, name="data")

Table = dict[str, np.ndarray]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["data", *arguments])


def fetch_days(folder: Path, source: FakeHistory, *, end: str = "2025-01-04", **order: Any) -> list[Outcome]:
    wanted = Order(**{"symbols": ("BTC-USD",), "intervals": ("1m",), "start": "2025-01-01", "end": end, **order})
    return fetch(replace(wanted, output=folder), source, lambda *_: None, clock=lambda: NOW_MS)


def table(days: float = 3.0) -> Table:
    rows = rows_of("BTC-USD", "1m", START_MS, START_MS + round(days * DAY_MS))
    return {"timestamp": rows.open_times, **{name: getattr(rows, name) for name in COLUMNS}}


def save(path: Path, rows: Table, metadata: dict[bytes, bytes] | None = None) -> Path:
    written = pa.table(rows)
    pq.write_table(written.replace_schema_metadata(metadata) if metadata else written, path)
    return path


def without(rows: Table, *places: int | slice) -> Table:
    return {name: np.delete(column, np.r_[places]) for name, column in rows.items()}


def verdict_on(path: Path) -> Verdict:
    (verdict,) = validate(path)
    return verdict


def kinds(verdict: Verdict) -> dict[str, int]:
    return {finding.kind: finding.candles for finding in verdict.findings}


def spoilt(rows: Table, column: str, where: np.ndarray, value: float) -> Table:
    return {**rows, column: np.where(where, value, rows[column])}


MINUTES = np.arange(4_320)
# what is done to three good days, the candles concerned by what is found, and whether they may be trained on
CHANGES: list[tuple[Callable[[Table], Table], dict[str, int], bool]] = [
    (lambda rows: rows, {}, True),
    (lambda rows: without(rows, slice(100, 102)), {"missing": 2}, True),
    (lambda rows: without(rows, slice(100, 110)), {"gap": 10}, True),
    (lambda rows: without(rows, slice(100, 400)), {"gap": 300}, False),
    (lambda rows: without(rows, *range(0, 4_320, 2)), {"missing": 2_159}, False),
    (lambda rows: {name: column[::-1] for name, column in rows.items()}, {"out_of_order": 4_319}, True),
    (lambda rows: spoilt(rows, "volume", MINUTES >= 0, 0.0), {"zero_volume": 4_320}, True),
    (lambda rows: spoilt(rows, "close", MINUTES == 9, np.nan), {"not_finite": 1, "missing": 1}, True),
    (lambda rows: spoilt(rows, "close", MINUTES % 50 == 9, np.nan), {"not_finite": 87, "missing": 87}, False),
    (lambda rows: {**rows, "timestamp": rows["timestamp"] + 7_300 * DAY_MS}, {"future": 4_320, "no_candles": 1}, False),
    (lambda rows: {name: column[:1] for name, column in rows.items()}, {"too_short": 1}, False),
    (lambda rows: {name: column[:0] for name, column in rows.items()}, {"no_candles": 1}, False),
]


class TestFetch:
    def test_symbols_in_any_spelling_and_several_intervals(self, tmp_path: Path) -> None:
        source = FakeHistory()
        outcomes = fetch_days(tmp_path, source, symbols=("btc/usd", "ETH-USD", "BTC-USD"), intervals=("1m", "1h", "1m"))
        assert [(each.symbol, each.interval, each.candles) for each in outcomes] == [
            ("BTC-USD", "1m", 4_320),
            ("BTC-USD", "1h", 72),
            ("ETH-USD", "1m", 4_320),
            ("ETH-USD", "1h", 72),
        ]

    def test_no_symbol_means_all_ten_and_no_end_means_now(self, tmp_path: Path) -> None:
        outcomes = fetch_days(tmp_path, FakeHistory(), symbols=(), intervals=("1d",), end=None)
        assert tuple(each.symbol for each in outcomes) == SYMBOLS
        assert {each.candles for each in outcomes} == {364}  # the last day has not settled

    @pytest.mark.parametrize(
        ("order", "words"),
        [
            ({"symbols": ("XMR-USD",)}, "unknown symbol 'XMR-USD'"),
            ({"intervals": ("7m",)}, "unknown interval '7m'"),
            ({"start": "yesterday"}, "start: 'yesterday' is no date; write it as 2024-11-21"),
            ({"end": "2025-13-01"}, "end: '2025-13-01' is no date"),
        ],
    )
    def test_what_cannot_be_fetched_is_refused_before_anything_is_asked(
        self, tmp_path: Path, order: dict[str, Any], words: str
    ) -> None:
        source = FakeHistory()
        with pytest.raises(CrpbotError, match=re.escape(words)):
            fetch_days(tmp_path, source, **order)
        assert source.asked == []

    @pytest.mark.parametrize(
        ("text", "milliseconds"),
        [
            ("2025-01-01", START_MS),
            ("2025-01-01T00:01", START_MS + MINUTE_MS),
            ("2025-01-01T01:00+01:00", START_MS),
            ("2025-01-01 00:00:00Z", START_MS),
        ],
    )
    def test_dates_are_utc_where_no_zone_is_named(self, text: str, milliseconds: int) -> None:
        assert parse_instant(text, "start") == milliseconds

    def test_the_source_is_closed_whatever_happens(self, tmp_path: Path) -> None:
        class Closing(FakeHistory):
            closed = 0

            async def close(self) -> None:
                self.closed += 1

        source = Closing()
        fetch_days(tmp_path, source)
        source.fault = lambda *_: (_ for _ in ()).throw(CrpbotError(Code.NOT_FOUND, "gone", reason="GONE"))
        (outcome,) = fetch_days(tmp_path, source, end="2025-01-09")
        assert outcome.problem
        assert source.closed == 2

    def test_the_command_downloads_the_synthetic_market_and_goes_on_where_it_ended(self, empty_folder: Path) -> None:
        command = ("fetch", "--symbol", "BTC-USD", "-s", "ETH-USD", "--interval", "1h", "--provider", "synthetic")
        first = run(*command, "--start", "2025-01-01", "--end", "2025-01-11")
        assert first.exit_code == 0, first.output
        assert "BTC-USD 1h  240 candles, 2025-01-01 00:00 to 2025-01-10 23:00 UTC" in first.stdout
        longer = run(*command, "--start", "2025-01-01", "--end", "2025-01-12", "--json")
        assert longer.exit_code == 0, longer.output
        assert [(each["symbol"], each["candles"], each["problem"]) for each in json.loads(longer.stdout)] == [
            ("BTC-USD", 264, None),
            ("ETH-USD", 264, None),
        ]
        assert sorted(path.name for path in (empty_folder / "data" / "raw").iterdir()) == [
            "BTC-USD_1h_20250101_20250111.parquet",
            "ETH-USD_1h_20250101_20250111.parquet",
        ]

    def test_a_series_that_fails_gives_status_1_and_says_what_to_do(self, empty_folder: Path) -> None:
        ended = run("fetch", "-s", "BTC-USD", "--start", "2030-01-01", "--end", "2031-01-01", "--provider", "synthetic")
        assert ended.exit_code == 1
        assert "has settled" in ended.stdout

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--start", "2025-01-01"], "name symbols with --symbol BTC-USD, or take all ten with --all"),
            (["--start", "2025-01-01", "-s", "BTC-USD", "--all"], "or take all ten with --all"),
            (["--start", "2025-01-01", "--all", "--provider", "replay"], "replay has no history to download"),
        ],
    )
    def test_a_wrong_command_is_told_in_words(self, empty_folder: Path, arguments: list[str], words: str) -> None:
        ended = run("fetch", *arguments)
        assert isinstance(ended.exception, CrpbotError)
        assert words in ended.exception.detail


class TestProgress:
    def test_without_a_terminal_counted_work_is_told_at_its_end_with_its_rate(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with bar("fetching", unit="candles") as tell:
            for done in range(1_000, 11_000, 1_000):
                tell(done, 10_000, "BTC-USD 1m")
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert re.fullmatch(r"10,000 of 10,000: BTC-USD 1m; [\d,]+ candles/s, 0:00:00 left", lines[0])

    def test_without_a_unit_every_step_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        with bar("fitting") as tell:
            tell(1, 2, "a")
            tell(2, 2, "b")
        assert capsys.readouterr().err.splitlines() == ["1 of 2: a", "2 of 2: b"]

    def test_a_terminal_sees_a_bar_with_rate_and_time_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import io

        from rich.console import Console

        import cli.progress

        screen = io.StringIO()
        terminal = Console(file=screen, force_terminal=True, width=120)
        monkeypatch.setattr(cli.progress, "console", lambda **_: terminal)
        with bar("fetching", unit="candles") as tell:
            for done in (1_000, 2_000, 3_000):
                tell(done, 10_000, "BTC-USD 1m")
                time.sleep(0.15)
        shown = screen.getvalue()
        assert "fetching" in shown
        assert "candles/s" in shown
        assert re.search(r"\d:\d\d:\d\d", shown)


class TestValidate:
    def test_what_the_exchange_has_not_is_told_from_what_was_lost(self, tmp_path: Path) -> None:
        (outcome,) = fetch_days(tmp_path, FakeHistory(holes=[GAP_OF_TWO, HOLE]))
        assert outcome.file is not None
        whole = verdict_on(outcome.file)
        assert kinds(whole) == {"not_traded": 362}
        assert whole.reasons == ()
        rows = dict(zip(("timestamp", *COLUMNS), read_raw(outcome.file), strict=True))
        footer = {KEY: pq.read_metadata(outcome.file).metadata[KEY]}
        lost = verdict_on(save(outcome.file, without(rows, slice(2_000, 2_010)), footer))
        assert kinds(lost) == {"not_traded": 362, "lost": 10}
        assert lost.reasons == ("lost: 10 candles; the longest hole has 10 from 2025-01-02T15:22:00Z",)

    def test_rows_that_no_download_brought_are_told(self, tmp_path: Path) -> None:
        (outcome,) = fetch_days(tmp_path, FakeHistory(holes=[HOLE]))
        assert outcome.file is not None
        footer = {KEY: pq.read_metadata(outcome.file).metadata[KEY]}
        added = verdict_on(save(outcome.file, table(4.0), footer))
        assert "added" in kinds(added)
        assert any(reason.startswith("added: 360 candles") for reason in added.reasons)
        assert any(reason.startswith("added: 1440 candles") for reason in added.reasons)

    def test_revisions_and_candles_that_were_never_told_usably_are_findings(self, tmp_path: Path) -> None:
        def spoil(symbol: str, begin: int, rows: Any) -> Any:
            closes = np.where(rows.open_times == START_MS + 700 * MINUTE_MS, np.nan, rows.close)
            return rows._replace(close=closes)

        fetch_days(tmp_path, FakeHistory(fault=spoil))

        def spoil_and_change(symbol: str, begin: int, rows: Any) -> Any:
            return spoil(symbol, begin, rows)._replace(volume=rows.volume + (rows.open_times == START_MS))

        changed = FakeHistory(fault=spoil_and_change)
        (outcome,) = fetch_days(tmp_path, changed, again=True)
        assert outcome.file is not None
        found = verdict_on(outcome.file)
        assert kinds(found) == {"not_told": 1, "revised": 1}
        assert found.reasons == ()

    @pytest.mark.parametrize(("change", "expected", "trained_on"), CHANGES)
    def test_what_must_not_be_trained_on(
        self, tmp_path: Path, change: Callable[[Table], Table], expected: dict[str, int], trained_on: bool
    ) -> None:
        path = save(tmp_path / "BTC-USD_1m_20250101_20250103.parquet", change(table()))
        found = verdict_on(path)
        assert kinds(found) == expected
        assert (not found.reasons) is trained_on
        assert run("validate", "--input", str(path)).exit_code == (0 if trained_on else 1)

    def test_a_foreign_coin_and_a_foreign_name_of_the_time_are_examined_too(self, tmp_path: Path) -> None:
        rows = table()
        rows["ts"] = rows.pop("timestamp")
        found = verdict_on(save(tmp_path / "my_BTCUSDT_1m_export.parquet", rows))
        assert (found.symbol, found.interval, found.candles, found.reasons) == ("BTCUSDT", "1m", 4_320, ())
        assert verdict_on(save(tmp_path / "candles.parquet", rows)).interval == "1m"

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"PAR1 and no end", "is damaged"),
            (b"", "is damaged"),
            ({"timestamp": np.arange(5), "close": np.arange(5.0)}, "has no column open, high, low, volume"),
            ({name: np.arange(1.0, 2.0) for name in ("timestamp", *COLUMNS)}, "does not say which candles"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_a_verdict_with_a_remedy(
        self, tmp_path: Path, content: bytes | Table, words: str
    ) -> None:
        path = tmp_path / "candles.parquet"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            save(path, content)
        assert words in verdict_on(path).reasons[0]

    def test_the_command_prints_a_table_a_file_and_json(self, tmp_path: Path) -> None:
        fetch_days(tmp_path, FakeHistory(holes=[GAP_OF_TWO]), symbols=("BTC-USD", "ETH-USD"))
        shown = run("validate", "--input", str(tmp_path))
        assert shown.exit_code == 0
        assert shown.stdout.count("may be trained on") == 2
        assert "not_traded" in shown.stdout
        found = json.loads(run("validate", "--input", str(tmp_path), "--json").stdout)
        assert [each["symbol"] for each in found] == ["BTC-USD", "ETH-USD"]
        assert found[0]["findings"][0]["kind"] == "not_traded"
        assert found[0]["first"] == "2025-01-01T00:00:00Z"

    def test_an_empty_folder_names_the_command_that_fills_it(self, tmp_path: Path) -> None:
        ended = run("validate", "--input", str(tmp_path))
        assert isinstance(ended.exception, CrpbotError)
        assert "crpbot data fetch" in ended.exception.detail

    def test_every_defective_sample_is_judged(self) -> None:
        """CRPBOT_REAL_DATA names the folder: what its README says must not be used is not trained on."""
        folder = os.environ.get("CRPBOT_REAL_DATA")
        if folder is None:
            pytest.skip("CRPBOT_REAL_DATA names no folder")
        found = {verdict.file.stem: verdict for verdict in validate(Path(folder) / "defects")}
        few_rows = {"spikes", "high_below_low", "open_close_outside_range", "nan_inf_negative"}
        for name, verdict in found.items():
            harmless = any(name.endswith(each) for each in {"duplicate_rows", "out_of_order"} | few_rows)
            assert bool(verdict.reasons) is not harmless, name


class TestFeatures:
    def test_a_file_has_the_39_columns_of_every_candle_after_the_warm_up(self, tmp_path: Path) -> None:
        fetch_days(tmp_path / "raw", FakeHistory())
        (written,) = features(tmp_path / "raw", tmp_path)
        assert (written.rows, written.stretches, written.problem) == (4_320 - WARM_UP, 1, None)
        assert written.file == tmp_path / "features_BTC-USD_1m_latest.parquet"
        frame = pd.read_parquet(written.file)
        assert frame.shape == (4_320 - WARM_UP, 39)
        rows = rows_of("BTC-USD", "1m", START_MS, START_MS + 3 * DAY_MS)
        expected = tabulate(Candles("BTC-USD", "1m", *rows))
        assert list(frame.columns) == list(expected)
        assert frame.index[0] == pd.Timestamp(START_MS + WARM_UP * MINUTE_MS, unit="ms", tz="UTC")
        for name in (*COLUMNS, *FEATURES):
            np.testing.assert_array_equal(frame[name].to_numpy(), expected[name])
        assert set(frame["symbol"]) == {"BTC-USD"}
        assert set(frame["session"]) == {"tokyo", "london", "new_york"}
        footer = json.loads(pq.read_schema(written.file).metadata[b"crpbot.features"])
        assert footer["source"] == "coinbase"
        assert footer["features"] == list(FEATURES)

    def test_a_long_hole_starts_anew_and_a_short_one_is_filled(self, tmp_path: Path) -> None:
        fetch_days(tmp_path / "raw", FakeHistory(holes=[GAP_OF_TWO, HOLE]))
        (written,) = features(tmp_path / "raw", tmp_path)
        assert written.stretches == 2
        assert written.rows == 4_320 - 360 - 2 * WARM_UP
        assert written.file is not None
        times = pd.read_parquet(written.file).index.as_unit("ms").asi8
        assert not ((times >= HOLE.begin) & (times < HOLE.end + WARM_UP * MINUTE_MS)).any()

    def test_files_of_one_series_that_follow_one_another_are_one_series(self, tmp_path: Path) -> None:
        whole = table()
        first = {name: column[:2_000] for name, column in whole.items()}
        save(tmp_path / "BTC-USD_1m_a_b.parquet", {name: column[2_000:] for name, column in whole.items()})
        save(tmp_path / "BTC-USD_1m_c_d.parquet", first)
        (written,) = features(tmp_path, tmp_path / "out")
        assert (written.rows, written.stretches) == (4_320 - WARM_UP, 1)
        save(tmp_path / "BTC-USD_1m_e_f.parquet", first)
        (written,) = features(tmp_path, tmp_path / "out")
        assert "are of several sources or overlap" in (written.problem or "")

    def test_what_must_not_be_trained_on_gets_none(self, tmp_path: Path) -> None:
        save(tmp_path / "BTC-USD_1m_a_b.parquet", without(table(), slice(100, 1_000)))
        ended = run("features", "--input", str(tmp_path), "--output", str(tmp_path / "out"))
        assert ended.exit_code == 1
        assert "are spoilt" in ended.stdout
        assert not (tmp_path / "out").exists()


class TestPlot:
    @contextmanager
    def drawn(self, path: Path) -> Iterator[ElementTree.Element]:
        text = path.read_text(encoding="utf-8")
        svg = text[text.index("<svg") : text.index("</svg>") + 6]
        assert "<script" not in text
        assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"], "nothing comes from a network"
        yield ElementTree.fromstring(svg)

    def test_candles_volume_holes_and_defects_are_in_the_picture(self, tmp_path: Path) -> None:
        (outcome,) = fetch_days(tmp_path, FakeHistory(holes=[GAP_OF_TWO, HOLE]))
        assert outcome.file is not None
        path = plot(outcome.file, tmp_path / "chart.html")
        with self.drawn(path) as svg:
            bars = [each for each in svg.iter(f"{SVG}g") if each.get("class") in {"up", "down"}]
            assert 100 < len(bars) <= MOST_BARS
            assert len([each for each in svg.iter(f"{SVG}rect") if each.get("class") == "hole"]) == 2
            words = " ".join(svg.itertext())
            assert "BTC-USD 1m of coinbase" in words
            assert "3,958 candles from 2025-01-01 00:00 to 2025-01-04 00:00 UTC; a bar is 30 minutes" in words
            assert "not traded 2 (362 candles)" in words

    def test_a_span_can_be_drawn_as_a_picture_of_its_own(self, tmp_path: Path) -> None:
        path = save(tmp_path / "BTC-USD_1m_a_b.parquet", table())
        ended = run(
            "plot",
            "--input",
            str(path),
            "--output",
            str(tmp_path / "x.svg"),
            "--start",
            "2025-01-02",
            "--end",
            "2025-01-02T02:00",
        )
        assert ended.exit_code == 0
        with self.drawn(tmp_path / "x.svg") as svg:
            words = " ".join(svg.itertext())
            assert "120 candles from 2025-01-02 00:00 to 2025-01-02 02:00 UTC; a bar is 1 minute" in words

    def test_defects_are_marked_by_kind(self, tmp_path: Path) -> None:
        rows = table()
        rows["high"] = np.where(np.arange(4_320) % 900 == 7, rows["high"] * 10, rows["high"])
        path = save(tmp_path / "BTC-USD_1m_a_b.parquet", rows)
        with self.drawn(plot(path, tmp_path / "x.svg")) as svg:
            assert "spike 5" in " ".join(svg.itertext())
            assert len([each for each in svg.iter(f"{SVG}title") if (each.text or "").startswith("spike from")]) == 5

    def test_without_a_defect_it_says_so_and_lies_beside_the_data(self, empty_folder: Path) -> None:
        path = save(empty_folder / "BTC-USD_1m_a_b.parquet", table())
        ended = run("plot", "--input", str(path), "--json")
        chart = Path(json.loads(ended.stdout)["file"])
        assert chart == Path("data/charts/BTC-USD_1m_a_b.html")
        assert "no defect" in chart.read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--output", "x.png"], "x.png is neither .html nor .svg"),
            (["--start", "2031-01-01"], "has no usable candle from 2031-01-01"),
        ],
    )
    def test_what_cannot_be_drawn_is_told(self, tmp_path: Path, arguments: list[str], words: str) -> None:
        path = save(tmp_path / "BTC-USD_1m_a_b.parquet", table())
        ended = run("plot", "--input", str(path), *arguments)
        assert isinstance(ended.exception, CrpbotError)
        assert words in ended.exception.detail

    @pytest.mark.parametrize("count", [1, 2, 3, 241, 4_320, 100_000])
    @pytest.mark.parametrize("price", [1e-6, 1.0, 70_000.0])
    def test_any_number_of_candles_at_any_price_fits_on_the_paper(self, count: int, price: float) -> None:
        times = START_MS + np.arange(count) * MINUTE_MS
        steps = np.sin(np.arange(count) / 50.0) * 0.9
        block = price * np.array([1.5 + steps, 1.6 + steps, 1.4 + steps, 1.55 + steps, np.zeros(count)])
        svg = ElementTree.fromstring(draw("a <b> & c", times, block, step_ms=MINUTE_MS, marks=[]))
        for path in svg.iter(f"{SVG}rect"):
            assert float(path.get("x", 0)) >= 0
            assert float(path.get("y", 0)) >= 0
            assert float(path.get("height", 0)) >= 0
        assert len(list(svg.iter(f"{SVG}g"))) <= MOST_BARS + 1

    def test_bars_are_candles_of_the_whole_bucket(self) -> None:
        rows = table()
        block = np.array([rows[name] for name in COLUMNS])
        bars = gather(rows["timestamp"], block, MINUTE_MS)
        assert bars.minutes == 30
        first = block[:, :30]
        expected = [first[0, 0], first[1].max(), first[2].min(), first[3, -1], first[4].sum()]
        assert bars.block[:, 0].tolist() == pytest.approx(expected)
        assert bars.block[4].sum() == pytest.approx(block[4].sum())

    def test_marks_outside_the_span_are_cut_to_it(self) -> None:
        rows = table(0.1)
        block = np.array([rows[name] for name in COLUMNS])
        mark = Marks("gap", np.array([START_MS - HOUR_MS]), np.array([2 * HOUR_MS]), True)
        svg = ElementTree.fromstring(draw("x", rows["timestamp"], block, step_ms=MINUTE_MS, marks=[mark]))
        (hole,) = (each for each in svg.iter(f"{SVG}rect") if each.get("class") == "hole")
        assert float(hole.get("x", 0)) == pytest.approx(16, abs=0.1)


@pytest.mark.slow
def test_a_download_that_is_killed_ten_times_gives_the_undisturbed_files(tmp_path: Path) -> None:
    """SIGKILL at random moments, from before the first page until the files are put together."""
    chance = random.Random(1)
    undisturbed = start_download(tmp_path / "undisturbed", 0.0)
    undisturbed.join()
    assert undisturbed.exitcode == 0
    killed = 0
    for attempt in range(100):
        process = start_download(tmp_path / "killed", 0.05)
        # ever later, so that the files are hit as well while they are put together, and it ends
        process.join(chance.uniform(0.0, 0.4 + 0.2 * max(0, attempt - 9)))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
    assert killed >= 10
    expected = {path.name: path.read_bytes() for path in (tmp_path / "undisturbed").iterdir()}
    assert len(expected) == 4
    assert {path.name: path.read_bytes() for path in (tmp_path / "killed").iterdir()} == expected
    for path in (tmp_path / "killed").iterdir():
        memo = read_memo(path)
        assert memo is not None
        times = read_raw(path).open_times.astype(np.int64)
        assert (np.diff(times) > 0).all()
        assert len(times) == memo.candles


def test_ctrl_c_ends_a_download_in_words_and_keeps_its_pieces(tmp_path: Path) -> None:
    program = (
        "import signal, typer\n"
        "from cli.data.commands import data\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # who runs tests in the background ignores it
        "app = typer.Typer()\n"
        "app.add_typer(data, name='data')\n"
        "app()\n"
    )
    # eight years: half a minute's work, of which a test that is kept waiting still sees the beginning
    command = [sys.executable, "-c", program, "data", "fetch", "--provider", "synthetic", "--start", "2017-01-01"]
    command += ["--end", "2025-01-01", "-s", "BTC-USD"]
    environment = {**clean_environment(), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        pieces = tmp_path / "data" / "raw" / ".fetch" / "BTC-USD_1m"
        while not list(pieces.glob("*.parquet")):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "stopped; what is downloaded stays, and the same command goes on from there" in words
    assert "Traceback" not in words
    assert list(pieces.glob("*.parquet"))
