"""Tells systemd that the server is ready, is stopping, and is not stuck; sd_notify(3) without its
library. Where no systemd listens, it does nothing."""

import os
import re
import socket
from contextlib import suppress
from typing import Any

MICROSECONDS = 1_000_000


class Systemd:
    """What one process says to the service manager that started it. For the event loop."""

    def __init__(self, reactor: Any) -> None:
        # Not above: a compute machine says the same, and has no Twisted.
        from twisted.internet.task import LoopingCall

        # On the reactor, so that a loop which hangs says nothing, and is restarted.
        self._watchdog = LoopingCall(notify, "WATCHDOG=1")
        self._watchdog.clock = reactor

    def start(self) -> None:
        """Say that the server serves, and from now on that it is alive, until `stop`."""
        notify("READY=1")
        if interval := watchdog_interval():
            self._watchdog.start(interval)

    def say_stopping(self) -> None:
        notify("STOPPING=1")

    def stop(self) -> None:
        if self._watchdog.running:
            self._watchdog.stop()


def notify(state: str) -> None:
    """Send one state to the socket that systemd has named. Does not wait, and never fails: a
    server that serves is worth more than somebody who knows it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # Also where the process has no descriptor left for a socket.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        # An @ stands for the zero byte with which an abstract address begins.
        sender.sendto(state.encode(), re.sub("^@", "\0", address))


def watchdog_interval() -> float:
    """Return every how many seconds systemd is to hear of this process; 0 if it does not ask."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    allowed = os.environ.get("WATCHDOG_USEC", "")
    return int(allowed) / MICROSECONDS / 2 if allowed.isdecimal() else 0.0
