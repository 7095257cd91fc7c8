"""How a child ended, in words. What the real ones end with is in test_supervisor.py."""

from pathlib import Path

from streaming.engine.isolation.endings import how_it_ended, oom_kills


def test_the_kernels_count_is_read():
    assert oom_kills() >= 0
    # psutil does not read this count.
    assert "\noom_kill " in Path("/proc/vmstat").read_text()


def test_a_signal_without_a_name_has_its_number():
    assert how_it_ended(62, 0, killed_for_memory=False) == "was ended by signal 62"
