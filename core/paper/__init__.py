"""Paper trading: what would have become of each signal, at which prices, and what it would have cost."""
