"""`crpbot models` and the commands on models that are there."""
