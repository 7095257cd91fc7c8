"""Runs a simulation. Plain Python: knows nothing of Django, Channels or asyncio."""
