"""Pieces of a download become one file, with the one that was there before: no candle twice, the first answer stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from core.adapters.history.file import (
    KEY,
    NO_HOLES,
    Memo,
    as_table,
    encode,
    open_writer,
    read_memo,
    read_stretch,
    replacing,
)
from core.adapters.history.recording import Rows, join_rows
from core.adapters.stretches import Stretch, find_holes, join_stretches
from core.errors import Code, CrpbotError
from core.gate import RawCandles, Revision, revisions
from core.market import Instants

# Candles of one row group: 3 MiB, the most that is held at once. Groups begin on multiples of it since 1970, so that
# what a file looks like does not depend on when which part of it arrived.
GROUP_CANDLES: Final = 65_536
# Exchanges correct single candles. When more than this differ, it is another series: another exchange, coin or unit.
MOST_REVISIONS: Final = 1_000


def merge_files(earlier: Path | None, parts: Sequence[Path], target: Path, *, at_ms: int) -> Memo:
    """Writes the candles of an earlier file and of parts of the same series as one file; who came first is right.

    Memory does not grow with the span. `at_ms` is noted beside what a later part tells otherwise.
    """
    files = [*([earlier] if earlier else []), *parts]
    memos = {path: memo for path in files if (memo := read_memo(path)) is not None}
    known = memos.get(earlier) if earlier else None
    whole = replace(
        known or memos[parts[0]], covered=join_stretches(stretch for memo in memos.values() for stretch in memo.covered)
    )
    size = GROUP_CANDLES * whole.step_ms
    book = _RevisionBook(known, at_ms)
    holes, count = [NO_HOLES], 0
    with replacing(target) as file, open_writer(file) as writer:
        for edge in range(whole.span.begin // size * size, whole.span.end, size):
            near = [path for path, memo in memos.items() if memo.span.begin < edge + size and memo.span.end > edge]
            rows = book.overlay([read_stretch(path, edge, edge + size) for path in near])
            if len(rows.open_times):
                writer.write_table(as_table(rows))
                count += len(rows.open_times)
            inside = [Stretch(max(begin, edge), min(end, edge + size)) for begin, end in whole.covered]
            holes.append(find_holes(rows.open_times, [each for each in inside if each.begin < each.end], whole.step_ms))
        whole = replace(
            whole,
            candles=count,
            holes=_join_holes(np.concatenate(holes)),
            revisions=tuple(book.found),
            noticed=tuple(book.noticed),
        )
        writer.add_key_value_metadata({KEY: encode(whole)})
    return whole


class _RevisionBook:
    """Takes down which candles were told otherwise, each answer once."""

    def __init__(self, known: Memo | None, at_ms: int) -> None:
        self.found = list(known.revisions) if known else []
        self.noticed = list(known.noticed) if known else []
        self._at_ms = at_ms
        self._told = {(revision.open_time, revision.fresh) for revision in self.found}

    def overlay(self, answers: Sequence[Rows]) -> Rows:
        """The candles of all answers, sorted; of those in several the first."""
        rows = join_rows([])
        for answer in answers:
            if not len(rows.open_times) or not len(answer.open_times) or rows.open_times[-1] < answer.open_times[0]:
                rows = join_rows([rows, answer])
                continue
            for revision in revisions(RawCandles(rows[0], *rows[1]), RawCandles(answer[0], *answer[1])):
                self._note(revision)
            new = ~np.isin(answer.open_times, rows.open_times)
            both = join_rows([rows, Rows(answer.open_times[new], answer.block[:, new])])
            order = np.argsort(both.open_times)
            rows = Rows(both.open_times[order], both.block[:, order])
        return rows

    def _note(self, revision: Revision) -> None:
        if (revision.open_time, revision.fresh) in self._told:
            return
        self._told.add((revision.open_time, revision.fresh))
        self.found.append(revision)
        self.noticed.append(self._at_ms)
        if len(self.found) > MOST_REVISIONS:
            raise CrpbotError(
                Code.FAILED_PRECONDITION,
                f"more than {MOST_REVISIONS} candles differ from those stored, the last at {revision.open_time}: "
                f"{revision.stored} was stored, {revision.fresh} is told now; this is another series. "
                "Fetch it into another folder with --output, or move the stored file away",
                reason="ANOTHER_SERIES",
            )


def _join_holes(holes: Instants) -> Instants:
    """Holes that go on in the next row group are one."""
    if len(holes) == 0:
        return holes
    begins = np.append(True, holes[1:, 0] != holes[:-1, 1])
    ends = np.append(begins[1:], True)
    return np.column_stack((holes[begins, 0], holes[ends, 1]))
