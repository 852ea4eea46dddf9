"""`crpbot performance`, `contribution`, `review` and `record`."""
