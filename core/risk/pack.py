"""The rules of prop firms, one file each in the folder `packs`: read once, and refused if unclear."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from core.errors import unknown
from core.risk.pack_file import read_pack
from core.risk.terms import Closing, Contract, GapTrading, Label, Limbo, RiskPack, Source, TotalLossMode

__all__ = [
    "DEFAULT_PACK",
    "Closing",
    "Contract",
    "GapTrading",
    "Label",
    "Limbo",
    "RiskPack",
    "Source",
    "TotalLossMode",
    "discover_packs",
    "find_pack",
    "read_pack",
]

DEFAULT_PACK: Final = "ftmo-2step-challenge"
PACK_FOLDER: Final = "packs"


@cache
def discover_packs() -> Mapping[str, RiskPack]:
    """Every pack that comes with the program, by its id, in the order of their files."""
    found = {}
    for file in sorted(resources.files("core.risk").joinpath(PACK_FOLDER).iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            pack = read_pack(file.read_text(encoding="utf-8"), name=file.name.removesuffix(".toml"))
            found[pack.id] = pack
    return MappingProxyType(found)


def find_pack(pack_id: str, *, packs: Mapping[str, RiskPack] | None = None) -> RiskPack:
    """The pack of that id, or an error that names the known ones. `packs` may hold a user's own beside ours."""
    known = discover_packs() if packs is None else packs
    if pack_id not in known:
        raise unknown("pack", "pack", pack_id, known)
    return known[pack_id]
