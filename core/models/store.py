"""Where models are kept: every version ever trained, and which of them decides, by kind and coin.

A store is a folder or a bucket (core/adapters/models/folder.py) or anything else that keeps these promises: what is
saved is whole or not there, and a promotion is one step, so that a reader sees the model before or the model after.
Whoever reads the promoted versions once and loads by version never mixes two of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from core.errors import Code, CrpbotError, unknown
from core.market import interval_seconds
from core.models.judgement import Judgement, Verdict, read_judgement
from core.models.manifest import Kind, Manifest
from core.models.manifest_text import DIGEST, write_manifest
from core.models.promotion import Promotion

EVERY_COIN: Final = "multi"  # the subject of a model of several coins
COMPUTED: Final = {"platt", "probe"}  # entries of a manifest that follow from the weights, to the last digits


class Slot(NamedTuple):
    """What at most one model is promoted for."""

    kind: Kind
    subject: str  # a symbol, or EVERY_COIN


class Entry(NamedTuple):
    """A model as it lies in the store, or what is wrong with it."""

    file: str
    manifest: Manifest | None
    fault: CrpbotError | None = None

    def read(self) -> Manifest:
        """The manifest; raises the fault."""
        if self.manifest is None:
            assert self.fault is not None
            raise self.fault
        return self.manifest


class Report(NamedTuple):
    """What the promotion gate found, for programs and for people."""

    facts: str  # JSON
    page: str  # HTML


class Stock(NamedTuple):
    """All that lies in a store, by one look at it."""

    entries: tuple[Entry, ...]
    promoted: dict[Slot, Entry]
    candidates: dict[Slot, Entry]
    stamps: Mapping[str, str]  # of every file: the same stamp is the same content


class Judged(NamedTuple):
    """What the gate says of a model."""

    newest: Judgement
    page: str  # of the newest judgement, by its name below the place
    promoted_with: Judgement | None  # an earlier one; None: that is the newest, or the model never decided


class GateReports(Protocol):
    """The gate's reports of the models of a store. All calls may block on a disk or a network."""

    def judged(self, stock: Stock) -> Mapping[str, Judged]:
        """By version, what the gate says of these models. One that was not judged, or not readably, is left out."""
        ...

    def page(self, judged: Judged) -> str:
        """The report as a page."""
        ...


class ModelStore(Protocol):
    """A keeper of models. All calls may block on a disk or a network."""

    def save(self, manifest: Manifest, blob: bytes) -> str:
        """Keeps a model and says its version. The same version again replaces its manifest."""
        ...

    def entries(self) -> tuple[Entry, ...]:
        """Every model, oldest first; a damaged one with its fault, so that it hides no other."""
        ...

    def look(self) -> Stock:
        """Every model and who decides, of one moment."""
        ...

    def verify(self, entry: Entry, stock: Stock) -> None:
        """Refuses weights that are not those that the manifest vouches for. Cheap where they are known."""
        ...

    def load(self, version: str) -> tuple[Manifest, bytes]:
        """A model whose weights are those that its manifest vouches for; `weights.decode` opens them."""
        ...

    def promote(self, version: str, report: Report) -> None:
        """From now on this version decides, and is no candidate any more.

        Refused unless its report says pass, against the one that decides now; where that one cannot be read, always.
        """
        ...

    def restore(self, version: str) -> None:
        """Back to a version that was promoted before, by the report of then: a way back needs no better model.

        Refused, as every other way to a pointer, where no server here could ask the model.
        """
        ...

    def demote(self, slot: Slot) -> str:
        """From now on no model decides; says which did."""
        ...

    def promoted(self) -> dict[Slot, Entry]:
        """The models that decide. Cheap: each server asks as often as it looks whether they are others by now."""
        ...

    def nominate(self, version: str) -> None:
        """From now on this version is on trial: scored beside the one that decides, and without effect."""
        ...

    def withdraw(self, slot: Slot) -> str:
        """From now on no model is on trial there; says which was."""
        ...

    def candidates(self) -> dict[Slot, Entry]:
        """The models on trial. As cheap as `promoted`."""
        ...

    def history(self, slot: Slot) -> tuple[Promotion, ...]:
        """Every change of who decides, oldest first."""
        ...

    def previous(self, slot: Slot) -> str | None:
        """The version to which a way back leads."""
        ...

    def report(self, version: str) -> Report:
        """The report that a version was promoted with."""
        ...


def slot_of(manifest: Manifest) -> Slot:
    """What this model can be promoted for."""
    single = len(manifest.symbols) == 1 and manifest.kind is not Kind.TRANSFORMER
    return Slot(manifest.kind, manifest.symbols[0] if single else EVERY_COIN)


def file_name(manifest: Manifest) -> str:
    """`lstm_BTC-USD_1m_0f3a9c1d.pt`; a model of all coins has the instant at which it was made."""
    kind, subject = slot_of(manifest)
    if kind is Kind.TRANSFORMER:
        return f"{kind}_{subject}_v{manifest.created_at:%Y%m%dT%H%M%SZ}.pt"
    return f"{kind}_{subject}_{manifest.interval}_{manifest.version.rpartition('-')[2]}.pt"


