import asyncio
import contextlib
import logging
import time

from streaming.sessions import lateness as module
from streaming.sessions.lateness import Lateness


def test_a_late_loop_is_said_with_what_ran(caplog):
    late = Lateness(lambda: ["ising (s1)", "tour (s2)"])
    late.note(0.180)
    warning = late.warning()
    assert "180 ms late" in warning
    assert "ising (s1), tour (s2)" in warning
    assert 'engine="process"' in warning
    assert warning in caplog.text


def test_the_log_is_not_flooded_and_the_worst_is_kept(caplog):
    caplog.set_level(logging.WARNING)
    late = Lateness(lambda: ["ising (s1)"])
    for seconds in (0.1, 0.3, 0.2):
        late.note(seconds)
    assert len(caplog.records) == 1
    assert "300 ms late" in late.warning()


def test_a_little_is_nothing_and_so_is_what_no_thread_session_did():
    late = Lateness(lambda: ["ising (s1)"])
    late.note(0.049)
    assert late.warning() == ""
    nobody = Lateness(list)
    nobody.note(5.0)
    assert nobody.warning() == ""


def test_is_forgotten_after_a_minute(monkeypatch):
    late = Lateness(lambda: ["ising (s1)"])
    late.note(0.2)
    now = time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 61)
    assert late.warning() == ""


async def test_a_loop_that_is_held_up_is_noticed(monkeypatch):
    monkeypatch.setattr(module, "INTERVAL_S", 0.01)
    late = Lateness(lambda: ["holder (s1)"])
    task = asyncio.create_task(late.measure())
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251  # It is the fault that is under test.
    await asyncio.sleep(0.02)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert "holder (s1)" in late.warning()
