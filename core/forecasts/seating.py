"""Who speaks: from what a store of models says, and from which of these were found to be usable, the next lineup.

A model that was promoted and cannot be used leaves its seat to the one that has it. Who has a seat keeps it, also when
no replica can be asked about him. A model that was demoted loses its seat at once. All of it is pure:
`serving/lineup.py` watches the store and has the models loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from core.errors import CrpbotError
from core.forecasts.lineup import Lineup, Seat, Vacancy
from core.models.manifest import Manifest
from core.models.store import EVERY_COIN, Entry, Slot, file_name, slot_of
from core.models.suitability import check_servable

Problems = Mapping[str, str]
"""Why a version cannot be used, by version; what is not in it, or has an empty sentence, can."""


class Tried(NamedTuple):
    """What came of loading versions. Of those `unknown` nobody answered whether they can be used: ask again soon."""

    problems: Problems
    unknown: frozenset[str] = frozenset()


class Wish(NamedTuple):
    """What the store wants: who decides, and who is on trial."""

    promoted: Mapping[Slot, Entry]
    candidates: Mapping[Slot, Entry]

    @property
    def key(self) -> object:
        """Equal for two wishes that ask for the same."""
        return tuple(
            tuple((slot, _name(entry), str(entry.fault)) for slot, entry in sorted(each.items())) for each in self
        )

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version that should speak and whose manifest can be read, each once."""
        entries = (*self.promoted.values(), *self.candidates.values())
        return tuple(dict.fromkeys(each.manifest.version for each in entries if each.manifest is not None))


def dismiss(lineup: Lineup, wish: Wish) -> Lineup:
    """The lineup without those that the store took out of service. Nothing has to be loaded for that.

    A seat whose first model is still being loaded is empty until it is known how that ends, and says so.
    """
    trials = {entry.manifest.version for entry in wish.candidates.values() if entry.manifest is not None}
    seats = tuple(
        seat
        for seat in lineup.seats
        if (seat.manifest.version in trials if seat.candidate else slot_of(seat.manifest) in wish.promoted)
    )
    taken = {slot_of(seat.manifest) for seat in seats if not seat.candidate}
    empty = {
        (slot.kind.value, slot.subject): _still_empty(lineup.empty.get((slot.kind.value, slot.subject)), entry)
        for slot, entry in wish.promoted.items()
        if slot not in taken
    }
    if seats == lineup.seats and empty == dict(lineup.empty):
        return lineup
    return replace(lineup, seats=seats, empty=MappingProxyType(empty))


def fill(lineup: Lineup, wish: Wish, problems: Problems) -> Lineup:
    """The next lineup. A seat whose new model cannot be used is kept by the one that has it, and the faults say so."""
    earlier = {slot_of(seat.manifest): seat.manifest for seat in lineup.seats if not seat.candidate}
    seats: list[Seat] = []
    faults: list[str] = []
    empty: dict[tuple[str, str], Vacancy] = {}
    # a model of one coin comes after that of all coins, because of two the last one speaks
    for slot, entry in sorted(wish.promoted.items(), key=lambda each: (each[0].subject != EVERY_COIN, each[0])):
        fault = _fault(entry, problems)
        chosen = entry.read() if fault is None else earlier.get(slot)
        if chosen is not None:
            seats.append(Seat(chosen))
        if fault is not None:
            faults.append(_tell_fault(slot, entry, chosen, fault))
            if chosen is None:
                empty[slot.kind.value, slot.subject] = _vacancy(entry, f"it is promoted and cannot be used: {fault}")
    deciding = {seat.manifest.version for seat in seats}
    for slot, entry in sorted(wish.candidates.items()):
        fault = _fault(entry, problems)
        if fault is not None:
            faults.append(f"{slot.kind} of {slot.subject}: the candidate {_name(entry)} cannot be used: {fault}")
        if entry.manifest is not None and entry.manifest.version not in deciding:
            seat = Seat(entry.manifest, candidate=True)
            seats += [seat] if fault is None or seat in lineup.seats else []
    return replace(lineup, seats=tuple(seats), faults=tuple(faults), empty=MappingProxyType(empty))


def decide_now(lineup: Lineup) -> dict[Slot, Entry]:
    """Who decides, as a store tells it: also a model that is kept in its seat while the store names another."""
    deciding = (seat.manifest for seat in lineup.seats if not seat.candidate)
    return {slot_of(manifest): Entry(file_name(manifest), manifest) for manifest in deciding}


def _tell_fault(slot: Slot, entry: Entry, chosen: Manifest | None, fault: str) -> str:
    """What is wrong with the model that was promoted, and who has its seat."""
    where, name = f"{slot.kind} of {slot.subject}", _name(entry)
    if chosen is not None and chosen.version == name:
        return f"{where}: {name} keeps its seat, and could not be opened anew: {fault}"
    in_its_place = "nothing speaks in its place" if chosen is None else f"{chosen.version} speaks on"
    return f"{where}: {name} is promoted and cannot be used: {fault}; {in_its_place}"


def _fault(entry: Entry, problems: Problems) -> str | None:
    if entry.manifest is None:
        assert entry.fault is not None
        return entry.fault.detail
    try:
        check_servable(entry.manifest)
    except CrpbotError as error:
        return error.detail
    return problems.get(entry.manifest.version) or None


def _still_empty(before: Vacancy | None, entry: Entry) -> Vacancy:
    """Why a seat is empty: as before while the same model is promoted for it, and not loaded where it is another."""
    loading = _vacancy(entry, "it is promoted and is not loaded yet; ask again in some seconds")
    return before if before is not None and before.version == loading.version else loading


def _vacancy(entry: Entry, why: str) -> Vacancy:
    return Vacancy(_name(entry), why, None if entry.manifest is None else entry.manifest.symbols)


def _name(entry: Entry) -> str:
    return entry.file if entry.manifest is None else entry.manifest.version