def pointer_name(slot: Slot) -> str:
    """`lstm_BTC-USD_promoted.pt`"""
    return f"{slot.kind}_{slot.subject}_promoted.pt"


def candidate_name(slot: Slot) -> str:
    """`lstm_BTC-USD_candidate.pt`"""
    return f"{slot.kind}_{slot.subject}_candidate.pt"


def check_report(report: Report, manifest: Manifest) -> Judgement:
    """Refuse a promotion without a report of just this model whose verdict is pass. There is no way around it."""
    found = read_judgement(report.facts)
    learned_until = manifest.learned_until
    if found.model != manifest.version:
        raise _no_promotion(manifest, f"the gate report is of {found.model[:80]}")
    minutes = manifest.horizon * interval_seconds(manifest.interval) // 60
    if (found.kind, found.horizon_minutes) != (manifest.kind, minutes):
        detail = f"it was judged as {found.kind[:20]} over {found.horizon_minutes} minutes, and looks {minutes} ahead"
        raise _no_promotion(manifest, detail)
    ruled = {ruling.symbol for ruling in found.rulings}
    if ruled != set(manifest.symbols):
        detail = f"it was judged on {', '.join(sorted(ruled))[:200]}, and knows {', '.join(manifest.symbols)}"
        raise _no_promotion(manifest, detail)
    if found.verdict is not Verdict.PASS:
        raise _no_promotion(manifest, f"the gate's verdict is {found.verdict}: {found.sentence[:400]}")
    if found.first <= learned_until:
        detail = f"it was judged from {found.first:%Y-%m-%d %H:%M} on, and learned until {learned_until:%Y-%m-%d %H:%M}"
        raise _no_promotion(manifest, detail)
    return found


def check_champion(judgement: Judgement, manifest: Manifest, entry: Entry | None) -> None:
    """Refuse a model that was never compared with the one that decides by now, on all that this one decides."""
    if entry is not None and entry.manifest is None:
        why = f"what decides by now cannot be read, so nothing was compared with it ({entry.fault})"
        raise _no_promotion(manifest, why, remedy=demotion(slot_of(manifest)))
    current = entry.manifest if entry is not None else None
    if current is None or current.version == manifest.version:
        return
    if current.origin != manifest.origin:
        why = f"{current.version} decides, which learned on {current.origin}, and this one learned on {manifest.origin}"
        raise _no_promotion(manifest, f"{why}: they were never compared", remedy=demotion(slot_of(current)))
    orphans = [symbol for symbol in current.symbols if symbol not in manifest.symbols]
    if orphans:
        why = f"{current.version} decides, also on {', '.join(orphans)}, where nobody would after it"
        raise _no_promotion(manifest, why, remedy=demotion(slot_of(current)))
    if judgement.champion != current.version:
        against = judgement.champion or "none"
        raise _no_promotion(manifest, f"by now {current.version} decides, and it was judged against {against}")


def demotion(slot: Slot) -> str:
    """The command that takes a model out of service."""
    symbol = "" if slot.subject == EVERY_COIN else f" --symbol {slot.subject}"
    return f"crpbot demote{symbol} --model-type {slot.kind}"


def check_replacement(earlier: Manifest, later: Manifest) -> None:
    """Refuse another model under a version that is taken: whoever named the version would get other answers."""
    same = replace(
        later,
        metrics=earlier.metrics,
        run=earlier.run,
        created_at=earlier.created_at,
        code_hash=earlier.code_hash,
    )
    before, after = (json.loads(write_manifest(each)) for each in (earlier, same))
    others = [name for name in before if name != DIGEST and after.get(name) != before[name]]
    if not others:
        return
    why = f"{earlier.version} is kept with another {' and '.join(others)}"
    remedy = "train with another seed"
    if set(others) <= COMPUTED:
        why += ", made of the same weights: another number of threads, another machine or other code moves their digits"
        remedy = f"`crpbot evaluate --model {earlier.version}` judges the one that is kept, or {remedy}"
    raise CrpbotError(Code.ALREADY_EXISTS, f"{why}; remedy: {remedy}", reason="VERSION_TAKEN")


def _no_promotion(manifest: Manifest, why: str, *, remedy: str | None = None) -> CrpbotError:
    usual = f"crpbot evaluate --model {manifest.version}"
    return CrpbotError(
        Code.FAILED_PRECONDITION,
        f"{manifest.version} is not promoted: {why}; remedy: {remedy or usual}",
        reason="GATE_NOT_PASSED",
    )


def unknown_version(version: str, entries: tuple[Entry, ...]) -> CrpbotError:
    """Nobody saved this version here."""
    known = [entry.manifest.version for entry in entries if entry.manifest is not None]
    return unknown("version", "model", version, known or ("none: train one with crpbot train",))
