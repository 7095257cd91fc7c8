"""Gives the memory that is free back to the system."""

import ctypes
from typing import Any


def _found() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None  # Only glibc has it, and only glibc needs it.


_malloc_trim = _found()


def trim_memory() -> None:
    """Have the C library give back what it keeps: the pictures of many sessions that have ended.

    It keeps all that lies between two pieces in use, and its own limits look at the end only. Takes
    some milliseconds, in which other threads go on. On any thread.
    """
    if _malloc_trim is not None:
        _malloc_trim(0)
