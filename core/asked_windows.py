"""Which windows an analysis may ask for: how long, how many, and each symbol once."""

from __future__ import annotations

from core.analysis import AnalyzeRequest
from core.asked_symbols import name_symbols
from core.errors import invalid

MIN_WINDOW = 200  # below this the theories' intervals are too wide to say anything (theories are specified from 200 on)
MAX_WINDOW = 2_000  # a longer window is slower than one core can answer at once and mixes too many regimes
MAX_WINDOWS = 64  # windows in one call: six times the ten symbols; more belongs into several calls


def check_window(window: int | None) -> int | None:
    """The length asked for, where it can be read."""
    if window is not None and not MIN_WINDOW <= window <= MAX_WINDOW:
        raise invalid("window", f"{window} is not between {MIN_WINDOW} and {MAX_WINDOW}")
    return window


def read_symbols(request: AnalyzeRequest) -> list[str]:
    """The symbols asked for, each once."""
    symbols = name_symbols(request.symbol, request.symbols)
    if request.interval is not None and not symbols:
        raise invalid("interval", "applies to symbol and symbols only; candles and ccxt carry their own interval")
    return symbols


def check_amount(request: AnalyzeRequest, symbols: int) -> None:
    """Refuse a request for nothing, and one for too much."""
    amount = symbols + len(request.candles) + len(request.ccxt)
    if amount == 0:
        raise invalid("symbol", "nothing to analyse: give symbol, symbols, candles or ccxt", reason="NOTHING_ASKED")
    if amount > MAX_WINDOWS:
        raise invalid("symbols", f"{amount} windows in one call, at most {MAX_WINDOWS} are allowed")
