import asyncio
import contextlib
import logging
import time

from streaming.sessions import lateness as module
from streaming.sessions.lateness import Lateness


def test_a_late_loop_is_said_with_what_ran(caplog):
    late = Lateness(lambda: {"ising (s1)": None, "tour (s2)": None})
    late.note(0.180)
    warning = late.warning()
    assert "180 ms late" in warning
    assert "ising (s1), tour (s2)" in warning
    assert 'engine="process"' in warning
    assert warning in caplog.text


def test_a_session_that_sleeps_is_not_blamed(caplog):
    """Its thread used none of the processor while the loop was late: another program did."""
    used = {"sleeper (s1)": 2.0}
    late = Lateness(lambda: dict(used))
    late.note(0.0)
    late.note(0.4)
    assert late.warning() == ""
    assert caplog.text == ""


def test_of_two_sessions_the_one_is_named_that_used_the_processor():
    used = {"sleeper (s1)": 2.0, "burner (s2)": 1.0}
    late = Lateness(lambda: dict(used))
    late.note(0.0)
    used["burner (s2)"] += 0.3
    late.note(0.3)
    assert "threads: burner (s2)." in late.warning()


def test_what_was_used_before_does_not_count():
    """The loop is late once more, for another reason, after a step that has ended."""
    used = {"burner (s1)": 1.0}
    late = Lateness(lambda: dict(used))
    late.note(0.0)
    used["burner (s1)"] += 5.0
    late.note(0.01)
    late.note(0.3)
    assert late.warning() == ""


def test_the_log_is_not_flooded_and_the_worst_is_kept(caplog):
    caplog.set_level(logging.WARNING)
    late = Lateness(lambda: {"ising (s1)": None})
    for seconds in (0.1, 0.3, 0.2):
        late.note(seconds)
    assert len(caplog.records) == 1
    assert "300 ms late" in late.warning()


def test_a_little_is_nothing_and_so_is_what_no_thread_session_did():
    late = Lateness(lambda: {"ising (s1)": None})
    late.note(0.049)
    assert late.warning() == ""
    nobody = Lateness(dict)
    nobody.note(5.0)
    assert nobody.warning() == ""


def test_is_forgotten_after_a_minute(monkeypatch):
    late = Lateness(lambda: {"ising (s1)": None})
    late.note(0.2)
    now = time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 61)
    assert late.warning() == ""


async def test_a_loop_that_is_held_up_is_noticed(monkeypatch):
    monkeypatch.setattr(module, "INTERVAL_S", 0.01)
    late = Lateness(lambda: {"holder (s1)": None})
    task = asyncio.create_task(late.measure())
    await asyncio.sleep(0)
    time.sleep(0.1)  # noqa: ASYNC251  # It is the fault that is under test.
    await asyncio.sleep(0.02)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert "holder (s1)" in late.warning()
