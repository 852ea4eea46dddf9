"""The language model's reply becomes a verdict or is refused: three words and bounded numbers, no guess from prose.

A reply can choose BUY, SELL or HOLD, a confidence in [0, 1] and three prices. Whatever else it says is ignored or kept
as text for people. A refused reply means HOLD: nothing is mended and nothing is looked for in sentences.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final, TypeGuard

from core.signal import Refusal, Synthesis, Verdict
from core.strictjson import Json, parse_object
from core.trade import Direction, Levels

REASONING_CHARACTERS: Final = 600
LEVELS: Final = ("entry", "stop_loss", "take_profit")
HIGHEST_PRICE: Final = Decimal(10) ** 12
LOWEST_PRICE: Final = Decimal(10) ** -12
_FENCE: Final = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n(.*)\n[ \t]*```", re.DOTALL)
_BLANK: Final = " \t\r\n"


def parse_reply(text: str) -> Verdict | Refusal:
    """The verdict in a reply, or why it is none. Never raises, whatever the text."""
    try:
        content = parse_object(_unfence(text))
    except ValueError as error:
        return Refusal("reply_malformed", f"not one JSON object: {clean(str(error), 120)}")
    signal, confidence, reasoning = (content.get(name) for name in ("signal", "confidence", "reasoning"))
    if not isinstance(signal, str) or signal not in Direction.__members__:
        return _refuse("reply_signal", "signal", signal, "exactly BUY, SELL or HOLD")
    if not _is_number(confidence) or not 0 <= confidence <= 1:
        return _refuse("reply_confidence", "confidence", confidence, "a number from 0 to 1")
    if not isinstance(reasoning, str) or not clean(reasoning):
        return _refuse("reply_reasoning", "reasoning", reasoning, "a sentence")
    direction = Direction[signal]
    levels = _levels(content)
    if isinstance(levels, Refusal):
        return levels
    kept = None if direction is Direction.HOLD else levels
    return Verdict(direction, float(confidence), clean(reasoning), kept, Synthesis.LLM, raw=text)


def clean(text: str, characters: int = REASONING_CHARACTERS) -> str:
    """Text fit to be shown and stored: one line, no control or invisible characters, not longer than this.

    >>> clean("up\\x00 and\\n\\n up\\u202e")
    'up and up'
    """
    spaced = "".join(" " if character.isspace() else character for character in text)
    words = "".join(character for character in spaced if character.isprintable()).split()
    line = " ".join(words)
    return line if len(line) <= characters else line[: characters - 3].rstrip() + "..."


def _unfence(text: str) -> str:
    """The text without the one code fence that some servers put around JSON."""
    bare = text.strip(_BLANK)
    fenced = _FENCE.fullmatch(bare)
    return fenced.group(1) if fenced else bare


def _levels(content: Json) -> Levels | Refusal | None:
    """The three prices, or none where none is given; a part of them is refused."""
    given = {name: content[name] for name in LEVELS if content.get(name) is not None}
    if not given:
        return None
    absent = [name for name in LEVELS if name not in given]
    if absent:
        return Refusal("reply_levels", f"{', '.join(absent)} is missing: all three prices or none")
    for name, value in given.items():
        if not _is_number(value) or not LOWEST_PRICE <= value <= HIGHEST_PRICE:
            return _refuse("reply_levels", name, value, f"a price from {LOWEST_PRICE} to {HIGHEST_PRICE:f}")
    return Levels(*(Decimal(given[name]) for name in LEVELS))


def _is_number(value: Any) -> TypeGuard[int | Decimal]:  # Any: decoded JSON
    """A JSON number; true and false are none, and neither is a number in quotes."""
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _refuse(reason: str, field: str, found: Any, wanted: str) -> Refusal:  # Any: decoded JSON
    shown = "nothing" if found is None else clean(f"{found!r}", 60)
    return Refusal(reason, f"{field} is {shown}; {wanted} is needed")
