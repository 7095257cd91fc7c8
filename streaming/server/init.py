"""What process 1 of a container has to do beside its work, and the kernel does for nobody else: it
reaps whatever processes are left behind, and gets no signal that it has not asked for."""

import os
import signal
from types import FrameType

PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def go_on_in_child() -> None:
    """Return in a child of this process, which from now on reaps, passes signals on, and ends as
    the child does. Called before there are any threads."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    child = os.fork()
    if child:

        def pass_on(number: int, frame: FrameType | None) -> None:
            os.kill(child, number)

        for number in PASSED_ON:
            signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if child:
        _reap_until(child)


def _reap_until(child: int) -> None:
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            # As a shell has it.
            os._exit(code if code >= 0 else 128 - code)
