"""The texts beside a stored decision, written once more: its case, its prompt, and its reply as it is read now."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from core.deciding.decision import Case
from core.deciding.strategies import AnyCase
from core.llm.asking import Prompt
from core.llm.prompt import Question, write_prompt
from core.llm.reply import parse_reply
from core.replaying.difference import show_both
from core.signal import Mode, Refusal, Signal, Unasked, Verdict
from core.signals.case_file import write_case
from core.signals.ports import WholeSignal
from core.trade import Book

SAID: Final = ("prompt", "reply")
_TOLD: Final = re.compile(r"^Threshold: (\S+)$", re.MULTILINE)


def compare_texts(whole: WholeSignal, case: AnyCase, mode: Mode) -> Iterator[str]:
    """The case as this version would write it, and its verdict as this version reads the reply."""
    text, reply = whole.texts["case"], whole.texts.get("reply")
    written = write_case(case, mode)
    if written != text:
        yield show_both("case", text, written)
    if not isinstance(case, Case):
        yield from (f"{kind}: one is stored, and no language model was asked" for kind in SAID if kind in whole.texts)
    elif reply is not None:
        parsed = write_case(replace(case, reply=parse_reply(reply)), mode)
        if parsed != written:
            yield show_both("reply", written, parsed)
    elif isinstance(case.reply, Verdict) or (isinstance(case.reply, Refusal) and case.reply.reason.startswith("reply")):
        yield "reply: the case rests on one, and none is stored"


def write_again(whole: WholeSignal, case: AnyCase, mode: Mode) -> tuple[Prompt | None, tuple[str, ...]]:
    """The prompt of the case, where one was written, and how it differs from the stored one."""
    stored = whole.texts.get("prompt")
    if stored is None or not isinstance(case, Case):
        return None, ()
    signal = whole.stored.signal
    change = signal.change_24h_percent
    told = _told_threshold(signal, case, stored)
    prompt = write_prompt(Question(case.analysis, mode, told, case.yardstick, change_24h_percent=change))
    again = f"{prompt.system}\0{prompt.user}"
    return prompt, () if again == stored else (show_both("prompt", stored, again),)


def _told_threshold(signal: Signal, case: Case, stored: str) -> float:
    """The threshold that the model was told: that of the variant drawn for the slot.

    Where the other variant, or after a failure the rule, decided, the case has a threshold of its own. What was told is
    then read from the prompt, whose hash stands in the row.
    """
    if signal.book is Book.PRIMARY and not isinstance(case.reply, Unasked):
        return case.threshold.value
    found = _TOLD.search(stored)
    try:
        return float(found.group(1)) if found else math.nan
    except ValueError:
        return math.nan
