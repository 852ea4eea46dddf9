"""`crpbot signal`, `signals`, `replay` and `explain`."""
