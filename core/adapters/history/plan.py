"""What of a series is on disk already, what must still be asked for, and how its pieces become one file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from core.adapters.history.file import Damage, Memo, check_file, sync, write_part
from core.adapters.history.merge import merge_files
from core.adapters.history.recording import Recording, Rows, list_recordings, read_spans
from core.adapters.stretches import Stretch, cut_stretches, join_stretches, subtract_stretches, touches
from core.errors import Code, CrpbotError, invalid
from core.gate import utc
from core.market import INTERVAL_SECONDS, instant

# Exchanges correct their newest candles for some minutes. A history has time: it takes what has settled.
SETTLED_MS: Final = 600_000
# Candles of one piece: five pages of an exchange. What a kill loses is asked for again within seconds.
PIECE_CANDLES: Final = 1_500
# Known candles that are asked for again where new ones join a file, to see that it is the same series.
SEAM_CANDLES: Final = 5
# Stretches that lie closer than a page are asked for as one: that costs no more.
BRIDGE_CANDLES: Final = 300

WORK_FOLDER: Final = ".fetch"
DAY_MS: Final = 86_400_000


class Series(NamedTuple):
    """What is wanted: the candles of a symbol and interval that start at `begin` or later and before `end` (ms)."""

    symbol: str
    interval: str
    begin: int
    end: int


@dataclass(slots=True)
class Job:
    """One series on its way to its file. `problem` is why it will not arrive there this time."""

    folder: Path
    series: Series
    source: str
    file: Path | None = None  # that there is already
    memo: Memo | None = None  # of the file
    target: Path = Path()  # the file that there will be
    parts: list[Path] = field(default_factory=list)
    pieces: list[Stretch] = field(default_factory=list)
    left: int = 0  # pieces that are not on disk yet
    unusable: int = 0  # candles of which the source told nothing usable
    number: int = 0  # of the newest part
    notes: list[str] = field(default_factory=list)
    problem: str | None = None

    @property
    def step_ms(self) -> int:
        """From one candle to the next."""
        return 1_000 * INTERVAL_SECONDS[self.series.interval]

    @property
    def name(self) -> str:
        """How people are told of it."""
        return f"{self.series.symbol} {self.series.interval}"

    @property
    def work(self) -> Path:
        """Where its pieces lie until they are all there."""
        return self.folder / WORK_FOLDER / f"{self.series.symbol}_{self.series.interval}"

    def fail(self, problem: str) -> None:
        """The first problem is the one that is told."""
        self.problem = self.problem or problem

    def next_place(self) -> Path:
        """The name of the next piece. Names rise: of a candle told in two pieces, the first answer stays."""
        self.number += 1
        return self.work / f"{self.number:08d}.parquet"

    def keep(self, place: Path, rows: Rows, covered: tuple[Stretch, ...]) -> None:
        """One piece to disk."""
        place.parent.mkdir(parents=True, exist_ok=True)
        write_part(place, rows, Memo(self.source, *self.series[:2], len(rows.open_times), covered))
        self.parts.append(place)

    def finish(self, at_ms: int) -> None:
        """All pieces become one file, with the earlier one where there is one. Can be repeated from any point."""
        if not self.parts:
            if self.memo is None:
                self.fail(f"{self.name}: not one candle that was told can be used; look at the source, and fetch again")
            self._tidy()
            return
        if self.file is not None and self.file != self.target:
            # first the name, then the content: at no instant do two files hold the same candles
            self.file = self.file.rename(self.target)
            sync(self.folder)
        self.memo = merge_files(self.file, sorted(self.parts), self.target, at_ms=at_ms)
        self.file = self.target
        for part in self.parts:
            part.unlink()
        self.parts = []
        self._tidy()

    def _tidy(self) -> None:
        for folder in (self.work, self.work.parent):
            with suppress(OSError):  # never made; or pieces of another span, or of other series, lie there
                folder.rmdir()


def plan(folder: Path, series: Series, source: str, now_ms: int, *, again: bool = False) -> Job:
    """What of a series must be asked for, after a look at what is there. Damaged files are set aside, and told."""
    job = Job(folder, series, source)
    step = job.step_ms
    wanted = Stretch(-(-series.begin // step) * step, min(series.end, now_ms - SETTLED_MS) // step * step)
    if wanted.begin >= wanted.end:
        raise invalid(
            "start",
            f"{job.name}: no candle from {utc(series.begin)} to {utc(series.end)} has settled at {utc(now_ms)}; "
            "ask for an earlier span",
        )
    _find_file(job, wanted)
    known = _find_parts(job, wanted)
    job.target = _name_target(job, [wanted, *known])
    if job.memo is not None and not again:
        known += job.memo.covered
    unknown = subtract_stretches([wanted], known)
    if job.memo is not None and not again:
        unknown += _seams(job.memo, unknown)
    job.pieces = cut_stretches(join_stretches(unknown, bridge=BRIDGE_CANDLES * step), PIECE_CANDLES * step)
    job.left = len(job.pieces)
    return job


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Only one download writes to a folder. The claim ends with its process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        raise _refused(
            f"another download is writing to {folder}; wait until it ends, or name all symbols in one command",
            "FOLDER_IN_USE",
        ) from None
    try:
        yield
    finally:
        os.close(number)


def _find_file(job: Job, wanted: Stretch) -> None:
    """The file that the new candles will join, if there is one. One that cannot be joined is refused by name."""
    for left in job.folder.glob(f".{job.series.symbol}_{job.series.interval}_*.new"):
        left.unlink()
    for recording in list_recordings(job.folder):
        if (recording.symbol, recording.interval) != job.series[:2]:
            continue
        try:
            memo = check_file(recording.path)
        except Damage as damage:
            _set_aside(job, recording, damage, wanted)
            continue
        if not _concerns(recording, memo, wanted):
            continue
        if memo is None:
            raise _refused(
                f"{job.name}: {recording.path.name} holds candles of this span and was not downloaded by this program; "
                "move it away, or choose another folder with --output",
                "FOREIGN_FILE",
            )
        if memo.source != job.source:
            raise _refused(
                f"{job.name}: {recording.path.name} comes from {memo.source}; candles of {job.source} never join it; "
                "move it away, or choose another folder with --output",
                "ANOTHER_SOURCE",
            )
        if job.file is not None:
            raise _refused(
                f"{job.name}: {job.file.name} and {recording.path.name} would both be joined by this span; "
                "ask for one that touches only one of them, or move one away",
                "TWO_FILES",
            )
        job.file, job.memo = recording.path, memo


def _find_parts(job: Job, wanted: Stretch) -> list[Stretch]:
    """What earlier pieces cover. Those that were not whole on disk when their process ended are removed."""
    for left in job.work.glob(".*.new"):
        left.unlink()
    covered: list[Stretch] = []
    for path in sorted(job.work.glob("*.parquet")):
        job.number = max(job.number, int(path.stem))
        try:
            memo = check_file(path)
        except Damage:
            memo = None
        if memo is None:
            job.notes.append(f"the damaged piece {path.name} was removed and is asked for again")
            path.unlink()
        elif memo.source != job.source:
            raise _refused(
                f"{job.name}: an unfinished download from {memo.source} lies in {job.work}; finish it from "
                "there, or remove that folder",
                "ANOTHER_SOURCE",
            )
        elif touches(memo.span, wanted):
            job.parts.append(path)
            covered += memo.covered
    return covered


def _name_target(job: Job, spans: list[Stretch]) -> Path:
    """The file's name has the days of its first and last candle."""
    spans = [*spans, *([job.memo.span] if job.memo else [])]
    edges = min(span.begin for span in spans), max(span.end for span in spans) - 1
    first, last = (f"{instant(edge):%Y%m%d}" for edge in edges)
    target = job.folder / f"{job.series.symbol}_{job.series.interval}_{first}_{last}.parquet"
    if target != job.file and target.exists():
        raise _refused(
            f"{job.name}: {target.name} holds another span of these days; ask for one that joins it, or move it away",
            "FILE_IN_THE_WAY",
        )
    return target


