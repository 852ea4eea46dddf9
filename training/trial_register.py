"""Every try counts: a file that remembers each model, setting, threshold and prompt that was ever judged on a market.

The best of a hundred tries without skill looks like skill, so the gate must know of all hundred. The file holds one
line of JSON for each try. A line carries the digest of the line before it and its own, so that one changed or taken out
in the middle is found; that lines were cut off at the end is found by a judgement, which names the last digest it saw.

Every judgement stands there as well, by its digest, so that a report which was changed by hand is known.

It lies beside the models, in a folder or a bucket. A line is safely there before `register` returns; two processes wait
for each other. A part of a last line, as a crash of earlier versions left it, is cut away by the next try.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from typing import Final

import numpy as np

from core.canonical import read_canonical, write_canonical
from core.errors import Code, CrpbotError, invalid
from core.files import Files
from core.market import Floats
from core.performance.measure import MIN_DAYS
from core.performance.trials import Trial, try_of
from core.risk.booking import check_word

REGISTER: Final = "trials.jsonl"
MOST_BYTES: Final = 100_000_000  # a try has a few kilobytes
ORIGIN: Final = "0" * 64  # what the first line follows
NAME_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Try:
    """One try: what was tried on which symbol with which kind of model, and what each day of the test brought.

    `settings` say what was tried, in words: hyper-parameters, threshold, the digest of a prompt.
    """

    name: str
    kind: str
    symbol: str
    at: datetime
    settings: Mapping[str, str]
    first_day: str  # such as 2026-01-31
    daily_returns: tuple[float, ...]

    def __post_init__(self) -> None:
        for field in ("name", "kind", "symbol"):
            check_word(f"try.{field}", getattr(self, field))
        if self.at.tzinfo is None:
            raise invalid("try.at", f"of {self.name!r} has no time zone")
        if not self.daily_returns or not np.isfinite(self.daily_returns).all():
            raise invalid("try.daily_returns", f"of {self.name!r} are none, or hold what is no number")
        date.fromisoformat(self.first_day)

    @property
    def origin(self) -> str:
        """The market it was tried in, where the settings name one: a try in another one is no try in this."""
        return self.settings.get("origin", "")

    @property
    def first(self) -> int:
        """The number of its first day, as `date.toordinal` counts."""
        return date.fromisoformat(self.first_day).toordinal()

    @property
    def trial(self) -> Trial:
        """What the deflated Sharpe ratio counts. A try without a move, or of few days, has earned nothing: ratio 0."""
        returns = np.array(self.daily_returns)
        if len(returns) < MIN_DAYS or not returns.any():
            return Trial(self.name, self.at, 0.0, max(len(returns), 2))
        return try_of(self.name, self.at, returns)


@dataclass(frozen=True, slots=True)
class Judged:
    """The digest of what the gate wrote down of a model."""

    model: str
    sha256: str


def name_try(kind: str, symbol: str, settings: Mapping[str, str]) -> str:
    """A name that the same settings always get: to judge the same thing twice is one try."""
    told = json.dumps([kind, symbol, dict(settings)], sort_keys=True)
    return f"{kind}-{symbol}-{sha256(told.encode()).hexdigest()[:NAME_DIGITS]}"


class TrialRegister:
    """The register that lies beside the models. Lines are added, never changed."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def tries(
        self, *, kind: str | None = None, symbol: str | None = None, origin: str | None = None
    ) -> tuple[Try, ...]:
        """All tries in their order, or those with a kind of model, on a symbol, in a market."""
        return tuple(
            each
            for each, _ in self._lines(self._read())
            if isinstance(each, Try)
            and (kind is None or each.kind == kind)
            and (symbol is None or each.symbol == symbol)
            and (origin is None or each.origin == origin)
        )

    @property
    def head(self) -> str:
        """The digest of the last line; that of nothing where there is none."""
        return self.heads[-1]

    @property
    def heads(self) -> tuple[str, ...]:
        """Every digest that the register ever ended with, from that of nothing on: what a judgement saw is one."""
        return (ORIGIN, *(digest for _, digest in self._lines(self._read())))

    def judged(self, model: str, text: str) -> None:
        """Writes down what was judged, before anybody reads it."""
        with self._files.alone():
            self._append(self._read(), "judgement", write_canonical(Judged(model, _sha256(text))))

    def knows(self, model: str, text: str) -> bool:
        """Whether just this was judged."""
        own = Judged(model, _sha256(text))
        return any(each == own for each, _ in self._lines(self._read()))

    def register(self, found: Try) -> bool:
        """Add a try; false where the very same one stands there already. Another one under its name is refused."""
        with self._files.alone():
            text = self._read()
            for known, _ in self._lines(text):
                if not isinstance(known, Try) or known.name != found.name:
                    continue
                if (known.settings, known.first_day, known.daily_returns) == (
                    found.settings,
                    found.first_day,
                    found.daily_returns,
                ):
                    return False
                detail = f"trial: {found.name!r} is registered since {known.at.isoformat()} with other results"
                raise CrpbotError(
                    Code.ALREADY_EXISTS, f"{detail}; another try needs another name", reason="TRIAL_EXISTS"
                )
            self._append(text, "try", write_canonical(found))
        return True

    def _append(self, text: str, name: str, body: str) -> None:
        """A line more, safely there when this returns."""
        last = ([ORIGIN] + [digest for _, digest in self._lines(text)])[-1]
        line = json.dumps({"before": last, "digest": _digest(last, body), name: json.loads(body)}, sort_keys=True)
        self._files.write(REGISTER, f"{text}{line}\n".encode())

    def _read(self) -> str:
        """Every whole line. What a crash left of the last one was never acknowledged."""
        try:
            text = self._files.read(REGISTER, most=MOST_BYTES)
        except CrpbotError as error:
            if error.code is Code.NOT_FOUND:
                return ""
            raise
        return text[: text.rfind(b"\n") + 1].decode()

    def _lines(self, text: str) -> Iterator[tuple[Try | Judged, str]]:
        last = ORIGIN
        for number, line in enumerate(text.splitlines(), start=1):
            try:
                entry = json.loads(line)
                name = "try" if "try" in entry else "judgement"
                body = json.dumps(entry[name], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                is_sound = entry["before"] == last and entry["digest"] == _digest(last, body)
                found: Try | Judged
                found = read_canonical(body, Try) if name == "try" else read_canonical(body, Judged)
            except (ValueError, TypeError, KeyError) as error:
                raise self._damaged(number, f"cannot be read ({type(error).__name__})") from None
            if not is_sound:
                raise self._damaged(number, "or the one before it was changed or taken out")
            last = str(entry["digest"])
            yield found, last

    def _damaged(self, number: int, what: str) -> CrpbotError:
        where = f"line {number} of {self._files.url}/{REGISTER}"
        detail = f"trial register: {where} {what}; nothing is judged until it is restored"
        return CrpbotError(Code.FAILED_PRECONDITION, detail, reason="DAMAGED_REGISTER")


def align(tries: tuple[Try, ...], candidate: Try, *, share: float) -> Floats:
    """Daily returns of the candidate and of all tries that saw at least that share of its days, on the days of all.

    The candidate's is the first column. Shape: (days, tries).
    """
    begins = candidate.first
    ends = begins + len(candidate.daily_returns)
    columns = [(begins, candidate.daily_returns)]
    for each in tries:
        first = each.first
        common = min(ends, first + len(each.daily_returns)) - max(begins, first)
        if each.name != candidate.name and common >= share * (ends - begins):
            columns.append((first, each.daily_returns))
    low = max(first for first, _ in columns)
    high = min(first + len(returns) for first, returns in columns)
    table: Floats = np.array([returns[low - first : high - first] for first, returns in columns], dtype=np.float64).T
    return table


def _digest(before: str, body: str) -> str:
    return _sha256(f"{before}\n{body}")


def _sha256(text: str) -> str:
    return sha256(text.encode()).hexdigest()
