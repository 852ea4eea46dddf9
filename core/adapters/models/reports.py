"""What the gate said of each model: of its last judgement, and of the one that it was promoted with.

    FOLDER/reports/lstm-0f3a9c1d.json             what `crpbot evaluate` found last, and as a page: .html
    FOLDER/lstm_BTC-USD_1m_0f3a9c1d.gate.json     a copy of then, beside the weights that were promoted: .gate.html

The verdict on a model is that of the newest of both, wherever one asks. The way back goes by the copy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from core.adapters.files.places import files_of
from core.errors import Code, CrpbotError
from core.files import Files, is_away
from core.models.judgement import Judgement, read_judgement
from core.models.store import Entry, Judged, Report, Stock

REPORTS: Final = "reports"  # below the place of the models
GATE: Final = ".gate"  # after the name of the weights
MOST_REPORT_BYTES: Final = 50_000_000  # with its pictures


class ModelReports:
    """The reports of one place, as `core.models.store.GateReports`. Facts are read again only when they are new."""

    def __init__(self, place: Path | Files) -> None:
        self._files = files_of(place)
        # what each report said when it was read last, None where it is none, with the stamp of that content
        self._known: dict[str, tuple[str, Judgement | None]] = {}

    def judged(self, stock: Stock) -> dict[str, Judged]:
        """By version, the models of which there is a report that can be read. One look at the reports."""
        stamps = {**stock.stamps, **self._files.stamps(f"{REPORTS}/")}
        found = {}
        for entry in stock.entries:
            judged = None if entry.manifest is None else self._newest(entry, entry.manifest.version, stamps)
            if judged is not None:
                found[judged.newest.model] = judged
        return found

    def page(self, judged: Judged) -> str:
        """The page of the newest judgement."""
        return _read_text(self._files, judged.page)

    def last(self, version: str) -> Report:
        """The whole report of the last judgement."""
        return read_report(self._files, f"{REPORTS}/{version}")

    def keep(self, name: str, report: Report) -> str:
        """Writes the report of a last judgement, and says where its page is."""
        self._files.write(f"{REPORTS}/{name}.json", report.facts.encode())
        self._files.write(f"{REPORTS}/{name}.html", report.page.encode())
        return f"{self._files.url}/{REPORTS}/{name}.html"

    def _newest(self, entry: Entry, version: str, stamps: Mapping[str, str]) -> Judged | None:
        """The last judgement first: as old as the copy, it is the same."""
        last = self._judgement(f"{REPORTS}/{version}", version, stamps)
        then = self._judgement(beside(entry.file), version, stamps)
        if last is not None and (then is None or last.at >= then.at):
            return Judged(last, f"{REPORTS}/{version}.html", None if then == last else then)
        return None if then is None else Judged(then, f"{beside(entry.file)}.html", None)

    def _judgement(self, name: str, version: str, stamps: Mapping[str, str]) -> Judgement | None:
        """What this report says of this model; None where there is none, or it is damaged or another model's."""
        facts = f"{name}.json"
        stamp = stamps.get(facts)
        if stamp is None:
            return None
        known = self._known.get(facts)
        if known is None or known[0] != stamp:
            try:
                content = self._files.read(facts, most=MOST_REPORT_BYTES)
            except CrpbotError as error:
                if is_away(error):
                    raise
                return None  # not kept: rights that are mended leave the stamp as it was
            known = self._known[facts] = (stamp, _believe(content))
        found = known[1]
        return found if found is not None and found.model == version else None


def beside(file: str) -> str:
    """Where the report that a model was promoted with lies, without its ending."""
    return str(PurePosixPath(file).with_suffix(GATE))


def read_report(files: Files, name: str) -> Report:
    """A report, for programs and for people, by its name without an ending."""
    return Report(_read_text(files, f"{name}.json"), _read_text(files, f"{name}.html"))


def _read_text(files: Files, name: str) -> str:
    try:
        return files.read(name, most=MOST_REPORT_BYTES).decode()
    except UnicodeDecodeError:
        detail = f"{name} is no text; remedy: crpbot evaluate"
        raise CrpbotError(Code.FAILED_PRECONDITION, detail, reason="BAD_MODEL_FILE") from None


def _believe(content: bytes) -> Judgement | None:
    try:
        return read_judgement(content.decode())
    except (CrpbotError, UnicodeDecodeError):
        return None
