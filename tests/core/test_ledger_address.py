"""One reading of DB_URL: its spellings are one address, and a wrong one is refused without repeating its password."""

from __future__ import annotations

import pytest

from core.adapters.ledger.address import parse_address
from core.errors import Code, CrpbotError


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
def test_both_spellings_of_sqlite_are_one_address(scheme: str) -> None:
    assert str(parse_address(f"{scheme}:////srv/crpbot.db")) == "sqlite+aiosqlite:////srv/crpbot.db"


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_both_spellings_of_postgresql_are_one_address(scheme: str) -> None:
    assert str(parse_address(f"{scheme}://trader@db:5433/crpbot")) == "postgresql+psycopg://trader@db:5433/crpbot"


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "",
        "postgresql://trader:hunter2@db:port/crpbot",
        "mysql://trader:hunter2@db/crpbot",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:hunter2.db?uri=true",
        "sqlite://trader:hunter2@host/file.db",
    ],
)
def test_an_address_that_cannot_hold_a_ledger_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(CrpbotError, match="DB_URL: ") as caught:
        parse_address(url)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "hunter2" not in caught.value.detail
