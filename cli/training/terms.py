"""Under which terms a model is judged: when it trades, with how much, and what that costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.deciding.confidence import FLOORS
from core.paper.costs import costs_of
from core.risk.pack import DEFAULT_PACK, find_pack
from core.trade import Tier

if TYPE_CHECKING:
    from training.gate_terms import Terms

# From this confidence on the house gives a signal; so a model is judged on the trades that it would be asked for.
THRESHOLD: Final = FLOORS[Tier.MEDIUM]
# Of the capital in each trade. A model may trade 96 times a day, one after the other: with all of it one bad day
# can lose more than the firm allows although the model is good, with a quarter it takes four such days in one.
STAKE: Final = 0.25


def house_terms() -> Terms:
    """The costs and limits of the house: both sides of a market order with the commission of the default pack."""
    from training.gate_terms import Terms

    costs = costs_of(find_pack(DEFAULT_PACK))
    round_trip = float(2 * (costs.market_fraction + costs.commission_fraction))
    return Terms(THRESHOLD, round_trip, stake=STAKE)
