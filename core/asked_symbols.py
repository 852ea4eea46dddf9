"""Which symbols a question names: one, or several, each once."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import invalid
from core.market import parse_symbol


def name_symbols(symbol: str | None, symbols: Sequence[str]) -> list[str]:
    """The symbols of both fields in the house's spelling, in their order."""
    named = ([("symbol", symbol)] if symbol is not None else []) + [
        (f"symbols.{position}", each) for position, each in enumerate(symbols)
    ]
    found: list[str] = []
    for field, text in named:
        name = parse_symbol(text, field=field)
        if name in found:
            raise invalid(field, f"{name} is asked for twice")
        found.append(name)
    return found


def require_symbols(symbol: str | None, symbols: Sequence[str], *, most: int, purpose: str) -> list[str]:
    """The same, at least one and at most so many."""
    found = name_symbols(symbol, symbols)
    if not found:
        raise invalid("symbol", f"nothing to {purpose}: give symbol or symbols", reason="NOTHING_ASKED")
    if len(found) > most:
        raise invalid("symbols", f"{len(found)} symbols in one call, at most {most} are allowed")
    return found
