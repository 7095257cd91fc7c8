"""The thread of a session. In the thread engine it takes the steps itself.

A worker knows nothing of Django, Channels or asyncio. It hands frames to a callable, and says
to its session how it ended.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

from streaming.engine.board import Board
from streaming.engine.burning import cpu_seconds
from streaming.engine.forks import free_from_the_server
from streaming.engine.frames import Frame, deflate_for, sent_bytes
from streaming.engine.leftovers import end_started_by, kill_started_by
from streaming.engine.params import Params
from streaming.engine.printing import printing_to_log
from streaming.engine.pyplot import closed_at_the_end
from streaming.engine.session import Held, Session
from streaming.engine.snapshot import Progress, Rung, StopReason
from streaming.engine.sources import folder_of, working_in
from streaming.engine.stepping import Outcome, Stepper
from streaming.engine.stopping import AuthorCode, Ladder
from streaming.engine.traces import python_stack
from streaming.engine.turns import turns
from streaming.engine.uploads import UploadFolder, given

logger = logging.getLogger(__name__)

# At CPython's own 5 ms, four pure-Python threads make the event loop late by 67 ms at the
# median; at 0.5 ms by 5 ms, for at most 5 % of the throughput (docs/architecture.md).
SWITCH_INTERVAL_S = 0.0005

# Hands a frame over. It may wait, which is the backpressure, but not past a stop.
Publish = Callable[[Frame], None]

_switch_interval_lock = threading.Lock()
_switch_interval_users = 0
_switch_interval_before = 0.0


class Worker:
    """A session's thread, which takes its steps. It ends when its session says so or its
    simulation ends.

    Args:
        session: What it works for.
        publish: Takes each frame.
        max_frame_bytes: A frame of which more would be sent is rejected.
        stop_grace: Seconds that a step may go on after a stop, before it is interrupted.
        prints_to_log: Whether what it prints is logged, within bounds. Else its thread prints as
            others do, and what a child process prints goes to standard error.
        on_exit: Called at the very end, when the thread holds nothing any more.
    """

    def __init__(
        self,
        session: Session,
        publish: Publish,
        *,
        max_frame_bytes: int,
        stop_grace: float = 2.0,
        prints_to_log: bool = True,
        on_exit: Callable[[], None] = lambda: None,
    ) -> None:
        self._session, self._publish = session, publish
        self._max_frame_bytes, self._stop_grace = max_frame_bytes, stop_grace
        self._prints_to_log = prints_to_log
        session.max_frame_bytes = max_frame_bytes
        self._on_exit = on_exit
        self._author = AuthorCode()
        self._ladder = Ladder(stop_grace, self._interrupt, self._give_up)
        # The programs of its step that an interrupt has ended.
        self._killed: set[int] = set()
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

    @property
    def cpu_s(self) -> float | None:
        """The processor time that its thread has used, in seconds; None if that is unknown."""
        return cpu_seconds(self._thread.native_id)

    def climb(self) -> float | None:
        """Go up the ladder of a stop that was asked for, as far as it is time.

        Returns:
            The seconds after which this has to be called again, or None for never.
        """
        return self._ladder.climb(self._session.stop_waited) if self.is_alive else None

    def stack(self) -> str:
        """Return where the steps are now, as a Python stack."""
        return python_stack(self._thread.ident)

    def _run(self) -> None:
        try:
            self._work()
        except Exception:
            # The top of a thread, and ours.
            logger.exception("session %s lost its worker", self._session.id)
            conclude(self._session, Outcome("The server failed at running this session."))
        finally:
            self._on_exit()

    def _work(self) -> None:
        handing_over, uploads = HandingOver(self._session, self._publish), UploadFolder()
        host = ThreadHost(self._session, handing_over, uploads)
        stepper = Stepper(
            self._session.simulation, host, self._author, max_frame_bytes=self._max_frame_bytes
        )
        free_from_the_server()
        session = self._session
        printing = printing_to_log(session.id, session.output) if self._prints_to_log else None
        try:
            folder = folder_of(session.simulation.module)
            with (
                short_switch_interval(),
                closed_at_the_end(),
                working_in(folder),
                printing or nullcontext(),
            ):
                outcome = stepper.run()
        finally:
            turns.give_back(host)
            handing_over.close()
            uploads.close()
            if count := end_started_by(threading.get_native_id()):
                logger.info("session %s: %d programs that it left were ended", session.id, count)
        conclude(self._session, outcome)

    def _interrupt(self) -> bool:
        is_hit = self._author.interrupt()
        # A step that waits for a program in C hears nothing before that ends. It may start others:
        # this is called until the step is hit.
        self._killed |= kill_started_by(self._thread.native_id, known=self._killed)
        return is_hit

    def _give_up(self) -> None:
        self._session.mark_stuck(self.stack())


class HandingOver:
    """Hands the frames of a session's thread over, one after the other, whoever brings them: that
    thread, or a second one for those that become due while a step runs.

    The second thread begins with the first such frame, and ends with the steps or the stop.
    """

    def __init__(self, session: Session, publish: Publish) -> None:
        self._session, self._publish = session, publish
        # Held while a frame is handed over, so that none overtakes another.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_over = False

    def give(self, svg: bytes, deflated: bytes | None, step: int) -> None:
        """Hand a frame over, unless a later one was. On either thread."""
        with self._lock:
            frame = self._session.keep_frame(svg, deflated, step)
            if frame is not None:
                self._publish(frame)

    def note_held(self) -> None:
        """See to what the stepper has left on the board. On the session's thread."""
        if self._thread is None:
            name = f"step-{self._session.id}-held"
            self._thread = threading.Thread(target=self._run, name=name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError:
                # The system has none to give. The steps go on, and frames come between them.
                logger.warning(
                    "session %s: no thread for frames while a step runs", self._session.id
                )
        self._session.held_news.set()

    def close(self) -> None:
        """End the second thread. Waits for the frame that is being handed over."""
        self._is_over = True
        self._session.held_news.set()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        news = self._session.held_news
        while not self._is_over:
            news.clear()
            if self._is_over or self._session.stop_requested:
                return
            news.wait(self._session.hand_held_over(self._give_held))

    def _give_held(self, held: Held) -> None:
        svg, most = held.svg, self._session.max_frame_bytes
        deflated = deflate_for(svg, most, wanted=bool(self._session.board.deflate_wanted))
        # What is too large the stepper says, when it is due there.
        if sent_bytes(svg, deflated) <= most:
            self.give(svg, deflated, held.step)


class ThreadHost:
    """The stepper's host on the worker's own thread: the session itself."""

    def __init__(
        self,
        session: Session,
        handing_over: HandingOver,
        uploads: UploadFolder,
    ) -> None:
        self._session, self._handing_over, self._uploads = session, handing_over, uploads
        self.board: Board = session.board

    def params(self) -> Params:
        placed = self._uploads.place(vars(self._session.current_params()))
        return Params(**given(placed))

    def wait(self, seen: float, seconds: float) -> None:
        turns.give_back(self)
        self._session.wait_for_command(seen, seconds)

    def take_turn(self) -> bool:
        return turns.take(self, lambda: bool(self.board.stop))

    def began(self) -> None:
        self._session.begin()

    def paused(self) -> None:
        self._session.note_paused()

    def give_frame(self, svg: bytes, deflated: bytes | None) -> None:
        self._handing_over.give(svg, deflated, int(self.board.taken))

    def note_held(self) -> None:
        self._handing_over.note_held()

    def reject_frame(self, size: int, sent: int) -> None:
        self._session.reject_frame(size, sent, self._session.max_frame_bytes)

    def note_pixels(self, vector_bytes: int) -> None:
        self._session.note_pixels(vector_bytes)

    def reached_most_steps(self) -> None:
        self._session.request_stop(StopReason.STEP_LIMIT)

    def note_input(self) -> None:
        self._session.note_input()

    def plot(self, step: int, row: Mapping[str, float]) -> None:
        self._session.plot(step, row)

    def report_progress(self, done: float, total: float | None, text: str) -> None:
        self._session.report_progress(Progress.of(done, total, text))

    def report_description(self, text: str) -> None:
        self._session.report_description(text)

    def save(self, name: str, content: bytes) -> None:
        self._session.save(name, content)


def conclude(session: Session, outcome: Outcome) -> None:
    """End a session as its steps ended: an error while being stopped is a stop."""
    said = outcome.traceback or outcome.error
    if outcome.error is None:
        session.finish(Rung.INTERRUPT if outcome.interrupted else Rung.FLAG)
    elif session.stop_requested:
        logger.warning("session %s raised while being stopped:\n%s", session.id, said)
        session.finish(Rung.INTERRUPT if outcome.interrupted else Rung.FLAG)
    else:
        logger.warning("session %s failed:\n%s", session.id, said)
        session.fail(outcome.error, outcome.traceback, outcome.place)


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
