"""`crpbot data`: history, its quality, and pictures of it."""
