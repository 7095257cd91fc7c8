"""The sessions that run in other processes, and where any session is."""
