"""Recorded candles as if they were live."""
