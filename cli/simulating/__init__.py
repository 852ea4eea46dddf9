"""`crpbot simulate`: months of the synthetic market in minutes."""