def _seams(memo: Memo, unknown: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    """The outermost known candles, where unknown ones follow or precede them."""
    seam = SEAM_CANDLES * memo.step_ms
    edges = [Stretch(*edge) for begin, end in memo.covered for edge in ((begin, begin + seam), (end - seam, end))]
    return tuple(edge for edge in edges if any(touches(edge, each) for each in unknown))


def _concerns(recording: Recording, memo: Memo | None, wanted: Stretch) -> bool:
    if memo is not None:
        return bool(memo.covered) and touches(memo.span, wanted)
    spans = read_spans(recording)
    return any(touches(Stretch(span.first, span.last + recording.step_ms), wanted) for span in spans)


def _set_aside(job: Job, recording: Recording, damage: Damage, wanted: Stretch) -> None:
    """A damaged file is kept under another name; what it held is asked for again if its name says that it is wanted."""
    try:
        days = [datetime.strptime(f"{word} +0000", "%Y%m%d %z") for word in recording.path.stem.split("_")[2:]]
    except ValueError:
        return
    begin, end = (round(day.timestamp() * 1_000) for day in days)
    if touches(Stretch(begin, end + DAY_MS), wanted):
        aside = recording.path.rename(recording.path.with_suffix(".parquet.damaged"))
        job.notes.append(f"{damage}; it is kept as {aside.name}, and its candles are asked for again")


def _refused(detail: str, reason: str) -> CrpbotError:
    return CrpbotError(Code.FAILED_PRECONDITION, detail, reason=reason)
