"""How the published signals of symbols ended: what a threshold and a calibration are taken from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.adapters.ledger.signals.schema import signal_results, signals
from core.deciding.confidence import Records, TierRecord
from core.signal import Strategy, Variant
from core.trade import Book, Tier

_column, _outcome = signals.c, signal_results.c.outcome
# made once: SQLAlchemy takes longer to put such a statement together than the database to execute it
_RECORDS = (
    select(
        *(_column.symbol, _column.signal_variant, _column.tier, _outcome),
        *(func.count(), func.avg(signal_results.c.pnl_percent)),
    )
    .join(signal_results, signal_results.c.signal_id == _column.id)
    .where(
        _column.symbol.in_(bindparam("symbols", expanding=True)),
        _column.tier.is_not(None),
        _column.book == Book.PRIMARY.value,
        _column.synthetic == bindparam("synthetic"),
        _column.strategy == bindparam("strategy"),
        or_(_outcome == "win", _outcome == "loss"),
    )
    .group_by(_column.symbol, _column.signal_variant, _column.tier, _outcome)
)


async def read_records(
    connection: AsyncConnection, symbols: Sequence[str], *, synthetic: bool, strategy: Strategy = Strategy.V7
) -> Mapping[str, Records]:
    """How the published signals of these symbols and one strategy ended, by symbol, variant and tier.

    Break-evens count for neither side. The win rate that just pays is that of the mean win and the mean loss. What was
    decided on invented prices says nothing about real ones, the shadow book nothing about what was published, and no
    strategy anything about another.
    """
    asked = {"symbols": [*symbols], "synthetic": synthetic, "strategy": strategy.value}
    told: dict[str, dict[tuple[Variant | None, Tier], dict[str, tuple[int, float]]]] = {each: {} for each in symbols}
    for symbol, variant, tier, ended, count, percent in await connection.execute(_RECORDS, asked):
        key = (None if variant is None else Variant(variant), Tier(tier))
        told[symbol].setdefault(key, {})[ended] = (count, abs(float(percent)))
    found: dict[str, dict[Variant | None, dict[Tier, TierRecord]]] = {symbol: {} for symbol in symbols}
    for symbol, records in told.items():
        for (variant, tier), ends in records.items():
            (wins, gain), (losses, loss) = ends.get("win", (0, 0.0)), ends.get("loss", (0, 0.0))
            break_even = loss / (gain + loss) if gain and loss else None
            sums = (wins * gain, losses * loss)
            found[symbol].setdefault(variant, {})[tier] = TierRecord(wins, losses, break_even, *sums)
    return found
