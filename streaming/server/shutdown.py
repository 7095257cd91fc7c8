"""How a server ends, and its process after it."""

import asyncio
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NoReturn, Protocol

from streaming.conf import conf
from streaming.runtime import runtime

logger = logging.getLogger(__name__)

# A viewer should see how its session has ended before its socket closes.
LAST_WORDS_S = 1.0
# How long an application may go on after it was cancelled, and the process after that.
CANCEL_WAIT_S = 2.0
EXIT_WAIT_S = 3.0


class Stoppable(Protocol):
    """What a server can end one by one."""

    # Whether the signals of this process are the server's.
    signal_handlers: bool

    def stop_listening(self) -> None: ...

    def close_sockets(self) -> None: ...

    def applications(self) -> set[asyncio.Future[Any]]: ...


async def shut_down(server: Stoppable) -> None:
    """End every session and every connection of a server, within their graces."""
    grace = conf().SHUTDOWN_GRACE
    drain = 0.0 if runtime.peers.is_alone else grace
    if drain:
        grace = conf().STOP_GRACE + LAST_WORDS_S + CANCEL_WAIT_S
    deadline = time.monotonic() + drain + grace
    runtime.pool.is_shutting_down = True
    if server.signal_handlers:
        _let_the_next_signal_kill()
    # Whatever hangs, and be it a step that keeps the GIL from now on: this clock needs none.
    longest = drain + grace + CANCEL_WAIT_S + 3 * EXIT_WAIT_S
    faulthandler.dump_traceback_later(longest, exit=True)
    server.stop_listening()
    if drain:
        server.close_sockets()
        await runtime.pool.drain(drain)
        deadline = time.monotonic() + grace
    sessions_end = asyncio.ensure_future(runtime.pool.shut_down(grace))
    await asyncio.wait([sessions_end], timeout=min(LAST_WORDS_S, grace))
    server.close_sockets()
    await _wait({sessions_end, *server.applications()}, deadline - time.monotonic())
    if late := server.applications():
        logger.warning("%d applications did not end within SHUTDOWN_GRACE", len(late))
    for application in (*late, sessions_end):
        application.cancel()
    await _wait(late, CANCEL_WAIT_S)
    # How a session has ended is worth some seconds more. On a thread of its own: the event loop's
    # may all hang.
    last = ThreadPoolExecutor(1, thread_name_prefix="last rows")
    await asyncio.get_running_loop().run_in_executor(last, runtime.records.flush, EXIT_WAIT_S)
    await runtime.leave()


def leave() -> None:
    """End the process soon after `run`, whatever still goes on in it.

    Python waits at its exit for every thread of an executor, so one that never returns, in
    somebody's view or form, would keep it for ever.
    """
    cutting = threading.Timer(EXIT_WAIT_S, _cut_off)
    cutting.daemon = True
    cutting.start()


def leave_now(code: int) -> NoReturn:
    """End the process at once: all that it did has ended, but for the threads of libraries.

    Python's own end goes on while those still run, and was seen to wait for ever there.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # A reader that is gone, a disk that is full.
            stream.flush()
    os._exit(code)


def _let_the_next_signal_kill() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _cut_off() -> None:
    left = [thread.name for thread in threading.enumerate() if not thread.daemon]
    left.remove(threading.main_thread().name)
    logger.warning("these threads still run and are cut off: %s", ", ".join(left))
    logging.shutdown()
    os._exit(0)


async def _wait(futures: set[asyncio.Future[Any]], seconds: float) -> None:
    if futures:
        await asyncio.wait(futures, timeout=max(0.0, seconds))
