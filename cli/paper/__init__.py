"""`crpbot trades` and `crpbot trade`."""
