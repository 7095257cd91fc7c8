import pytest

from streaming.sessions import records as module
from streaming.sessions.records import Records


@pytest.fixture
def records_here(monkeypatch):
    """Records that write when they are told to, on the test's own thread and connection."""
    records = Records()
    records._prune_at = float("inf")
    records.run, records._must_end = records._run, True
    monkeypatch.setattr(records, "_begin", lambda: None)
    monkeypatch.setattr(module.connections, "close_all", lambda: None)
    return records
