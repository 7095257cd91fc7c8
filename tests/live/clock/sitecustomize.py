"""A wall clock that a test can set: on a PYTHONPATH, Python imports this before anything else.

It is wrong by the number of seconds in the file that CLOCK_FILE names. The monotonic clock is left
as it is, as when somebody sets a machine's clock.
"""

import datetime
import mmap
import os
import struct
import time

_true_time, _true_datetime = time.time, datetime.datetime
# Shared with who writes into the file, so that a look costs nothing.
with open(os.environ["CLOCK_FILE"], "rb") as _file:
    _offset = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)


def _wrong_by():
    return struct.unpack("d", _offset)[0]


def _time():
    return _true_time() + _wrong_by()


class _Kind(type):
    """What the true class has made, in C for one, is of this one, too."""

    def __instancecheck__(cls, instance):
        return isinstance(instance, _true_datetime)

    def __subclasscheck__(cls, other):
        return issubclass(other, _true_datetime)


class _Datetime(_true_datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz=None):
        return _true_datetime.fromtimestamp(_time(), tz)

    @classmethod
    def utcnow(cls):
        return _true_datetime.fromtimestamp(_time(), datetime.UTC).replace(tzinfo=None)

    today = now


time.time = _time
time.time_ns = lambda: int(_time() * 1e9)
datetime.datetime = _Datetime
