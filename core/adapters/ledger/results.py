"""What the books hold about results: trades that have ended with what decided them, decisions, and their readings."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.facts import ACCOUNT, to_account
from core.adapters.ledger.risk_schema import accounts, trades
from core.adapters.ledger.signals.rows import from_row
from core.adapters.ledger.signals.schema import signal_results, signals
from core.adapters.ledger.signals.store import read_sealed
from core.adapters.ledger.signals.texts import day_of, read_texts
from core.deciding.decision import Case
from core.errors import invalid, unknown
from core.money import from_units
from core.performance.contribution import Judged
from core.performance.question import Grouping, MeasureRequest, PerformanceRequest
from core.performance.report import Sample
from core.performance.sample import ClosedTrade, Decided
from core.performance.theories import JudgedCase
from core.replaying.decision import UNREADABLE
from core.risk.account import Account
from core.risk.booking import NEVER_IN_MARKET, Outcome
from core.signal import Strategy, Variant
from core.signals.case_file import read_case
from core.trade import Book, Direction, Tier

Asked = MeasureRequest | PerformanceRequest

# A decision is read in 3 ms and made again without each theory in 1 ms: so many take a quarter of the longest patience.
MOST_TRADES: Final = 1_000
MOST_HOLDS: Final = 500
MOST_DECIDED: Final = 200_000  # the newest decisions, ten weeks of ten symbols: more are hundreds of megabytes

_signal, _trade = signals.c, trades.c
OF_THEORIES: Final = _signal.strategy == Strategy.V7.value  # in what the models or the vote decide they have no part


async def read_sample(
    connection: AsyncConnection, account_id: str, asked: Asked, *, with_decisions: bool = False
) -> Sample:
    """The trades of an account that have ended; the decisions too where they are counted."""
    account = await find_account(connection, account_id)
    ended = (await connection.execute(_ended(account_id, asked).order_by(_trade.closed_at, _trade.id))).all()
    _check_one_way(account, asked, {row.strategy for row in ended})
    return Sample(
        account=account.id,
        capital=account.initial_capital + await _earned_before(connection, account, asked.since),
        closed=tuple(_closed(row) for row in ended if Outcome(row.outcome) not in NEVER_IN_MARKET),
        emitted=tuple(_decided(row) for row in ended),
        decided=await _read_decided(connection, account_id, asked) if with_decisions else (),
    )


async def read_judged(connection: AsyncConnection, account_id: str, asked: Asked) -> tuple[tuple[JudgedCase, ...], int]:
    """The theories' newest decisions whose trades were in the market, and newest HOLDs, with what they followed from.

    The second is how many of them cannot be made again, because their readings were deleted after the retention time.
    """
    await find_account(connection, account_id)
    in_market = _ended(account_id, asked).where(
        _trade.outcome.not_in([each.value for each in NEVER_IN_MARKET]), OF_THEORIES
    )
    newest = in_market.order_by(_trade.closed_at.desc(), _trade.id).limit(MOST_TRADES)
    results = {
        row.signal_id: (row.closed_at, float(from_units(row.pnl_units))) for row in await connection.execute(newest)
    }
    held = (
        select(_signal.id, _signal.timestamp)
        .where(*_of_decisions(account_id, asked), OF_THEORIES)
        .where(_signal.direction == Direction.HOLD.value, _signal.as_of.is_not(None))
        .order_by(_signal.audit_seq.desc())
        .limit(MOST_HOLDS)
    )
    if asked.direction in {None, Direction.HOLD}:
        results.update({row.id: (row.timestamp, 0.0) for row in await connection.execute(held)})
    found, forgotten = [], 0
    for signal_id, (closed_at, pnl) in results.items():
        judged = await _read_judged(connection, signal_id, closed_at, pnl)
        if judged is None:
            forgotten += 1
        else:
            found.append(judged)
    return tuple(found), forgotten


async def _read_judged(
    connection: AsyncConnection, signal_id: str, closed_at: datetime, pnl_usd: float
) -> JudgedCase | None:
    sealed = await read_sealed(connection, signal_id)
    assert sealed is not None  # its id was read in this very snapshot
    row, detail = sealed
    stored = from_row(dict(row), detail)
    texts = await read_texts(connection, stored.seq, day=day_of(row["timestamp"]), detail=detail, kinds=("case",))
    if "case" not in texts:
        return None
    try:
        case = read_case(texts["case"])[0]
    except UNREADABLE:  # of another version of the code, which alone could make the decision again
        return None
    assert isinstance(case, Case)  # only decisions of the theories were looked for
    return JudgedCase(Judged(stored.signal, closed_at, pnl_usd), case)


async def find_account(connection: AsyncConnection, account_id: str) -> Account:
    """The account of that id."""
    row = (await connection.execute(select(*ACCOUNT).where(accounts.c.id == account_id))).one_or_none()
    if row is None:
        known = await connection.execute(select(accounts.c.id).order_by(accounts.c.id))
        raise unknown("account", "account", account_id, known.scalars())
    return to_account([*row])


def _ended(account_id: str, asked: Asked) -> Select[Any]:  # Any: columns of many types
    """The trades of published or shadow signals that have ended. Their instants are those of the booking."""
    return (
        select(
            *(_trade.id, _trade.signal_id, _trade.symbol, _trade.direction, _trade.outcome, _trade.pnl_units),
            *(_trade.opened_at, _trade.closed_at, _signal.timestamp, _signal.slot, _signal.strategy),
            *(_signal.signal_variant, _signal.tier, _signal.confidence, signal_results.c.pnl_percent),
        )
        .join(signals, _signal.id == _trade.signal_id)
        .join(signal_results, signal_results.c.signal_id == _signal.id)
        .where(
            *(_trade.account_id == account_id, _trade.state == "closed"),
            *_filters(asked, direction=True),
            *_within(_trade.closed_at, asked),
        )
    )


def _of_decisions(account_id: str, asked: Asked) -> list[ColumnElement[bool]]:
    """Decisions, HOLD or not. A direction does not choose among them: HOLD is what is counted."""
    return [_signal.account == account_id, *_filters(asked, direction=False), *_within(_signal.timestamp, asked)]


def _filters(asked: Asked, *, direction: bool) -> list[ColumnElement[bool]]:
    wanted: dict[Any, str | None] = {
        _signal.symbol: asked.symbol,
        _signal.signal_variant: asked.variant and asked.variant.value,
        _signal.tier: asked.tier and asked.tier.value,
        _signal.strategy: asked.strategy and asked.strategy.value,
    }
    if direction:
        wanted[_signal.direction] = asked.direction and asked.direction.value
    return [column == value for column, value in wanted.items() if value is not None]


def _within(column: Any, asked: Asked) -> list[ColumnElement[bool]]:  # Any: a column of instants
    begins = [] if asked.since is None else [column >= asked.since]
    return begins if asked.until is None else [*begins, column < asked.until]


def _check_one_way(account: Account, asked: Asked, strategies: set[str]) -> None:
    """Strategies that compare took the same trade each: together these are copies, and no interval holds for them."""
    grouping = asked.group_by if isinstance(asked, PerformanceRequest) else None
    if account.book is Book.SHADOW and len(strategies) > 1 and grouping is not Grouping.STRATEGY:
        detail = f"{account.id} holds the same trades by several strategies ({', '.join(sorted(strategies))}); "
        apart = ", or tell them apart (`--by strategy`)" if isinstance(asked, PerformanceRequest) else ""
        raise invalid("strategy", f"{detail}name one (`--strategy`){apart}")


async def _earned_before(connection: AsyncConnection, account: Account, since: datetime | None) -> Decimal:
    """What the account had earned when the days began, whatever the trades asked for.

    Nothing, where trades compare: each is sized as if it were the account's first, and several took the same move.
    """
    if since is None or account.book is Book.SHADOW:
        return Decimal(0)
    query = select(func.sum(_trade.pnl_units)).where(_trade.account_id == account.id, _trade.closed_at < since)
    return from_units(int((await connection.execute(query)).scalar_one() or 0))


async def _read_decided(connection: AsyncConnection, account_id: str, asked: Asked) -> tuple[Decided, ...]:
    query = select(
        *(_signal.timestamp, _signal.slot, _signal.symbol, _signal.strategy, _signal.signal_variant),
        *(_signal.tier, _signal.direction, _signal.confidence),
    ).where(*_of_decisions(account_id, asked))
    newest = await connection.execute(query.order_by(_signal.audit_seq.desc()).limit(MOST_DECIDED))
    return tuple(_decided(row) for row in reversed(newest.all()))


def _closed(row: Any) -> ClosedTrade:  # Any: a row of _ended
    return ClosedTrade(
        id=row.id,
        symbol=row.symbol,
        strategy=Strategy(row.strategy),
        variant=None if row.signal_variant is None else Variant(row.signal_variant),
        tier=None if row.tier is None else Tier(row.tier),
        direction=Direction(row.direction),
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        outcome=Outcome(row.outcome),
        pnl=from_units(row.pnl_units),
        pnl_percent=row.pnl_percent,
        confidence=row.confidence,
    )


def _decided(row: Any) -> Decided:  # Any: a row with the columns of a decision
    return Decided(
        at=row.slot or row.timestamp,
        symbol=row.symbol,
        strategy=Strategy(row.strategy),
        variant=None if row.signal_variant is None else Variant(row.signal_variant),
        tier=None if row.tier is None else Tier(row.tier),
        direction=Direction(row.direction),
        confidence=row.confidence,
    )
