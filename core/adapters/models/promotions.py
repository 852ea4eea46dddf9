"""The record of promotions beside the models: a line for each, and none is ever changed.

    FOLDER/promotions.jsonl

The file is written anew with one line more and takes its name in one step, so whoever is killed leaves the record
before or the record after. A line that is damaged is named and left as it is; the others count on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from core.adapters.files.places import files_of
from core.errors import Code, CrpbotError
from core.files import Files, is_away
from core.models.promotion import Promotion, read_promotion, write_promotion

RECORD: Final = "promotions.jsonl"
MOST_BYTES: Final = 10_000_000  # a line has 200; nobody promotes fifty thousand times


class PromotionRecord:
    """The lines of one place. Whoever adds one is alone there."""

    def __init__(self, place: Path | Files) -> None:
        self._files = files_of(place)

    def read(self) -> tuple[tuple[Promotion, ...], tuple[str, ...]]:
        """The promotions, oldest first, and a sentence for each line that is none."""
        found, faults = [], []
        for number, line in enumerate(self._content().decode(errors="replace").splitlines(), start=1):
            try:
                found.append(read_promotion(line))
            except CrpbotError as error:
                faults.append(f"line {number} of {RECORD} does not count: {error.detail}")
        return tuple(found), tuple(faults)

    def add(self, promotion: Promotion) -> None:
        """One line more."""
        content = self._content()
        between = b"" if not content or content.endswith(b"\n") else b"\n"
        self._files.write(RECORD, content + between + write_promotion(promotion).encode())

    def _content(self) -> bytes:
        try:
            return self._files.read(RECORD, most=MOST_BYTES)
        except CrpbotError as error:
            if error.code is Code.NOT_FOUND:
                return b""
            if is_away(error):
                raise
            detail = f"{error.detail}: nobody knows who decided when; remedy: move it away, a new record is begun"
            raise CrpbotError(error.code, detail, reason=error.reason) from None
