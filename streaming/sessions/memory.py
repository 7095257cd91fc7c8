"""Keeps the memory of a process that runs for months small, and its garbage collector quick."""

import ctypes
import gc
import os
from typing import Any

# Of <malloc.h>.
M_ARENA_MAX = -8
# Each thread that finds no free arena gets its own, in which freed memory stays: with hundreds of
# sessions one after the other 20 MB. Under Python's lock one thread at a time allocates anyway.
ARENAS = 2


def _glibc(name: str) -> Any:
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None  # Only glibc has it, and only glibc needs it.


_malloc_trim, _mallopt = _glibc("malloc_trim"), _glibc("mallopt")


def settle_memory() -> None:
    """Call once, when everything is loaded and before there are many threads."""
    # What is loaded by now stays. The collector would go through all of it now and then, and hold
    # everything up for 100 to 600 ms.
    gc.freeze()
    if _mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        _mallopt(M_ARENA_MAX, ARENAS)


def trim_memory() -> None:
    """Have the C library give back what it keeps: the pictures of many sessions that have ended.

    It keeps all that lies between two pieces in use, and its own limits look at the end only. Takes
    some milliseconds, in which other threads go on. On any thread.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)
