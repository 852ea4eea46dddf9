"""The contests, one file a theory. A file dropped into this folder is found; nothing else is edited."""
