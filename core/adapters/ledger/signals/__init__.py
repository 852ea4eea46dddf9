"""Stored decisions: written, read back, listed and followed."""
