"""How much processor time a thread has used."""

import time


def cpu_seconds(native_id: int | None) -> float | None:
    """Return the processor time that a thread of this process has used, in seconds.

    None where the system does not say, and for a thread that has ended. Linux only: the number of
    the clock is made as the C library makes it. Its own `pthread_getcpuclockid` must not be asked
    about a thread that may just have ended.
    """
    if native_id is None:
        return None
    try:
        return time.clock_gettime((~native_id << 3) | 0b110)
    except (OSError, OverflowError):
        return None
