"""All risk numbers beside five of empyrical, the same five of quantstats, and the volatility model of arch alone."""

from __future__ import annotations

import warnings

import empyrical
import pandas
from arch import arch_model

from bench.contest import Contest
from core.analyzers import risk_metrics
from core.market import SECONDS_A_YEAR, Windows


def contests(batch: Windows, single: Windows) -> list[Contest]:
    """`batch` holds many windows, `single` is the first of them alone."""
