"""The process engine: a session's thread that looks after the child process which steps for it.

The thread reads what the child sends, holds and interrupts it, and knows how it ended. Nothing
that the child does or writes can make it wait, or fail with more than a sentence.
"""

import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from streaming.engine.board import SharedBoard, create_file, create_memory
from streaming.engine.errors import EngineError, LivestepError, shortage
from streaming.engine.frames import MOST_SVG_BYTES, deflate_for, sent_bytes
from streaming.engine.isolation import endings, headers
from streaming.engine.isolation.child import BELL_BYTES, STACK_SIGNAL
from streaming.engine.isolation.dump import MAX_BYTES, read_dump
from streaming.engine.isolation.forkserver import ForkServer
from streaming.engine.isolation.output import Output
from streaming.engine.isolation.pipe import DamagedMessage, Inbox, Message, is_readable
from streaming.engine.isolation.plots import MANY_WAITING, PlotRing
from streaming.engine.isolation.reading import Pipes, Reading
from streaming.engine.isolation.reference import Reference
from streaming.engine.saved import PART_BYTES
from streaming.engine.session import Held, Session
from streaming.engine.snapshot import Progress, Rung, State, StopReason
from streaming.engine.stepping import Outcome
from streaming.engine.stopping import Ladder
from streaming.engine.uploads import UploadFolder
from streaming.engine.worker import Publish, Worker, conclude

logger = logging.getLogger(__name__)

# A pause that no step's end has brought by then holds the step where it is.
HOLD_AFTER_S = 0.2
# How often a start looks whether it was stopped, while the fork server loads.
START_POLL_S = 0.05
LOAD_TIMEOUT_S = 60.0
# How often what a child has plotted is taken.
PLOTS_EVERY_S = 0.1
# A child that has said its last word exits at once.
EXIT_TIMEOUT_S = 1.0
STACK_TIMEOUT_S = 1.0
STACK_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use; 0 is no limit."""

    memory_bytes: int = 0
    cpu_seconds: int = 0


def worker_for(
    session: Session,
    publish: Publish,
    fork_server: ForkServer,
    limits: Limits,
    pipes: Pipes | None = None,
    **options: Any,
) -> Worker:
    """Return the worker of a session's engine. The options are those of `Worker`."""
    if session.engine.has_process:
        return ProcessWorker(session, publish, fork_server, limits=limits, pipes=pipes, **options)
    return Worker(session, publish, **options)


class ProcessWorker(Worker):
    """A session's thread whose steps are taken by a child process. It ends after the child.

    Args:
        fork_server: Forks the child.
        limits: What the child may use.
        pipes: Has the event loop read what the child sends. It then calls `publish`, too, which
            may not wait there.
        The others are those of `Worker`.
    """

    def __init__(
        self,
        session: Session,
        publish: Publish,
        fork_server: ForkServer,
        *,
        limits: Limits,
        pipes: Pipes | None = None,
        **options: Any,
    ) -> None:
        super().__init__(session, publish, **options)
        self._fork_server, self._limits, self._pipes = fork_server, limits, pipes
        self._supervisor: _Supervisor | None = None

    @property
    def pid(self) -> int | None:
        """The child process, while there is one."""
        supervisor = self._supervisor
        return None if supervisor is None else supervisor.pid

    def climb(self) -> None:
        """Nothing: this engine's thread climbs the ladder by itself."""

    def stack(self) -> str:
        supervisor = self._supervisor
        if supervisor is not None:
            return supervisor.stack()
        has_begun = self._thread.ident is not None
        return "The process has ended.\n" if has_begun else "It has not started yet.\n"

    def _work(self) -> None:
        try:
            if self._wait_for_fork_server():
                self._supervise()
        except OSError as error:
            said = f"The session could not be started: {shortage(error)}"
            conclude(self._session, Outcome(said))
        except (LivestepError, ValueError) as error:
            conclude(self._session, Outcome(f"The session could not be started: {error}"))
        except Exception:
            # The top of a thread, and ours.
            logger.exception("session %s lost its supervisor", self._session.id)
            conclude(self._session, Outcome("The server failed at running this session."))

    def _supervise(self) -> None:
        supervisor = self._supervisor = _Supervisor(
            self._session,
            self._publish,
            self._fork_server,
            self._limits,
            self._max_frame_bytes,
            self._stop_grace,
            self._pipes,
            self._prints_to_log,
        )
        try:
            supervisor.attend()
        except EngineError as error:
            conclude(self._session, Outcome(f"Its process is lost: {error}"))
        finally:
            self._supervisor = None
            supervisor.close()

    def _wait_for_fork_server(self) -> bool:
        """Wait until it can fork; False when the session was stopped meanwhile."""
        deadline = time.monotonic() + LOAD_TIMEOUT_S
        while not self._fork_server.wait_ready(START_POLL_S):
            if time.monotonic() > deadline:
                self._fork_server.give_up(LOAD_TIMEOUT_S)
                raise EngineError("the simulations take more than a minute to load")
            if self._session.stop_requested:
                break
        if self._session.stop_requested:
            self._session.finish()
            return False
        return True


