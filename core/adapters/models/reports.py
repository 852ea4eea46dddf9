"""The gate's newest report of every model that was judged, whether it was promoted or not, beside the models.

FOLDER/reports/lstm-0f3a9c1d.json      what the gate found, and as a page: .html
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core.adapters.files.places import files_of
from core.adapters.models.folder import MOST_PAGE_BYTES
from core.errors import CrpbotError
from core.files import Files, is_away
from core.models.store import ModelStore, Report

REPORTS: Final = "reports"  # below the folder of the models


class ModelReports:
    """The reports of a place and its store."""

    def __init__(self, place: Path | Files, store: ModelStore) -> None:
        self._files = files_of(place)
        self._store = store

    def find(self, version: str) -> Report:
        """The report that a version was promoted with; of one that never was, that of its last judgement."""
        try:
            return self._store.report(version)
        except (CrpbotError, UnicodeDecodeError) as error:  # none beside it, or none that can be read
            if isinstance(error, CrpbotError) and is_away(error):
                raise
            names = (f"{REPORTS}/{version}.{kind}" for kind in ("json", "html"))
            pages = (self._files.read(name, most=MOST_PAGE_BYTES) for name in names)
            return Report(*(page.decode(errors="replace") for page in pages))
