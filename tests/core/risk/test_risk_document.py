"""docs/risk.md says what the packs say: its tables are compared with the files, row by row."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from core.risk.check import Purpose
from core.risk.limits import DEFAULT_LIMITS, HIGHEST_RISK_PERCENT
from core.risk.pack import RiskPack, TotalLossMode, discover_packs
from core.risk.rule import Rule
from core.risk.state import Standing

DOCUMENT = (Path(__file__).parents[3] / "docs" / "risk.md").read_text()


def share(value: Decimal | None) -> str:
    """A fraction as the table writes it."""
    return "none" if value is None else f"{(value * 100).normalize():f} %"


def row(pack: RiskPack) -> str:
    """One line of the table of packs."""
    mode = "trailing" if pack.total_loss_mode is TotalLossMode.TRAILING else "static"
    news = "free" if pack.news_minutes is None else f"{pack.news_minutes} min"
    weekend = "free" if pack.weekend_holding else "flat"
    cells = (
        f"`{pack.id}`",
        share(pack.daily_loss),
        share(pack.daily_guard),
        f"{share(pack.total_loss)} {mode}",
        share(pack.total_guard),
        share(pack.profit_target),
        str(pack.minimum_trading_days),
        share(pack.best_day_share),
        news,
        weekend,
    )
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("pack", discover_packs().values(), ids=lambda pack: pack.id)
def test_the_table_of_packs_is_what_the_files_say(pack: RiskPack) -> None:
    assert row(pack) in DOCUMENT


def test_every_state_and_every_rule_is_explained() -> None:
    for state in Standing:
        assert f"`{state.name}`" in DOCUMENT
    for rule in Rule:
        assert f"`{rule.value}`" in DOCUMENT, rule
    assert all(purpose.value in DOCUMENT for purpose in Purpose)


def test_the_houses_own_limits_are_stated_as_they_are() -> None:
    assert f"at most {HIGHEST_RISK_PERCENT} %" in DOCUMENT
    assert f"slippage of {share(DEFAULT_LIMITS.slippage_fraction)}" in DOCUMENT
    assert f"{share(DEFAULT_LIMITS.entry_tolerance_fraction)} worse than planned" in DOCUMENT
    assert f"{DEFAULT_LIMITS.stale_after_seconds} s" in DOCUMENT
    assert f"{DEFAULT_LIMITS.max_signals_per_hour} signals" in DOCUMENT
