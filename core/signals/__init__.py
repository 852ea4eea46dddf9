"""Signals: from a question to a stored decision, and the decisions read back."""
