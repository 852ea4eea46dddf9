"""A hidden push of buyers or sellers, told by the volume: the edge planted in a made-up market for the models to find.

Each coin has a pressure, a standard normal that wanders from one sign to the other within a few hours. It moves the
price by DRIFT standard deviations of a minute for each unit, and it multiplies the volume by exp(VOLUME x pressure):
where more is traded than the size of the candles explains, the price is on its way up. Nobody sees the pressure itself.

Nothing else changes from month to month: every day begins and ends at the coin's anchor price and has its usual
volatility, so that only the way from midnight to midnight differs, with the hours, sessions and jumps of any synthetic
day. What a model learned in spring holds in autumn; a failure on this market is the model's and not the season's. The
bridge takes the day's sum of pushes away again, a little from each minute.

An oracle that knows the pressure of the last closed minute foresees the sign of the next 15 minutes in 77 % of all
minutes (`docs/dataset.md` has the figures), and a forecast that follows strong pressure alone pays for its costs.
"""

from __future__ import annotations

import math
from typing import Final

from core.adapters.synthetic.noise import Noise, smooth_noise
from core.market import Floats, Instants

# Spacing in minutes of the lattice on which the pressure is drawn: slow enough to be seen before it turns. No other
# noise of a coin has this spacing, so that none shares its numbers.
PRESSURE_MINUTES: Final = 90
# In standard deviations of a minute's move for each unit of pressure: over 15 minutes 1.4 of theirs, so that the oracle
# stays below 80 % in each month too, and not in the long run alone.
DRIFT: Final = 1.4 / math.sqrt(15)
# One unit of pressure is five times the volume or a fifth of it: above its noise, and no more than volatility does.
VOLUME: Final = 1.6


def draw_pressure(noise: Noise, minutes: Instants) -> Floats:
    """The pressure in each minute (numbered from 1970-01-01 00:00), standard normal; coins have some of it in common.

    Shape: any -> the same.
    """
    return smooth_noise(noise, minutes, (PRESSURE_MINUTES,), 1.0)
