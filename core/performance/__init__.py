"""Honest measurement: what closed trades prove about the way they were decided, and what they do not prove yet."""
