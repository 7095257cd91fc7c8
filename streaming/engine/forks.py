"""What a process of the author's own inherits from ours, and should not: workers of a pool, say.

It is taken away in the new process, before any code of the author's runs there.
"""

import os
import signal
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import suppress

_is_set_up = False
# The signals that a thread did not hear before it forked.
_of_thread = threading.local()


def free_from_the_server() -> None:
    """From now on, whatever this process forks has none of its signal handlers and sockets: a pool
    can end its workers, and none of them holds the server's port. On any thread, once or often."""
    global _is_set_up
    if not _is_set_up:
        _is_set_up = True
        after_forks(cover_sockets)


def after_forks(let_go: Callable[[], None]) -> None:
    """Have each process that this one forks begin with the system's own signal handlers, and let
    go of something."""

    def hold_signals() -> None:
        # One that comes before the handlers are the system's own would be taken for ours, and lost:
        # whoever has sent it, a pool, say, would wait for ever.
        _of_thread.mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    def let_signals_in() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _of_thread.mask)

    def begin() -> None:
        default_signals()
        let_signals_in()
        let_go()

    os.register_at_fork(before=hold_signals, after_in_parent=let_signals_in, after_in_child=begin)


def default_signals() -> None:
    """Take back the signal handlers that were set in Python."""
    with suppress(ValueError):
        signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            signal.signal(number, signal.SIG_DFL)


def cover_sockets() -> None:
    """Put nothing in the place of each socket that leads out of this process, so that its number
    stays taken: an object that knows it may close it later.

    Pairs of sockets stay, by which an author may talk with a worker.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # It was that of the listing itself.
            if _leads_out(int(name)):
                os.dup2(nothing, int(name), inheritable=False)
    os.close(nothing)


def _leads_out(fd: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return False
    with socket.socket(fileno=os.dup(fd)) as opened:
        if opened.family != socket.AF_UNIX:
            return True
        if opened.type == socket.SOCK_SEQPACKET:  # Those to the fork server.
            return True
        if opened.getsockname():
            return True
        with suppress(OSError):
            return bool(opened.getpeername())
    return False
