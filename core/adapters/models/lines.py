"""The ensemble's lines beside the models: one file a symbol.

FOLDER/ensemble_BTC-USD_lines.json
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from core.adapters.files.places import files_of
from core.ensemble import Line
from core.errors import Code, CrpbotError
from core.files import Files, is_away
from core.models.ensemble_lines import (
    MOST_CHARACTERS,
    Calibrator,
    Sheet,
    choose,
    merge,
    own_lines,
    read_sheet,
    seated,
    symbols_of,
    write_sheet,
)
from core.models.store import Entry, Slot
from core.models.weighting import Weights

BEGIN: Final = "ensemble_"
LINES: Final = BEGIN + "{symbol}_lines.json"


class LinesFolder:
    """A folder, or a part of a bucket, as `core.models.ensemble_lines.LineStore`."""

    def __init__(self, place: Path | Files) -> None:
        self._files = files_of(place)
        # what each file held when it was read last, or what was wrong with it, with the stamp of that content
        self._known: dict[str, tuple[str, Sheet | CrpbotError]] = {}

    def lines(
        self, promoted: Mapping[Slot, Entry], weights: Weights
    ) -> tuple[dict[str, tuple[Line, ...]], tuple[str, ...]]:
        """Those of single models from their manifests, the others from the files: one look at all, no more if known."""
        symbols = symbols_of(promoted)
        stamps = self._files.stamps(BEGIN, deep=False) if symbols else {}
        found, faults = {}, []
        for symbol in symbols:
            models = seated(promoted, symbol)
            try:
                kept = tuple(each.line for each in choose(self._sheet(symbol, stamps), models, weights))
            except CrpbotError as error:
                if is_away(error):
                    raise
                kept = ()
                faults.append(error.detail)
            found[symbol] = (*own_lines(models), *kept)
        return found, tuple(faults)

    def sheet(self, symbol: str) -> Sheet:
        """All lines of a symbol."""
        return self._sheet(symbol, self._files.stamps(LINES.format(symbol=symbol), deep=False))

    def keep(self, symbol: str, fresh: Sequence[Calibrator]) -> None:
        """Adds lines in one step. A file that cannot be read is replaced: nothing in it would be used."""
        with self._files.alone():
            try:
                earlier = self.sheet(symbol)
            except CrpbotError as error:
                if is_away(error):
                    raise
                earlier = Sheet(symbol)
            self._files.write(LINES.format(symbol=symbol), write_sheet(merge(earlier, fresh)).encode())

    def _sheet(self, symbol: str, stamps: Mapping[str, str]) -> Sheet:
        name = LINES.format(symbol=symbol)
        stamp = stamps.get(name)
        if stamp is None:
            return Sheet(symbol)
        known = self._known.get(symbol)
        if known is None or known[0] != stamp:
            known = self._known[symbol] = (stamp, self._read(name, symbol))
        if isinstance(known[1], CrpbotError):
            raise known[1]
        return known[1]

    def _read(self, name: str, symbol: str) -> Sheet | CrpbotError:
        try:
            return read_sheet(self._files.read(name, most=4 * MOST_CHARACTERS).decode(), symbol)
        except UnicodeDecodeError:
            return CrpbotError(Code.FAILED_PRECONDITION, f"{name} is no text", reason="BAD_MODEL_FILE")
        except CrpbotError as error:
            if is_away(error):
                raise
            return CrpbotError(error.code, f"{name}: {error.detail}", reason=error.reason)
