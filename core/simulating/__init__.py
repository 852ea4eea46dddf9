"""Months in minutes: a market's past walked through the same desk that serves it live."""
