"""Live facts of the whole market."""
