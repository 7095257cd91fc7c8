"""Runs one session's blocking step function on a thread of its own.

A worker knows nothing of Django, Channels or asyncio. It asks its session what to do next,
steps, draws when a frame is due, hands frames to a callable, and says how it ended.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streaming.engine.context import Context
from streaming.engine.errors import InvalidFrame, StopRequested
from streaming.engine.frames import Drawable, Frame, deflate, to_svg
from streaming.engine.session import Session, Turn
from streaming.engine.stopping import python_stack

logger = logging.getLogger(__name__)

# At CPython's own 5 ms, four pure-Python threads make the event loop late by 67 ms at the
# median; at 0.5 ms by 5 ms, for at most 5 % of the throughput (docs/architecture.md).
SWITCH_INTERVAL_S = 0.0005

# Hands a frame over. It may wait, which is the backpressure, but not past a stop.
Publish = Callable[[Frame], None]

# Stands for "nothing": None may be what an author gave, and is then an error to be named.
NOTHING = object()

_switch_interval_lock = threading.Lock()
_switch_interval_users = 0
_switch_interval_before = 0.0


class Worker:
    """The thread of a session. It ends when its session says so or its simulation ends."""

    def __init__(self, session: Session, publish: Publish, *, max_frame_bytes: int) -> None:
        self._session, self._publish = session, publish
        self._max_frame_bytes = max_frame_bytes
        self._context = Context(session)
        # What the last step gave, until it is drawn. Only the worker's thread touches it.
        self._undrawn: Drawable = NOTHING
        # A daemon: a step that never ends must not keep the process from exiting.
        self._thread = threading.Thread(target=self._run, name=f"step-{session.id}", daemon=True)

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: If the system has no thread to give.
        """
        self._thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread's end; True if it has ended, or never began."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stack(self) -> str:
        """Return where the thread is now, as a Python stack."""
        return python_stack(self._thread.ident)

    def _run(self) -> None:
        session = self._session
        try:
            with short_switch_interval():
                session.begin()
                self._take_steps()
        except StopRequested:
            session.finish()
        except BaseException as error:
            # The top of the thread: whatever author code raised, SystemExit too, ends here.
            if session.stop_requested:
                logger.warning("session %s raised while being stopped", session.id, exc_info=True)
                session.finish()
                return
            logger.warning("session %s failed", session.id, exc_info=True)
            session.fail(_sentence(error, session.snapshot().step), traceback.format_exc())
        else:
            session.finish()
        finally:
            # A lazy frame holds the simulation's whole state.
            self._undrawn = NOTHING

    def _take_steps(self) -> None:
        session = self._session
        steps = session.simulation.steps(self._context)
        try:
            while (turn := session.next_turn()) is not Turn.STOP:
                if turn is Turn.PAUSE:
                    self._draw()
                    session.hold()
                elif not self._take_step(steps):
                    self._draw()
                    return
        finally:
            # Runs author code: a generator's own `finally`.
            steps.close()  # type: ignore[attr-defined]  # they are all generators

    def _take_step(self, steps: Iterator[Drawable]) -> bool:
        """Take one step and draw if a frame is due; False when the simulation has ended."""
        self._context.params = self._session.begin_step()
        try:
            self._undrawn = next(steps)
        except StopIteration:
            self._session.end_step(taken=False)
            return False
        self._session.end_step(taken=True)
        if self._session.frame_due():
            self._draw()
        return True

    def _draw(self) -> None:
        """Render what the last step gave, unless that was done or nobody may see it any more."""
        if self._undrawn is NOTHING or self._session.stop_requested:
            return
        drawable, self._undrawn = self._undrawn, NOTHING
        svg = to_svg(drawable)
        if len(svg) > self._max_frame_bytes:
            self._session.reject_frame(len(svg), self._max_frame_bytes)
            return
        deflated = deflate(svg) if self._session.deflate_wanted else None
        frame = self._session.keep_frame(svg, deflated)
        if frame is not None:
            self._publish(frame)


def _sentence(error: BaseException, steps_taken: int) -> str:
    """Say for everybody what went wrong; the traceback is for staff and the log."""
    try:
        what = str(error)
    except Exception:  # noqa: BLE001  # Author code, too: it may fail to say what it is.
        what = "it cannot say why"
    if not isinstance(error, InvalidFrame):
        what = f"{type(error).__name__}: {what}"
    when = f"after step {steps_taken}" if steps_taken else "before its first step ended"
    return f"The simulation failed {when}: {what}"[:500]


@contextmanager
def short_switch_interval() -> Iterator[None]:
    """Keep the interpreter's switch interval at 0.5 ms while any thread session runs."""
    global _switch_interval_users, _switch_interval_before
    with _switch_interval_lock:
        _switch_interval_users += 1
        if _switch_interval_users == 1:
            _switch_interval_before = sys.getswitchinterval()
            sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        with _switch_interval_lock:
            _switch_interval_users -= 1
            if not _switch_interval_users:
                sys.setswitchinterval(_switch_interval_before)
