"""Takes away what only Linux has, before anything else is imported: on the path of a process, it
stands for another system, such as macOS, as far as that can be had on Linux."""

import builtins
import ctypes
import fcntl
import io
import os
import signal
import socket

LINUX_ONLY = {
    os: (
        *("pidfd_open", "memfd_create", "eventfd", "eventfd_read", "eventfd_write", "pipe2"),
        *("sched_setscheduler", "sched_getaffinity", "waitid"),
    ),
    signal: ("SIGRTMIN", "SIGRTMAX", "pidfd_send_signal", "sigtimedwait", "sigwaitinfo"),
    fcntl: ("F_ADD_SEALS",),
    socket: ("SOCK_SEQPACKET", "TCP_NOTSENT_LOWAT"),
}
for module, names in LINUX_ONLY.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)


class CDLL(ctypes.CDLL):
    def __getattr__(self, name):
        if name in ("prctl", "unshare"):
            raise AttributeError(name)
        return super().__getattr__(name)


ctypes.CDLL = CDLL
_open, _listdir = open, os.listdir


def _checked(path):
    if str(path).startswith("/proc"):
        raise FileNotFoundError(path)
    return path


def without_proc(path, *args, **kwargs):
    return _open(_checked(path), *args, **kwargs)


builtins.open = io.open = without_proc
os.listdir = lambda path=".": _listdir(_checked(path))
