"""`crpbot risk`, `kill` and `account`."""
