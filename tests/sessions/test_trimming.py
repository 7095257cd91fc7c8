"""Memory that is free goes back to the system, whatever the C library would keep of it."""

import subprocess
import sys

import pytest

from streaming.sessions import trimming

# Many pieces that are freed, and one behind them that is not.
PROGRAM = """
import psutil
from streaming.sessions.trimming import trim_memory
pieces = [bytearray(b"x" * 100_000) for _ in range(500)]
last = bytearray(b"x" * 100_000)
before = psutil.Process().memory_info().rss
pieces.clear()
trim_memory()
print(before - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(trimming._malloc_trim is None, reason="only glibc keeps it")
def test_what_is_free_is_given_back():
    freed = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True, timeout=30
    )
    assert int(freed.stdout) > 40_000_000


def test_is_nothing_where_the_c_library_cannot(monkeypatch):
    monkeypatch.setattr(trimming, "_malloc_trim", None)
    trimming.trim_memory()
