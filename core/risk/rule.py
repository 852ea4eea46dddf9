"""The rules that can say no, by the names under which vetoes, warnings and errors speak of them."""

from enum import StrEnum


class Rule(StrEnum):
    """One name for one rule, everywhere."""

    KILL_SWITCH = "kill_switch"
    STALE = "stale"
    BREACH = "breach"
    DAILY_STOP = "daily_stop"
    TOTAL_STOP = "total_stop"
    DAILY_LOSS = "daily_loss"
    TOTAL_LOSS = "total_loss"
    DAILY_LOSS_GUARD = "daily_loss_guard"
    TOTAL_LOSS_GUARD = "total_loss_guard"
    SIGNALS_PER_HOUR = "signals_per_hour"
    HIGH_CONFIDENCE_PER_HOUR = "high_confidence_per_hour"
    OPEN_RISK = "open_risk"
    RISK_PER_TRADE = "risk_per_trade"
    OPEN_ORDERS = "open_orders"
    NOT_TRADABLE = "not_tradable"
    LEVERAGE = "leverage"
    MAX_LOTS = "max_lots"
    MINIMUM = "minimum"
    NEWS = "news"
    WEEKEND = "weekend"
    GAP_TRADING = "gap_trading"
    LIMBO = "limbo"
    INACTIVITY = "inactivity"
    FIRST_TRADE = "first_trade"
