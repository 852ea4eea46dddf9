"""The one account on which a model trades all of its coins: a firm's limits are its, and coins fall together.

The declared stake is of the account. Each coin has an even share of it in a trade, so that all coins at once hold the
stake and no more; with one coin the share is the stake. What ends at the same instant is one step of the equity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from core.market import Floats, Instants
from training.scores import Scores, Trades


class Account(NamedTuple):
    """What the trades of all coins brought the account, step by step, oldest first. Shape of the steps: (K,) each.

    `first` and `last` are the instants (ms) of the first and the last score of any coin.
    """

    coins: int
    share: float  # of the capital in each trade
    first: int
    last: int
    trades: int
    left: Instants  # when a step's trades ended
    returns: Floats  # what they brought together, as a fraction of the capital

    @property
    def words(self) -> str:
        """Whose equity it is, for a sentence; nothing where there is only one coin."""
        if self.coins == 1:
            return ""
        return f" of one account with all {self.coins} coins, {100.0 * self.share:.1f} % of it in each trade,"


def open_account(scores: Sequence[Scores], trades: Sequence[Trades], stake: float) -> Account:
    """The account of all coins. `stake` is the fraction of its capital that all of them hold together at most."""
    share = stake / len(scores)
    left, places = np.unique(np.concatenate([each.left for each in trades]), return_inverse=True)
    net = np.concatenate([each.net for each in trades])
    return Account(
        coins=len(scores),
        share=share,
        first=min(int(each.open_times[0]) for each in scores),
        last=max(int(each.open_times[-1]) for each in scores),
        trades=len(net),
        left=left,
        returns=np.bincount(places, weights=share * net, minlength=len(left)).astype(np.float64),
    )
