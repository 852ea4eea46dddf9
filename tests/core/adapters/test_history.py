"""Downloads of history: broken off anywhere and resumed they give the same file, and nothing is asked for twice."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.adapters.history import download as module
from core.adapters.history.answer import DOUBTFUL, NO_CANDLE
from core.adapters.history.download import Outcome, Source, download
from core.adapters.history.file import KEY, read_memo, read_stretch
from core.adapters.history.merge import GROUP_CANDLES
from core.adapters.history.plan import PIECE_CANDLES, SEAM_CANDLES, SETTLED_MS, Series, claim
from core.adapters.history.raw_file import read_raw
from core.adapters.replay.market import ReplayMarket
from core.adapters.stretches import Stretch
from core.errors import Code, CrpbotError
from core.gate import POLICIES, RawCandles
from core.market import COLUMNS
from core.ports import Told
from tests.core.histories import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    START_MS,
    FakeHistory,
    Fault,
    change,
    days,
    pick,
    rows_of,
)

HOLES = (
    Stretch(START_MS + 90 * MINUTE_MS, START_MS + 92 * MINUTE_MS),
    Stretch(START_MS + DAY_MS, START_MS + 30 * HOUR_MS),
)


class Crash(BaseException):
    """The process ends here."""


def fetch(source: Source, folder: Path, *wanted: Series, again: bool = False, now_ms: int = NOW_MS) -> list[Outcome]:
    async def no_wait(seconds: float) -> None:
        pass

    return asyncio.run(
        download(source, folder, wanted, tell=lambda *_: None, now_ms=lambda: now_ms, again=again, sleep=no_wait)
    )


def fetched(source: Source, folder: Path, *wanted: Series, **how: Any) -> Path:
    """The file of a download without a problem."""
    (outcome,) = fetch(source, folder, *wanted, **how)
    assert outcome.problem is None
    assert outcome.file is not None
    return outcome.file


def problem(source: Source, folder: Path, *wanted: Series, **how: Any) -> str:
    (outcome,) = fetch(source, folder, *wanted, **how)
    assert outcome.problem is not None
    return outcome.problem


def undisturbed(folder: Path, *wanted: Series, holes: Sequence[Stretch] = HOLES) -> bytes:
    return fetched(FakeHistory(holes=holes), folder / "undisturbed", *wanted).read_bytes()


def crashes(run: Callable[[], object]) -> bool:
    """Whether the process ended on the way."""
    crashed = False
    try:
        run()
    except* Crash:
        crashed = True
    return crashed


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix != ".parquet" or path.parent.name != folder.name]


def at_minute(minute: int, spoil: Callable[[RawCandles], RawCandles]) -> Fault:
    """A fault of one candle, in every answer that has it."""

    def fault(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
        row = np.flatnonzero(rows.open_times == START_MS + minute * MINUTE_MS)
        if len(row) == 0:
            return rows
        one = spoil(pick(rows, row))
        parts = pick(rows, np.arange(row[0])), one, pick(rows, np.arange(row[0] + 1, len(rows.open)))
        return RawCandles(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    return fault


def without(rows: RawCandles, *holes: Stretch) -> RawCandles:
    for hole in holes:
        rows = pick(rows, (rows.open_times < hole.begin) | (rows.open_times >= hole.end))
    return rows


class TestFile:
    def test_it_holds_what_the_source_has_and_names_what_the_source_has_not(self, tmp_path: Path) -> None:
        (outcome,) = fetch(FakeHistory(holes=HOLES), tmp_path, days(3))
        assert outcome.file == tmp_path / "BTC-USD_1m_20250101_20250103.parquet"
        assert (outcome.candles, outcome.holes, outcome.unusable, outcome.revisions) == (4_320 - 362, 362, 0, 0)
        expected = without(rows_of("BTC-USD", "1m", START_MS, START_MS + 3 * DAY_MS), *HOLES)
        for found, wanted in zip(read_raw(outcome.file), expected, strict=True):
            np.testing.assert_array_equal(found.astype(wanted.dtype), wanted)
        memo = read_memo(outcome.file)
        assert memo is not None
        assert (memo.source, memo.symbol, memo.interval, memo.candles) == ("coinbase", "BTC-USD", "1m", 3_958)
        assert memo.covered == (Stretch(START_MS, START_MS + 3 * DAY_MS),)
        assert memo.holes.tolist() == [list(hole) for hole in HOLES]
        assert leftovers(tmp_path) == []

    def test_replay_plays_it(self, tmp_path: Path) -> None:
        fetched(FakeHistory(), tmp_path, days(1))
        market = ReplayMarket(tmp_path)
        (candles,) = asyncio.run(market.latest(["BTC-USD"], "5m", 200, now_ms=NOW_MS))
        assert candles.as_of == START_MS + DAY_MS

    def test_holes_that_go_over_a_row_group_are_one(self, tmp_path: Path) -> None:
        edge = -(-START_MS // (GROUP_CANDLES * MINUTE_MS)) * GROUP_CANDLES * MINUTE_MS
        hole = Stretch(edge - 20 * MINUTE_MS, edge + 30 * MINUTE_MS)
        path = fetched(FakeHistory(holes=[hole]), tmp_path, days(1, begin=edge - 12 * HOUR_MS))
        memo = read_memo(path)
        assert memo is not None
        assert memo.holes.tolist() == [list(hole)]
        assert pq.ParquetFile(path).num_row_groups == 2
        rows = read_stretch(path, hole.begin - MINUTE_MS, hole.end + MINUTE_MS)
        assert rows.open_times.tolist() == [hole.begin - MINUTE_MS, hole.end]

    def test_every_series_of_a_command_gets_its_file(self, tmp_path: Path) -> None:
        wanted = [
            days(2, symbol=symbol, interval=interval) for symbol in ("BTC-USD", "ETH-USD") for interval in ("1m", "1h")
        ]
        outcomes = fetch(FakeHistory(), tmp_path, *wanted)
        assert [each.problem for each in outcomes] == [None] * 4
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            f"{symbol}_{interval}_20250101_20250102.parquet"
            for symbol in ("BTC-USD", "ETH-USD")
            for interval in ("1h", "1m")
        ]

    def test_a_span_without_any_candle_is_a_file_that_says_so(self, tmp_path: Path) -> None:
        source = FakeHistory(holes=[Stretch(0, NOW_MS)])
        (outcome,) = fetch(source, tmp_path, days(1, symbol="LTC-USD"))
        assert (outcome.candles, outcome.holes, outcome.problem) == (0, 1_440, None)
        source.asked.clear()
        fetch(source, tmp_path, days(1, symbol="LTC-USD"))
        assert source.asked == []

    def test_what_has_not_settled_is_left_for_later(self, tmp_path: Path) -> None:
        now = START_MS + DAY_MS + 30_000
        path = fetched(FakeHistory(), tmp_path, days(2), now_ms=now)
        memo = read_memo(path)
        assert memo is not None
        assert memo.span.end == (now - SETTLED_MS) // MINUTE_MS * MINUTE_MS
        assert "has settled" in problem(FakeHistory(), tmp_path, days(2, begin=now), now_ms=now)

    def test_progress_is_told_in_candles_to_the_last(self, tmp_path: Path) -> None:
        told: list[tuple[int, int, str]] = []
        asyncio.run(
            download(
                FakeHistory(),
                tmp_path,
                [days(3), days(3, interval="5m")],
                tell=lambda *each: told.append(each),
                now_ms=lambda: NOW_MS,
            )
        )
        total = 3 * 1_440 + 3 * 288
        assert [done for done, *_ in told] == sorted(done for done, *_ in told)
        assert told[-1][:2] == (total, total)
        assert {name for *_, name in told} == {"BTC-USD 1m", "BTC-USD 5m"}


class TestResume:
    @pytest.mark.parametrize("page", [0, 1, 7, 15, 31])
    def test_broken_off_at_a_page_it_goes_on_there(self, tmp_path: Path, page: int) -> None:
        wanted = days(7)

        def crash(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
            if first.pages > page:
                raise Crash
            return rows

        first = FakeHistory(holes=HOLES, fault=crash)
        assert crashes(lambda: fetch(first, tmp_path, wanted))
        second = FakeHistory(holes=HOLES)
        path = fetched(second, tmp_path, wanted)
        assert path.read_bytes() == undisturbed(tmp_path, wanted)
        saved = page // (PIECE_CANDLES // 300) - module.WORKERS
        assert second.pages <= 34 + 2 - 5 * max(0, saved)

    def test_it_may_crash_before_any_change_on_the_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every rename, removal and replacement of an extension, one crash before each."""
        begun, whole = days(1.5), days(3)
        expected = undisturbed(tmp_path, whole)
        steps = 0
        for last in range(200):
            folder = tmp_path / str(last)
            fetched(FakeHistory(holes=HOLES), folder, begun)
            crashed = self._crash_at(last, folder, whole, monkeypatch)
            if not crashed:
                break
            steps += 1
            files = list(folder.glob("*.parquet"))
            assert len(files) == 1, "at no instant do two files hold the same candles"
            assert len(read_raw(files[0]).open) in {1_440 * 1.5 - 362, 1_440 * 3 - 362}
            path = fetched(FakeHistory(holes=HOLES), folder, whole)
            assert path.read_bytes() == expected
            assert leftovers(folder) == []
        assert steps > 8

    def _crash_at(self, step: int, folder: Path, wanted: Series, monkeypatch: pytest.MonkeyPatch) -> bool:
        count = 0
        with monkeypatch.context() as patch:
            for name in ("replace", "rename", "unlink", "rmdir"):
                real = getattr(Path, name)

                def counted(path: Path, *arguments: Any, real: Callable[..., Any] = real, **how: Any) -> Any:
                    nonlocal count
                    count += 1
                    if count > step:  # from there on nothing more happens
                        raise Crash
                    return real(path, *arguments, **how)

                patch.setattr(Path, name, counted)
            return crashes(lambda: fetch(FakeHistory(holes=HOLES), folder, wanted))

    def test_what_was_half_written_is_found_and_asked_for_again(self, tmp_path: Path) -> None:
        wanted = days(7)

        def fail_late(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
            if begin > START_MS + 5 * DAY_MS:
                raise CrpbotError(Code.NOT_FOUND, "no more", reason="NOT_FOUND")
            return rows

        assert "no more" in problem(FakeHistory(fault=fail_late), tmp_path, wanted)
        work = tmp_path / ".fetch" / "BTC-USD_1m"
        cut, changed, *_ = parts = sorted(work.glob("*.parquet"))
        assert len(parts) >= 3
        cut.write_bytes(cut.read_bytes()[:-100])
        content = bytearray(changed.read_bytes())
        content[len(content) // 3] ^= 0xFF
        changed.write_bytes(content)
        (work / ".00000099.parquet.new").write_bytes(b"PAR1 half a piece")
        (tmp_path / ".BTC-USD_1m_20250101_20250107.parquet.new").write_bytes(b"PAR1 half a file")
        source = FakeHistory()
        (outcome,) = fetch(source, tmp_path, wanted)
        assert outcome.file is not None
        assert outcome.file.read_bytes() == undisturbed(tmp_path, wanted, holes=())
        assert len([note for note in outcome.notes if "damaged piece" in note]) == 2
        assert source.asked_candles < 7 * 1_440
        assert leftovers(tmp_path) == [tmp_path / "undisturbed", *(tmp_path / "undisturbed").iterdir()]

    @pytest.mark.parametrize(
        "spoil", [lambda whole: whole[: len(whole) // 2], lambda whole: b"", lambda whole: whole[:4]]
    )
    def test_a_damaged_file_is_set_aside_and_downloaded_again(
        self, tmp_path: Path, spoil: Callable[[bytes], bytes]
    ) -> None:
        path = fetched(FakeHistory(), tmp_path, days(2))
        whole = path.read_bytes()
        path.write_bytes(spoil(whole))
        (outcome,) = fetch(FakeHistory(), tmp_path, days(2))
        assert path.read_bytes() == whole
        assert path.with_suffix(".parquet.damaged").read_bytes() == spoil(whole)
        assert "it is kept as BTC-USD_1m_20250101_20250102.parquet.damaged" in outcome.notes[0]

    def test_a_flipped_bit_in_a_page_is_damage_too(self, tmp_path: Path) -> None:
        path = fetched(FakeHistory(), tmp_path, days(2))
        whole = path.read_bytes()
        content = bytearray(whole)
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        (outcome,) = fetch(FakeHistory(), tmp_path, days(2))
        assert path.read_bytes() == whole
        assert "is damaged" in outcome.notes[0]


class TestThrift:
    def test_what_is_known_is_not_asked_for_again_holes_included(self, tmp_path: Path) -> None:
        fetched(FakeHistory(holes=HOLES), tmp_path, days(3))
        source = FakeHistory(holes=HOLES)
        fetched(source, tmp_path, days(3))
        fetched(source, tmp_path, days(1, begin=START_MS + DAY_MS))
        assert source.asked == []

    @pytest.mark.parametrize("begin", [START_MS, START_MS - 2 * DAY_MS])
    def test_an_extension_asks_for_new_candles_and_a_seam(self, tmp_path: Path, begin: int) -> None:
        old = fetched(FakeHistory(holes=HOLES), tmp_path, days(3))
        source = FakeHistory(holes=HOLES)
        path = fetched(source, tmp_path, days(5, begin=begin))
        assert not old.exists()
        assert source.asked_candles == 2 * 1_440 + SEAM_CANDLES
        assert path.read_bytes() == undisturbed(tmp_path, days(5, begin=begin))

    def test_a_span_that_touches_no_file_gets_one_of_its_own(self, tmp_path: Path) -> None:
        first = fetched(FakeHistory(), tmp_path, days(1))
        second = fetched(FakeHistory(), tmp_path, days(1, begin=START_MS + 5 * DAY_MS))
        assert first.exists()
        assert second.name == "BTC-USD_1m_20250106_20250106.parquet"
        joined = problem(FakeHistory(), tmp_path, days(6))
        assert "BTC-USD_1m_20250101_20250101.parquet and BTC-USD_1m_20250106_20250106.parquet" in joined

    def test_two_spans_of_one_day_do_not_overwrite_one_another(self, tmp_path: Path) -> None:
        path = fetched(FakeHistory(), tmp_path, days(0.1))
        before = path.read_bytes()
        words = problem(FakeHistory(), tmp_path, days(0.1, begin=START_MS + 20 * HOUR_MS))
        assert "BTC-USD_1m_20250101_20250101.parquet holds another span of these days" in words
        assert path.read_bytes() == before
        assert fetched(FakeHistory(), tmp_path, days(1)) == path

    def test_pieces_of_another_span_are_kept_for_it(self, tmp_path: Path) -> None:
        def refuse_the_second_day(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
            if START_MS + 2 * DAY_MS <= begin < START_MS + 3 * DAY_MS:
                raise CrpbotError(Code.NOT_FOUND, "no more", reason="NOT_FOUND")
            return rows

        problem(FakeHistory(fault=refuse_the_second_day), tmp_path, days(3))
        far = fetched(FakeHistory(), tmp_path, days(1, begin=START_MS + 20 * DAY_MS))
        assert far.name == "BTC-USD_1m_20250121_20250121.parquet"
        source = FakeHistory(holes=HOLES)
        fetched(source, tmp_path, days(3))
        assert source.asked_candles < 3 * 1_440
        assert not (tmp_path / ".fetch").exists()


class TestRevisions:
    CHANGED = START_MS + 100 * MINUTE_MS

    def revised(self, symbol: str, begin: int, rows: RawCandles) -> RawCandles:
        row = np.flatnonzero(rows.open_times == self.CHANGED)
        return change(rows, int(row[0]), volume=1_000.0) if len(row) else rows

    def test_a_candle_told_otherwise_later_stays_and_the_later_answer_is_recorded(self, tmp_path: Path) -> None:
        path = fetched(FakeHistory(), tmp_path, days(1))
        before = read_raw(path)
        for noticed in (NOW_MS, NOW_MS + HOUR_MS):  # told the same way again, it is recorded once
            source = FakeHistory(fault=self.revised)
            (outcome,) = fetch(source, tmp_path, days(1), again=True, now_ms=noticed)
            assert source.asked_candles == 1_440
            assert outcome.revisions == 1
        memo = read_memo(path)
        assert memo is not None
        (revision,) = memo.revisions
        assert memo.noticed == (NOW_MS,)
        assert revision.open_time == self.CHANGED
        assert revision.fresh == (*revision.stored[:4], 1_000.0)
        for column, was in zip(read_raw(path), before, strict=True):
            np.testing.assert_array_equal(column, was)

    def test_replay_gives_the_first_answer_and_says_that_it_is_doubted(self, tmp_path: Path) -> None:
        fetched(FakeHistory(), tmp_path, days(1))
        fetch(FakeHistory(fault=self.revised), tmp_path, days(1), again=True)
        market = ReplayMarket(tmp_path)
        for minute, reasons in ((101, ["REVISED"]), (160, ["REVISED"]), (161, []), (100, [])):
            market.move_to(START_MS + minute * MINUTE_MS)
            (told,) = asyncio.run(market.latest_each(["BTC-USD"], "1m", 60, now_ms=NOW_MS))
            assert isinstance(told, Told)
            assert [each.reason for each in told.degradations] == reasons
            assert 1_000.0 not in told.candles.volume.tolist()

    def test_a_revision_at_the_seam_is_noticed_by_an_extension(self, tmp_path: Path) -> None:
        fetched(FakeHistory(), tmp_path, Series("BTC-USD", "1m", START_MS, self.CHANGED + 2 * MINUTE_MS))
        (outcome,) = fetch(FakeHistory(fault=self.revised), tmp_path, days(1))
        assert outcome.revisions == 1

    def test_a_hole_that_is_told_later_is_filled(self, tmp_path: Path) -> None:
        fetched(FakeHistory(holes=HOLES), tmp_path, days(3))
        (outcome,) = fetch(FakeHistory(), tmp_path, days(3), again=True)
        assert (outcome.holes, outcome.revisions, outcome.candles) == (0, 0, 4_320)

    def test_a_candle_that_is_no_longer_told_stays(self, tmp_path: Path) -> None:
        path = fetched(FakeHistory(), tmp_path, days(3))
        before = path.read_bytes()
        assert fetched(FakeHistory(holes=HOLES), tmp_path, days(3), again=True).read_bytes() == before

    def test_a_series_in_another_unit_never_joins(self, tmp_path: Path) -> None:
        path = fetched(FakeHistory(), tmp_path, days(2))
        before = path.read_bytes()
        source = FakeHistory(fault=lambda symbol, begin, rows: rows._replace(volume=rows.volume * 90_000))
        words = problem(source, tmp_path, days(2), again=True)
        assert "more than 1000 candles differ from those stored" in words
        assert "--output" in words
        assert path.read_bytes() == before


class TestRefusals:
    def test_two_sources_never_join(self, tmp_path: Path) -> None:
        fetched(FakeHistory(identity="synthetic"), tmp_path, days(1))
        words = problem(FakeHistory(), tmp_path, days(2))
        assert "comes from synthetic; candles of coinbase never join it" in words

    def test_an_unfinished_download_of_another_source_is_named(self, tmp_path: Path) -> None:
        def refuse(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
            if begin > START_MS + DAY_MS:
                raise CrpbotError(Code.NOT_FOUND, "no more", reason="NOT_FOUND")
            return rows

        problem(FakeHistory(identity="synthetic", fault=refuse), tmp_path, days(3))
        assert "an unfinished download from synthetic lies in" in problem(FakeHistory(), tmp_path, days(3))

    def test_a_file_of_somebody_else_is_not_touched(self, tmp_path: Path) -> None:
        rows = rows_of("BTC-USD", "1m", START_MS, START_MS + DAY_MS)
        path = tmp_path / "BTC-USD_1m_20250101_20250101.parquet"
        columns = {"timestamp": rows.open_times, **rows._asdict()}
        del columns["open_times"]
        pq.write_table(pa.table(columns), path)
        before = path.read_bytes()
        words = problem(FakeHistory(), tmp_path, days(2))
        assert "was not downloaded by this program; move it away" in words
        assert path.read_bytes() == before
        fetched(FakeHistory(), tmp_path, days(1, begin=START_MS + 3 * DAY_MS))

    def test_a_file_of_another_format_is_not_taken_for_damaged(self, tmp_path: Path) -> None:
        path = fetched(FakeHistory(), tmp_path, days(1))
        footer = {KEY: pq.read_metadata(path).metadata[KEY].replace(b'"format": 1', b'"format": 2')}
        pq.write_table(pq.read_table(path).replace_schema_metadata(footer), path)
        before = path.read_bytes()
        assert "has format 2, this version reads 1" in problem(FakeHistory(), tmp_path, days(2))
        assert path.read_bytes() == before

    def test_only_one_download_writes_to_a_folder(self, tmp_path: Path) -> None:
        with claim(tmp_path), pytest.raises(CrpbotError, match="another download is writing to"):
            fetch(FakeHistory(), tmp_path, days(1))
        fetched(FakeHistory(), tmp_path, days(1))

    def test_an_answer_to_another_question_is_not_taken_for_a_hole(self, tmp_path: Path) -> None:
        def always_the_newest(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
            return rows_of(symbol, "1m", NOW_MS - 5 * HOUR_MS, NOW_MS)

        words = problem(FakeHistory(fault=always_the_newest), tmp_path, days(1))
        assert "was answered with another span (a candle of 2025-12-31T19:00:00Z)" in words
        assert list(tmp_path.glob("*.parquet")) == []


class TestFaults:
    def test_a_long_hole_is_believed_when_it_was_told_twice(self, tmp_path: Path) -> None:
        def empty_once(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
            return pick(rows, rows.open_times < 0) if source.pages in {2, 7} else rows

        source = FakeHistory(fault=empty_once)
        path = fetched(source, tmp_path, days(2))
        assert path.read_bytes() == undisturbed(tmp_path, days(2), holes=())
        assert 2 * 1_440 < source.asked_candles <= 2 * 1_440 + 600

    def test_a_short_hole_is_asked_for_once(self, tmp_path: Path) -> None:
        source = FakeHistory(holes=HOLES[:1])
        fetched(source, tmp_path, days(1))
        assert source.asked_candles == 1_440

    @pytest.mark.parametrize(
        "values", [{"close": np.nan}, {"high": np.inf}, {"low": -1.0}, {"high": 1.0}, {"volume": -1.0}], ids=str
    )
    def test_an_impossible_row_is_left_out_and_asked_for_again(self, tmp_path: Path, values: dict[str, float]) -> None:
        other = {name: np.array([value]) for name, value in values.items()}
        source = FakeHistory(fault=at_minute(700, lambda row: row._replace(**other)))
        (outcome,) = fetch(source, tmp_path, days(1))
        assert (outcome.candles, outcome.unusable, outcome.holes, outcome.problem) == (1_439, 1, 0, None)
        source = FakeHistory()
        path = fetched(source, tmp_path, days(1))
        assert source.asked_candles == 1 + 2 * SEAM_CANDLES
        assert path.read_bytes() == undisturbed(tmp_path, days(1), holes=())

    @pytest.mark.parametrize("factor", [10.0, 0.1, np.nan])
    def test_a_slipped_digit_is_asked_for_once_more_at_once(self, tmp_path: Path, factor: float) -> None:
        told: list[RawCandles] = []

        def slip(row: RawCandles) -> RawCandles:
            told.append(row)
            slipped = factor if len(told) == 1 else 1.0
            return row._replace(**{name: getattr(row, name) * slipped for name in COLUMNS[:4]})

        source = FakeHistory(fault=at_minute(700, slip))
        path = fetched(source, tmp_path, days(1))
        assert path.read_bytes() == undisturbed(tmp_path, days(1), holes=())

    def test_a_spike_that_is_told_twice_is_what_the_source_says(self, tmp_path: Path) -> None:
        def spike(row: RawCandles) -> RawCandles:
            return row._replace(low=row.low * 0.1)

        (outcome,) = fetch(FakeHistory(fault=at_minute(700, spike)), tmp_path, days(1))
        assert (outcome.candles, outcome.unusable) == (1_440, 0)
        assert outcome.file is not None
        low = read_raw(outcome.file).low
        assert low[700] == pytest.approx(low[699] * 0.1, rel=0.01)

    def test_rows_in_any_order_and_given_twice_are_the_same_candles(self, tmp_path: Path) -> None:
        def shuffled(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
            order = np.random.default_rng(begin).permutation(np.repeat(np.arange(len(rows.open)), 2))
            return pick(rows, order)

        path = fetched(FakeHistory(holes=HOLES, fault=shuffled), tmp_path, days(3))
        assert path.read_bytes() == undisturbed(tmp_path, days(3))

    @pytest.mark.parametrize("minute", [0, 100, 287])
    def test_a_candle_told_in_two_ways_is_asked_for_again(self, tmp_path: Path, minute: int) -> None:
        def twice(row: RawCandles) -> RawCandles:
            columns = {name: np.repeat(column, 2) for name, column in row._asdict().items()}
            return RawCandles(**columns)._replace(volume=np.array([1.0, 77.0]))

        (outcome,) = fetch(FakeHistory(fault=at_minute(minute, twice)), tmp_path, days(0.2))
        assert (outcome.candles, outcome.unusable) == (287, 1)
        source = FakeHistory()
        path = fetched(source, tmp_path, days(0.2))
        assert source.asked_candles <= 1 + 2 * SEAM_CANDLES
        assert path.read_bytes() == undisturbed(tmp_path, days(0.2), holes=())

    def test_candles_of_the_future_and_off_the_grid_are_no_candles(self, tmp_path: Path) -> None:
        def spoil(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
            times = rows.open_times.copy()
            times[0] = NOW_MS + DAY_MS
            times[1] += 1_000
            return rows._replace(open_times=times)

        (outcome,) = fetch(FakeHistory(fault=spoil), tmp_path, days(0.2))
        assert outcome.candles + outcome.unusable == 288
        assert outcome.holes == 0, "what they should have been is asked for again"
        path = fetched(FakeHistory(), tmp_path, days(0.2))
        assert path.read_bytes() == undisturbed(tmp_path, days(0.2), holes=())

    def test_one_series_that_fails_does_not_take_the_others_with_it(self, tmp_path: Path) -> None:
        def unknown(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
            if symbol == "POL-USD":
                raise CrpbotError(Code.NOT_FOUND, "coinbase: no such market", reason="EXCHANGE_NOT_FOUND")
            return rows

        wanted = [days(2, symbol=symbol) for symbol in ("POL-USD", "BTC-USD", "ETH-USD")]
        failed, *others = fetch(FakeHistory(fault=unknown), tmp_path, *wanted)
        assert failed.problem is not None
        assert "no such market; what is downloaded stays" in failed.problem
        assert [each.problem for each in others] == [None, None]

    def test_what_passes_by_itself_is_waited_out(self, tmp_path: Path) -> None:
        waits: list[float] = []

        async def note(seconds: float) -> None:
            waits.append(seconds)

        def sometimes(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
            if len(waits) < 3:
                raise CrpbotError(
                    Code.UNAVAILABLE, "down", reason="DOWN", retry_after_seconds=[None, 7.0, 900.0][len(waits)]
                )
            return rows

        (outcome,) = asyncio.run(
            download(
                FakeHistory(fault=sometimes),
                tmp_path,
                [days(1)],
                tell=lambda *_: None,
                now_ms=lambda: NOW_MS,
                sleep=note,
            )
        )
        assert outcome.problem is None
        assert waits == [1.0, 7.0, 60.0]

    def test_a_source_that_is_gone_ends_the_download_and_the_same_command_goes_on(self, tmp_path: Path) -> None:
        def gone(symbol: str, begin: int, rows: RawCandles) -> RawCandles:
            if source.pages > 12:
                raise CrpbotError(Code.UNAVAILABLE, "coinbase: no network", reason="EXCHANGE_UNAVAILABLE")
            return rows

        wanted = [days(7), days(7, symbol="ETH-USD"), days(7, symbol="SOL-USD")]
        source = FakeHistory(fault=gone)
        outcomes = fetch(source, tmp_path, *wanted)
        assert all("no network; what is downloaded stays" in (each.problem or "") for each in outcomes)
        assert source.pages < 12 + module.WORKERS * module.ATTEMPTS + 1
        source.fault = None
        assert [each.problem for each in fetch(source, tmp_path, *wanted)] == [None] * 3

    def test_a_full_disk_is_the_disks_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space left"):
                fetch(FakeHistory(), tmp_path, days(1))
        fetched(FakeHistory(), tmp_path, days(1))


def test_defects_are_named_as_the_gate_names_them() -> None:
    assert set(POLICIES) >= NO_CANDLE | DOUBTFUL
