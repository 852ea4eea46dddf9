"""A market that needs no exchange."""
