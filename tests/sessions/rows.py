"""A row of a session, as tests write it."""

from django.utils import timezone


def row(**fields):
    now = timezone.now()
    return {
        "simulation": "ising", "title": "Ising", "engine": "thread", "state": "running",
        "user_id": None, "owner": "ada", "params": {}, "step": 0, "frames": 0, "viewers": 0,
        "process": "here:1", "started": now, "ended": None, "heartbeat": now,
        "stop_receipt": "", "error": "", "traceback": "", **fields,
    }  # fmt: skip
