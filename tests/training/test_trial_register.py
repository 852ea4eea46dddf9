"""The register remembers every try, notices what was done to it, and survives whoever is killed while writing."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.adapters.files.folder import FolderFiles
from core.errors import CrpbotError
from tests.training.gate_cases import AT
from training.trial_register import ORIGIN, TrialRegister, Try, align, name_try


def make_try(number: int, *, days: int = 30, first_day: str = "2026-01-01", symbol: str = "BTC-USD") -> Try:
    """A try of its own."""
    returns = tuple((0.01 * np.random.default_rng(number).standard_normal(days)).tolist())
    settings = {"seed": str(number)}
    return Try(name_try("lstm", symbol, settings), "lstm", symbol, AT, settings, first_day, returns)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models" / "trials.jsonl"


def test_what_was_registered_is_read_back_to_the_last_bit(path: Path) -> None:
    tries = tuple(make_try(number) for number in range(5))
    assert all(TrialRegister(FolderFiles(path.parent)).register(each) for each in tries)
    assert TrialRegister(FolderFiles(path.parent)).tries() == tries


def test_only_tries_of_a_kind_and_symbol_are_counted(path: Path) -> None:
    register = TrialRegister(FolderFiles(path.parent))
    for each in (make_try(1), make_try(2, symbol="ETH-USD"), replace(make_try(3), kind="ppo")):
        register.register(each)
    assert [each.symbol for each in register.tries(kind="lstm")] == ["BTC-USD", "ETH-USD"]
    assert register.tries(kind="lstm", symbol="BTC-USD") == (make_try(1),)
    assert register.tries(kind="transformer") == ()


def test_a_try_in_another_market_is_none_in_this(path: Path) -> None:
    register = TrialRegister(FolderFiles(path.parent))
    tries = [replace(make_try(number), settings={"origin": f"market-{number % 2}"}) for number in range(5)]
    for each in tries:
        register.register(each)
    assert register.tries(origin="market-1") == (tries[1], tries[3])
    assert register.tries(origin="") == ()


def test_the_same_try_counts_once(path: Path) -> None:
    register = TrialRegister(FolderFiles(path.parent))
    assert register.register(make_try(1))
    assert not register.register(make_try(1))
    assert len(register.tries()) == 1


def test_a_name_cannot_be_used_for_other_results(path: Path) -> None:
    register = TrialRegister(FolderFiles(path.parent))
    register.register(make_try(1))
    with pytest.raises(CrpbotError, match="other results") as refused:
        register.register(replace(make_try(1), daily_returns=(0.5, 0.5)))
    assert refused.value.reason == "TRIAL_EXISTS"
    assert register.tries() == (make_try(1),)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_changed_line_is_found(path: Path, line: int) -> None:
    register = TrialRegister(FolderFiles(path.parent))
    for number in range(3):
        register.register(make_try(number))
    lines = path.read_text().splitlines()
    entry = json.loads(lines[line])
    entry["try"]["daily_returns"][0] = 0.5
    lines[line] = json.dumps(entry, sort_keys=True)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(CrpbotError, match=f"line {line + 1}"):
        register.tries()
    with pytest.raises(CrpbotError, match=f"line {line + 1}"):
        register.register(make_try(9))


@pytest.mark.parametrize("line", [0, 1])
def test_a_line_taken_out_is_found(path: Path, line: int) -> None:
    register = TrialRegister(FolderFiles(path.parent))
    for number in range(3):
        register.register(make_try(number))
    lines = path.read_text().splitlines()
    del lines[line]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(CrpbotError, match="changed or taken out"):
        register.tries()


def test_lines_cut_off_at_the_end_are_found_by_who_saw_them(path: Path) -> None:
    register = TrialRegister(FolderFiles(path.parent))
    assert register.head == ORIGIN
    heads = []
    for number in range(3):
        register.register(make_try(number))
        heads.append(register.head)
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:2]))
    assert register.heads == (ORIGIN, *heads[:2])


def test_a_judgement_is_known_by_each_of_its_letters(path: Path) -> None:
    register = TrialRegister(FolderFiles(path.parent))
    register.register(make_try(1))
    register.judged("lstm-1", "pass")
    register.register(make_try(2))
    assert [register.knows(*words) for words in (("lstm-1", "pass"), ("lstm-1", "pass "), ("lstm-2", "pass"))] == [
        True,
        False,
        False,
    ]
    assert register.tries() == (make_try(1), make_try(2)), "a judgement is no try"
    lines = path.read_text().splitlines()
    assert len(lines) == len(register.heads) - 1 == 3
    path.write_text("\n".join([lines[0], lines[1].replace("lstm-1", "lstm-2"), lines[2]]) + "\n")
    with pytest.raises(CrpbotError, match="line 2"):
        register.knows("lstm-2", "pass")


def test_whatever_a_crash_left_of_a_line_is_replaced_by_the_next_try(path: Path) -> None:
    register = TrialRegister(FolderFiles(path.parent))
    register.register(make_try(1))
    whole = path.read_bytes()
    register.register(make_try(2))
    both = path.read_bytes()
    for length in range(len(whole), len(both), 97):
        path.write_bytes(both[:length])
        assert register.tries() == (make_try(1),)
        register.register(make_try(2))
        assert path.read_bytes() == both


def test_many_at_once_lose_no_try(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda number: TrialRegister(FolderFiles(path.parent)).register(make_try(number, days=2)), range(40)
            )
        )
    assert sorted(each.name for each in TrialRegister(FolderFiles(path.parent)).tries()) == sorted(
        make_try(n, days=2).name for n in range(40)
    )


def test_what_never_traded_has_earned_nothing() -> None:
    assert replace(make_try(1), daily_returns=(0.0,) * 30).trial.daily_sharpe == 0.0
    assert make_try(1, days=5).trial.daily_sharpe == 0.0
    assert make_try(1).trial.daily_sharpe != 0.0


def test_tries_are_compared_on_the_days_that_all_saw() -> None:
    own = make_try(1, days=30, first_day="2026-01-01")
    late = make_try(2, days=30, first_day="2026-01-04")
    early = make_try(3, days=29, first_day="2025-12-31")
    other = make_try(4, days=30, first_day="2026-01-20")
    table = align((own, late, early, other), own, share=0.8)
    assert table.shape == (25, 3)
    assert table[0].tolist() == [own.daily_returns[3], late.daily_returns[0], early.daily_returns[4]]


@pytest.mark.parametrize(
    "changed",
    [{"daily_returns": (0.1, float("nan"))}, {"daily_returns": ()}, {"name": ""}, {"at": AT.replace(tzinfo=None)}],
)
def test_a_try_that_cannot_be_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(CrpbotError):
        replace(make_try(1), **changed)
