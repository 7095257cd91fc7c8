"""What runs in a child process: the same stepping code, with the session at the end of a pipe.

One thread: it looks at the board between steps, and sleeps on a bell that the server rings.
"""

import ctypes
import faulthandler
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple
from typing import Any

from streaming.engine import sources
from streaming.engine.board import SharedBoard
from streaming.engine.errors import StopInterrupted, told
from streaming.engine.forks import after_forks
from streaming.engine.isolation import pipe
from streaming.engine.isolation.family import adopt_orphans
from streaming.engine.isolation.plots import MANY_WAITING, PlotRing
from streaming.engine.isolation.reference import Reference
from streaming.engine.params import Params
from streaming.engine.saved import SavedFiles, parts_of
from streaming.engine.snapshot import Progress, shortened
from streaming.engine.stepping import Outcome, Stepper
from streaming.engine.stopping import AuthorCode
from streaming.engine.uploads import given

# What the exit codes of a child say.
DONE, BROKEN = 0, 70

PR_SET_PDEATHSIG = 1
STACK_SIGNAL = signal.SIGUSR1
# Says that the process uses more memory than it may: sent on Linux only.
MEMORY_SIGNAL = getattr(signal, "SIGRTMIN", signal.SIGUSR2)
# Steps give way to the server, which answers while they burn; as SCHED_BATCH they do not take the
# processor from it when they wake up either (benchmarks/engines.md).
NICE = 10
# If memory runs out, the system should take a child and not the server.
OOM_SCORE = 500
CPU_LIMIT_GRACE_S = 5
# As much as a pipe holds: however often it was rung, once is enough.
BELL_BYTES = 64 * 1024
# It is woken for it; this is for the moment in which both sides write what the other reads.
CREDIT_LOOK_S = 0.05


def main(
    request: dict[str, Any], pipe_fd: int, bell: int, memory: int, out: int, stack: int
) -> None:
    """Run one session's steps, tell the server how they ended, and exit."""
    _become_a_child(request["parent"], out, stack)
    board = SharedBoard(memory)
    os.close(memory)  # It stays mapped.
    board.tells_stack = 1
    connection = socket.socket(fileno=pipe_fd)
    host = ChildHost(connection, bell, board)
    author = AuthorCode()
    _hear_signals(board, author, request["memory_bytes"])
    # What the author forks is not heard by the server, and does not keep the pipe open.
    after_forks(connection.close)
    outcome = _run(request, host, author)
    host.say(
        "ended",
        error=outcome.error,
        traceback=outcome.traceback,
        interrupted=outcome.interrupted,
        place=outcome.place and astuple(outcome.place),
    )
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(DONE)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends; 0 takes it back.

    It works for a process that is stopped or deep in C, too, where no thread of ours could run.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL if parent else 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    # It may have ended before.
    if parent and os.getppid() != parent:
        os._exit(BROKEN)


