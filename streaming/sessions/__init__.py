"""The sessions that run in this process."""
