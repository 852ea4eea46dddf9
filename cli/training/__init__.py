"""`crpbot train`, `evaluate`, `promote` and what belongs to them."""