def _become_a_child(parent: int, out: int, stack: int) -> None:
    os.setpgid(0, 0)
    if parent:
        die_with_parent(parent)
    # Whatever the author starts stays below this process, and is ended with it.
    adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.register(STACK_SIGNAL, file=stack, all_threads=False, chain=False)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)
    # New ones: those that were there may have been files, and know where in them they were.
    sys.stdout, sys.stderr = (
        open(fd, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        for fd in (1, 2)
    )
    with suppress(OSError, AttributeError):  # A container may forbid it; other systems lack it.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(NICE)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(str(OOM_SCORE))
    if (numpy := sys.modules.get("numpy")) is not None:
        # Python's own random numbers start anew after a fork; NumPy's would repeat in each child.
        numpy.random.seed()


def _hear_signals(board: SharedBoard, author: AuthorCode, memory_bytes: int) -> None:
    def terminate(number: int, frame: object) -> None:
        if not board.stop:
            # It was not us who sent it: end as any program does.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        elif author.begin_interrupt():
            board.interrupted = 1
            raise StopInterrupted

    def say_memory_is_over(number: int, frame: object) -> None:
        if author.is_inside:
            raise MemoryError

    signal.signal(signal.SIGTERM, terminate)
    if memory_bytes:
        signal.signal(MEMORY_SIGNAL, say_memory_is_over)


def _run(request: dict[str, Any], host: "ChildHost", author: AuthorCode) -> Outcome:
    memory_limit = request["memory_bytes"]
    try:
        sys.path[:] = request["sys_path"]
        reference = Reference(**request["reference"])
        sources.enter(reference.module)
        simulation = reference.find()
        stepper = Stepper(
            simulation,
            host,
            author,
            max_frame_bytes=request["max_frame_bytes"],
            now=host.now,
        )
        _limit(request["cpu_seconds"])
        outcome = stepper.run()
    except MemoryError:
        outcome = Outcome(
            "The simulation failed: MemoryError", "There was no memory for a trace.\n"
        )
    except BaseException as error:  # noqa: BLE001  # Importing it runs author code.
        outcome = Outcome(f"The simulation cannot be loaded: {told(error)}")
    if memory_limit and outcome.error and "MemoryError" in outcome.error:
        said = (
            f"{outcome.error}; its process may have {memory_limit / 2**20:,.0f} MB of memory "
            "(LIVESTEP_MAX_PROCESS_BYTES)"
        )
        return Outcome(said, outcome.traceback, outcome.interrupted)
    return outcome


def _limit(cpu_seconds: int) -> None:
    """Set the limits of this process that the system watches; its memory the fork server does."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if cpu_seconds:
        # At the first the kernel sends SIGXCPU, at the second SIGKILL.
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        last = _lower(cpu_seconds + CPU_LIMIT_GRACE_S, hard)
        resource.setrlimit(resource.RLIMIT_CPU, (_lower(cpu_seconds, last), last))


def _lower(wanted: int, hard: int) -> int:
    """Return a limit that is wanted, 0 for none, as far as the system's own allows. There, -1
    stands for no limit and is no number to compare with."""
    if not wanted:
        return hard
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


class ChildHost:
    """The stepper's host in a child: the server, over the pipe and the shared board."""

    def __init__(self, connection: socket.socket, bell: int, board: SharedBoard) -> None:
        self.board = board
        self._connection, self._bell = connection, bell
        self._rung = select.poll()
        self._rung.register(bell, select.POLLIN)
        self._frames_given = 0
        self._reports: dict[str, Any] = {}
        # Of its own, so that what is refused is refused where the author asked for it.
        self._saved = SavedFiles()
        self._plots = PlotRing(board)
        # How many numbers the server had taken when it was told that there are more.
        self._plots_told_at = -1.0

    def now(self) -> float:
        """The time of a clock that stands still while this process is stopped."""
        return time.monotonic() - self.board.held_s

    def say(self, kind: str, *bodies: bytes, **fields: Any) -> None:
        pipe.send(self._connection, {"kind": kind, **fields}, *bodies)

    def params(self) -> Params | None:
        values = self.board.read_params()
        return None if values is None else Params(**given(values))

    def wait(self, seen: float, seconds: float) -> None:
        if self.board.commands == seen:
            self._sleep(seconds)

    def take_turn(self) -> bool:
        return True  # The system sees to it that processes take turns.

    def _sleep(self, seconds: float) -> None:
        self._rung.poll(seconds * 1000)
        with suppress(BlockingIOError):
            os.read(self._bell, BELL_BYTES)

    def began(self) -> None:
        self.say("began")

    def paused(self) -> None:
        self.say("paused")

    def give_frame(self, svg: bytes, deflated: bytes | None) -> None:
        if not self._wait_for_credit():
            return
        self._frames_given += 1
        pipe.send_frame(self._connection, int(self.board.taken), svg, deflated)

    def _wait_for_credit(self) -> bool:
        """Wait until the server has taken the last frame over: one frame may be on its way. False
        when the session is stopped meanwhile."""
        board = self.board
        while board.frames_accepted < self._frames_given:
            if board.stop:
                return False
            board.waits_for_credit = 1
            # Once more: it may have been taken just before the server could see that we wait.
            if board.frames_accepted < self._frames_given:
                self._sleep(CREDIT_LOOK_S)
        board.waits_for_credit = 0
        return True

    def note_held(self) -> None:
        self.say("held")

    def reject_frame(self, size: int, sent: int) -> None:
        self.say("too_large", size=size, sent=sent)

    def reached_most_steps(self) -> None:
        self.say("most_steps")

    def note_pixels(self, vector_bytes: int) -> None:
        self.say("pixels", size=vector_bytes)

    def note_input(self) -> None:
        self.say("input")

    def plot(self, step: int, row: Mapping[str, float]) -> None:
        while not self._plots.has_room_for(len(row)):
            if self.board.stop:
                return
            self._sleep(1.0)
        were_many = self._plots.waiting >= MANY_WAITING
        self._plots.write(step, row)
        are_many = self._plots.waiting >= MANY_WAITING
        # Once for all that the server takes at a time, and once more when there is much of it.
        taken = self.board.plots_taken
        if taken != self._plots_told_at or (are_many and not were_many):
            self._plots_told_at = taken
            self.say("plotted")

    def report_progress(self, done: float, total: float | None, text: str) -> None:
        progress = Progress.of(done, total, text)
        self._report(progress=[progress.done, progress.total, progress.text])

    def report_description(self, text: str) -> None:
        self._report(description=shortened(text))

    def save(self, name: str, content: bytes) -> None:
        self._saved.save(name, content)
        for part, is_last in parts_of(content):
            self.say("save", part, name=name, last=is_last)

    def _report(self, **reports: Any) -> None:
        self._reports |= reports
        self.board.write_reports(self._reports)
