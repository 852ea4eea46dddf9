"""The live market of Coinbase."""
