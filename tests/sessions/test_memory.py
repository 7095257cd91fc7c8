"""Memory that is free goes back to the system, whatever the C library would keep of it."""

import gc
import os
import subprocess
import sys

import pytest

from streaming.sessions import memory

# Many pieces that are freed, and one behind them that is not.
PROGRAM = """
import psutil
from streaming.sessions.memory import trim_memory
pieces = [bytearray(b"x" * 100_000) for _ in range(500)]
last = bytearray(b"x" * 100_000)
before = psutil.Process().memory_info().rss
pieces.clear()
trim_memory()
print(before - psutil.Process().memory_info().rss)
"""


def number_of(program, environment):
    """Return the number that a program prints."""
    command = [sys.executable, "-c", program]
    printed = subprocess.check_output(command, env=environment, text=True, timeout=30)
    return int(printed)


@pytest.mark.skipif(memory._malloc_trim is None, reason="only glibc keeps it")
def test_what_is_free_is_given_back():
    assert number_of(PROGRAM, os.environ) > 40_000_000


# Its threads allocate at the same time, each more than its arena has at first.
ARENAS_PROGRAM = """
import ctypes, sys, threading
from streaming.sessions.memory import settle_memory
settle_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
begun = threading.Barrier(20)
pieces = []
def allocate():
    begun.wait()
    pieces.append(libc.malloc(50_000))
    begun.wait()
threads = [threading.Thread(target=allocate) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
# All that lies in one arena shares its heap of 64 MB.
print(len({piece >> 26 for piece in pieces}))
"""


@pytest.mark.skipif(memory._mallopt is None, reason="only glibc has arenas")
@pytest.mark.parametrize(("wanted", "least", "most"), [(None, 1, 3), ("12", 4, 20)])
def test_threads_share_few_arenas_unless_others_are_asked_for(wanted, least, most):
    environment = {k: v for k, v in os.environ.items() if k != "MALLOC_ARENA_MAX"}
    environment |= {} if wanted is None else {"MALLOC_ARENA_MAX": wanted}
    assert least <= number_of(ARENAS_PROGRAM, environment) <= most


def test_is_nothing_where_the_c_library_cannot(monkeypatch):
    monkeypatch.setattr(memory, "_malloc_trim", None)
    monkeypatch.setattr(memory, "_mallopt", None)
    memory.settle_memory()
    memory.trim_memory()
    gc.unfreeze()