class _Supervisor:
    """One child, from its fork to its end. For the session's thread, unless it says otherwise."""

    def __init__(
        self,
        session: Session,
        publish: Publish,
        fork_server: ForkServer,
        limits: Limits,
        max_frame_bytes: int,
        stop_grace: float,
        pipes: Pipes | None,
        prints_to_log: bool,
    ) -> None:
        self._session, self._publish = session, publish
        self._fork_server, self._limits = fork_server, limits
        self._max_frame_bytes = max_frame_bytes
        self._pipes, self._prints_to_log = pipes, prints_to_log
        self._ladder = Ladder(stop_grace, self._interrupt, self._kill)
        self._signalled = Rung.FLAG
        self._pause_asked_at: float | None = None
        self._held = False
        self._held_stack = ""
        self._stack_lock = threading.Lock()
        self._wait_status: int | None = None
        self._concluded_at: float | None = None
        self._params_written = session.params_revision
        # Whether the child says that it has plotted.
        self._has_plots = False
        self._plots_taken_at = 0.0
        self._oom_kills = endings.oom_kills()
        self._reference = Reference.to(session.simulation)
        # Closed from the last to the first, also when one cannot be had.
        self._resources = ExitStack()
        try:
            self._open()
        except BaseException:
            self._resources.close()
            raise

    def _open(self) -> None:
        """Make what connects both sides, and have the child forked."""
        keep = self._resources.callback
        self._pipe, childs_pipe = map(self._resources.enter_context, socket.socketpair())
        self._inbox = Inbox(self._pipe, max(MOST_SVG_BYTES + self._max_frame_bytes, PART_BYTES))
        memory = create_memory()
        keep(os.close, memory)
        self._board = SharedBoard(memory)
        keep(self._board.close)
        self._plots = PlotRing(self._board)
        self._stack_file = create_file("livestep-stack")
        keep(self._close_stack)
        # Rung by whoever commands the session: one wakes the child, the other this thread. They are
        # pipes, so that the child can do nothing to the end that we write to.
        childs_bell, self._childs_bell = _bell()
        keep(os.close, self._childs_bell)
        childs_ends = self._resources.enter_context(ExitStack())
        childs_ends.callback(os.close, childs_bell)
        self._own_bell, self._own_ringer = _bell()
        keep(os.close, self._own_bell)
        keep(os.close, self._own_ringer)
        self._reading = Reading(self._inbox, self._pipes, self._obey_quickly, self._wake)
        keep(self._reading.take_back)
        self._output = Output(self._session.id, self._session.output, to_log=self._prints_to_log)
        keep(self._output.close)
        self._uploads = UploadFolder(for_another_user=self._fork_server.is_of_another_user)
        keep(self._uploads.close)
        self._board.write_params(self._placed_params())
        self._session.connect(self, self._board)
        keep(self._session.disconnect)
        request = {
            "reference": self._reference.as_dict(),
            "sys_path": [path or os.getcwd() for path in sys.path],
            "max_frame_bytes": self._max_frame_bytes,
            "memory_bytes": self._limits.memory_bytes,
            "cpu_seconds": self._limits.cpu_seconds,
        }
        fds = [
            childs_pipe.fileno(), childs_bell, memory,
            self._output.childs_end, self._stack_file,
        ]  # fmt: skip
        self._child = self._fork_server.fork(request, fds)
        keep(self._child.close)
        keep(self._child.signal, signal.SIGKILL)
        # The ends of the child are its own, or its death would not close them.
        childs_pipe.close()
        childs_ends.close()
        self._output.close_childs_end()
        while not self._child.pid:
            if is_readable(self._child.status, START_POLL_S):
                self._child.read_status()
            elif self._session.stop_requested:
                # If it is forked later, it finds nobody there, and ends.
                raise EngineError("it was stopped before it had begun")

    def close(self) -> None:
        """Let go of everything; a child that is still there is killed."""
        self._resources.close()

    def _close_stack(self) -> None:
        with self._stack_lock:
            os.close(self._stack_file)
            self._stack_file = -1

    @property
    def pid(self) -> int | None:
        return self._child.pid or None

    # What a session asks of its `Remote`: on any thread, under its lock.

    def ring(self) -> None:
        self._wake()
        self._wake_child()

    def refresh(self) -> None:
        reports = self._board.read_reports()
        # The child wrote them; they may be anything.
        with suppress(TypeError, ValueError, AttributeError, OverflowError):
            if "progress" in reports:
                self._session.report_progress(Progress.of(*reports["progress"]))
            if "description" in reports:
                self._session.report_description(reports["description"])

    def _wake(self) -> None:
        _ring(self._own_ringer)

    def _wake_child(self) -> None:
        _ring(self._childs_bell)

    # The loop.

    def attend(self) -> None:
        """Serve the child until it has ended."""
        poll = select.poll()
        for fd in (self._own_bell, self._child.status, self._output):
            poll.register(fd, select.POLLIN)
        self._read_or_lend(poll)
        while self._wait_status is None:
            waits = [
                self._see_to_stop_and_pause(),
                self._session.hand_held_over(self._give_held),
                self._output.resume(poll),
                self._see_to_plots(),
            ]
            timeout = min((wait for wait in waits if wait is not None), default=None)
            ready = {fd for fd, _ in poll.poll(None if timeout is None else timeout * 1000)}
            if self._own_bell in ready:
                os.read(self._own_bell, BELL_BYTES)
            if self._output.fileno() in ready:
                self._output.read(poll)
            if self._reading.has_come_back or self._pipe.fileno() in ready:
                self._read_or_lend(poll)
            if self._child.status.fileno() in ready:
                self._wait_status = self._child.read_status()
        self._reading.take_back()
        # What it has started may hold the pipe open, and write for ever.
        deadline = time.monotonic() + EXIT_TIMEOUT_S
        while not self._inbox.closed and time.monotonic() < deadline and self._read_pipe():
            pass
        self._output.read_rest()
        if self._concluded_at is None:
            self._conclude_by_exit(self._wait_status)

    def _see_to_stop_and_pause(self) -> float | None:
        """Do what it is time for; return the seconds until the next thing."""
        session = self._session
        if session.params_revision != self._params_written:
            self._write_params()
        if self._concluded_at is not None:
            left = self._concluded_at + EXIT_TIMEOUT_S - time.monotonic()
            if left <= 0:
                self._kill()
                return None
            return left
        if session.stop_requested:
            self._let_go()
            return self._ladder.climb(session.stop_waited)
        if not session.pause_requested:
            self._pause_asked_at = None
            self._let_go()
            return None
        if self._held:
            session.note_paused()  # It was resumed and paused again before we looked.
            return None
        if session.state is not State.RUNNING:
            return None
        now = time.monotonic()
        if self._pause_asked_at is None:
            self._pause_asked_at = now
        left = self._pause_asked_at + HOLD_AFTER_S - now
        if left > 0:
            return left
        self._hold()
        return None

    def _write_params(self) -> None:
        self._params_written = self._session.params_revision
        try:
            self._board.write_params(self._placed_params())
        except (ValueError, OSError) as error:
            self._session.notify("params", f"The change does not reach the simulation: {error}.")

    def _placed_params(self) -> dict[str, Any]:
        """Return the newest values, with their files on the disk, where the child reads them."""
        return self._uploads.place(vars(self._session.current_params()))

    # What the child says.

    def _read_or_lend(self, poll: select.poll) -> None:
        """Read what arrived, and have the event loop read on if that will be quick."""
        self._read_pipe()
        if self._inbox.closed:
            self._reading.take_back()
        elif not self._reading.lend():
            poll.register(self._pipe, select.POLLIN)
            return
        with suppress(KeyError):  # It may have been read by the event loop before, too.
            poll.unregister(self._pipe)

    def _read_pipe(self) -> bool:
        """Take what arrived; False when that was nothing."""
        arrived = False
        try:
            for message in self._inbox.read():
                arrived = True
                self._obey(message)
        except (DamagedMessage, KeyError) as error:
            logger.warning("session %s: its process is cut off: %.200r", self._session.id, error)
            self._fail("Its process sent what is no message, and was ended.")
        is_unexplained = self._wait_status is None and self._concluded_at is None
        # Its end closes the pipe, too: that is told by its status, which comes at once.
        if (
            self._inbox.closed
            and is_unexplained
            and not is_readable(self._child.status, EXIT_TIMEOUT_S)
        ):
            self._fail("Its process closed its connection to the server, and was ended.")
        return arrived

    def _obey_quickly(self, message: Message) -> bool:
        """Do what a message asks for, if that takes no time; else False. On the thread, or on the
        event loop, which wakes the thread after whatever is no frame."""
        header, body = message
        if self._concluded_at is not None:
            return True  # It has said its last word.
        match header["kind"]:
            case "frame":
                self._take_frame(headers.count(header["svg"]), headers.count(header["step"]), body)
            case "held":
                self._session.note_said_held()  # The thread looks for it.
            case "plotted":
                self._has_plots = True
            case _:
                return False
        return True

    def _obey(self, message: Message) -> None:
        session, (header, body) = self._session, message
        if self._obey_quickly(message):
            return
        match header["kind"]:
            case "input":
                session.note_input()
            case "began":
                session.begin()
            case "paused":
                session.note_paused()
            case "too_large":
                size, sent = headers.count(header["size"]), headers.count(header["sent"])
                session.reject_frame(size, sent, self._max_frame_bytes)
            case "pixels":
                session.note_pixels(headers.count(header["size"]))
            case "save":
                self._take_saved(header, body)
            case "most_steps":
                session.request_stop(StopReason.STEP_LIMIT)
            case "ended":
                self._conclude(headers.outcome(header))
            case _:
                raise DamagedMessage("a message of a kind that there is not")

    def _take_frame(self, size: int, step: int, body: bytes) -> None:
        # The second part is what is sent; there is none where that is the first.
        sent = len(body) - size or size
        if not 0 < size <= min(len(body), MOST_SVG_BYTES) or sent > self._max_frame_bytes:
            raise DamagedMessage(f"a frame of {size} of {len(body)} bytes, of step {step}")
        svg = body[:size]
        try:
            svg.decode()
        except UnicodeDecodeError as error:
            raise DamagedMessage(f"a frame that is no UTF-8, of step {step}") from error
        self._give(svg, body[size:] or None, step)
        self._board.frames_accepted += 1
        # Whoever only sleeps, or steps, need not be told.
        if self._board.waits_for_credit:
            self._wake_child()

    def _take_saved(self, header: dict[str, Any], part: bytes) -> None:
        try:
            self._session.save_part(header["name"], part, is_last=header["last"] is True)
        except ValueError as error:
            raise DamagedMessage(f"a file that its process should have refused: {error}") from error

    def _give(self, svg: bytes, deflated: bytes | None, step: int) -> None:
        frame = self._session.keep_frame(svg, deflated, step)
        if frame is not None:
            self._publish(frame)

    def _give_held(self, held: Held) -> None:
        wanted = bool(self._board.deflate_wanted)
        deflated = deflate_for(held.svg, self._max_frame_bytes, wanted=wanted)
        # What is too large the child says, when it is due there.
        if sent_bytes(held.svg, deflated) <= self._max_frame_bytes:
            self._give(held.svg, deflated, held.step)

    def _show_held(self) -> None:
        """Hand the newest finished picture over, due or not: something is to be told."""
        held = self._session.held()
        if held is not None:
            self._give_held(held)

    def _see_to_plots(self) -> float | None:
        """Take what was plotted, if it is time; return the seconds until it is."""
        if not self._has_plots:
            return None
        left = self._plots_taken_at + PLOTS_EVERY_S - time.monotonic()
        if left > 0 and self._plots.waiting < MANY_WAITING:
            return left
        self._take_plots()
        return PLOTS_EVERY_S if self._has_plots else None

    def _take_plots(self) -> None:
        self._plots_taken_at = time.monotonic()
        were_many = self._plots.waiting >= MANY_WAITING
        self._has_plots = False  # First: the event loop may hear of more meanwhile.
        for step, row in self._plots.read():
            self._session.plot(step, row)
        if self._plots.waiting:
            # A name is being written down, perhaps for as long as the child has no core.
            self._has_plots = True
        if were_many:  # It may wait for room.
            self._wake_child()

    def _conclude(self, outcome: Outcome) -> None:
        if self._concluded_at is None:
            self._concluded_at = time.monotonic()
            self._output.read_rest()
            self._take_plots()
            self._show_held()
            conclude(self._session, outcome)

    def _fail(self, sentence: str) -> None:
        self._conclude(Outcome(sentence, self._output.tail))
        self._kill()

    def _conclude_by_exit(self, wait_status: int) -> None:
        """End the session of a child that ended without a word."""
        session = self._session
        self._take_plots()
        if session.stop_requested:
            if self._signalled is Rung.FLAG:
                logger.warning("session %s: its process ended while being stopped", session.id)
            session.finish(self._signalled)
            return
        step, taken = session.step_in_progress(), session.snapshot().step
        between = "between two steps" if taken else "before its first step"
        when = f"during step {step.number}" if step else between
        if self._child.memory_used:
            said = endings.used_too_much(self._child.memory_used, self._limits.memory_bytes)
        else:
            killed_for_memory = endings.oom_kills() > self._oom_kills
            said = endings.how_it_ended(
                wait_status, self._limits.cpu_seconds, killed_for_memory=killed_for_memory
            )
        reason = endings.reason_in(self._output.tail)
        sentence = f"The simulation's process {said}, {when}{reason}."
        self._conclude(Outcome(sentence, self._output.tail))

    # Holding, interrupting, killing.

    def _hold(self) -> None:
        """Stop the child in the middle of its step."""
        self._show_held()
        step = self._session.step_in_progress()
        self._held_stack = self.stack()
        self._held = True
        self._board.held_since = time.monotonic()
        self._signal(signal.SIGSTOP)
        if self._session.note_paused() and step is not None:
            self._session.notify(
                "pausing", f"Paused in the middle of step {step.number}, which goes on from there."
            )

    def _let_go(self) -> None:
        if self._held:
            self._held = False
            self._board.held_s += time.monotonic() - self._board.held_since
            self._board.held_since = 0
            self._signal(signal.SIGCONT)
            self._wake_child()

    def _interrupt(self) -> bool:
        self._signalled = Rung.INTERRUPT
        self._signal(signal.SIGTERM)
        return bool(self._board.interrupted)

    def _kill(self) -> None:
        self._signalled = Rung.KILL
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        self._child.signal(number)

    def stack(self) -> str:
        """Return where the child's Python code is, without stopping it. On any thread."""
        with self._stack_lock:
            if self._held:
                return f"Held in the middle of a step:\n{self._held_stack}"
            if self._stack_file < 0:
                return "The process has ended.\n"
            if not self._board.tells_stack:
                return "The process is being started.\n"  # The signal would end it.
            os.truncate(self._stack_file, 0)
            os.lseek(self._stack_file, 0, os.SEEK_SET)
            self._signal(STACK_SIGNAL)
            deadline, written = time.monotonic() + STACK_TIMEOUT_S, 0
            while time.monotonic() < deadline:
                time.sleep(STACK_POLL_S)  # The dump has no mark at its end: it grows no more.
                size = os.fstat(self._stack_file).st_size
                if size and size == written:
                    break
                written = size
            content = os.pread(self._stack_file, MAX_BYTES, 0).decode(errors="replace")
        return read_dump(content) if content else "The process does not answer.\n"


def _bell() -> tuple[int, int]:
    """Return the end of a pipe that wakes whoever waits at it, and the one that it is rung by."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def _ring(ringer: int) -> None:
    with suppress(OSError):  # Full, it is awake; closed, it is past hearing.
        os.write(ringer, b"!")
