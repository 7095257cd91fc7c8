"""What a session and whoever steps for it show each other without a message: numbers, and the
finished picture that nobody has handed over yet.

In the process engine they lie in memory that both processes have mapped, so that neither waits
for the other, and what a stuck or dead child did last can still be read.
"""

import fcntl
import json
import math
import mmap
import os
import pickle
import struct
import tempfile
import zlib
from array import array
from collections.abc import MutableSequence
from dataclasses import astuple
from typing import Any, cast

from streaming.engine.events import Numbered, Pointer

FOREVER = math.inf
# No count of steps is larger: beyond it numbers are no longer whole.
MOST_STEPS = 2**53
NUMBERS = (
    # Written by the session.
    "stop",  # 1 once the stop was asked for
    "until",  # pause when this many steps are taken; infinite while not paused
    "fps",
    "steps_per_second",  # 0 for no limit
    "most_steps",
    "frames_wanted",
    "deflate_wanted",
    "watched",  # whether anybody would see a frame, perhaps later than now
    "shown",  # the step of the newest frame that the session has
    "shown_at",
    "commands",  # counts what was asked; a change wakes whoever waits
    "held_s",  # how long the child was held in the middle of steps
    "held_since",  # when it was held now, by `time.monotonic()`; 0 while it is not
    "frames_accepted",  # the credit: the frames that were taken over
    "params_revision",
    "events_given",  # the number of the last event that the driver gave
    "plots_taken",  # how many of the plotted numbers were taken out of the shared memory
    # Written by the stepper.
    "taken",
    "began",  # when the step in progress began; 0 between steps
    "usual_s",
    "events_taken",  # and of the last one that the simulation has asked for
    "due_at",  # when the frame clock allows the next frame
    "interrupted",  # 1 once an interrupt was raised in author code
    "held_step",  # the step of the picture that lies in the shared memory; 0 while it is written
    "held_bytes",
    "plots_given",  # how many numbers were plotted
    "waits_for_credit",  # 1 while the child is to be woken when its last frame is taken over
    "tells_stack",  # 1 from when the child hears the signal that asks for its stack
)
HELD_STEP, HELD_BYTES = NUMBERS.index("held_step"), NUMBERS.index("held_bytes")


class _Number:
    """One number of a board, as an attribute."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._index = NUMBERS.index(name)

    def __get__(self, board: "Board", owner: type) -> float:
        return board._numbers[self._index]

    def __set__(self, board: "Board", value: float) -> None:
        board._numbers[self._index] = value


class Board:
    """Numbers of which each is written by one side only, and the last one written holds.

    Times are those of `time.monotonic()`, less what the child was held: a clock that stands
    still with the step.
    """

    stop = _Number()
    until = _Number()
    fps = _Number()
    steps_per_second = _Number()
    most_steps = _Number()
    frames_wanted = _Number()
    deflate_wanted = _Number()
    watched = _Number()
    shown = _Number()
    shown_at = _Number()
    commands = _Number()
    held_s = _Number()
    held_since = _Number()
    frames_accepted = _Number()
    params_revision = _Number()
    events_given = _Number()
    plots_taken = _Number()
    taken = _Number()
    began = _Number()
    usual_s = _Number()
    events_taken = _Number()
    due_at = _Number()
    interrupted = _Number()
    held_step = _Number()
    held_bytes = _Number()
    plots_given = _Number()
    waits_for_credit = _Number()
    tells_stack = _Number()

    def __init__(self, numbers: MutableSequence[float] | None = None) -> None:
        if numbers is None:
            numbers = array("d", bytes(8 * len(NUMBERS)))
        self._numbers = numbers
        self._held: tuple[int, str | bytes] | None = None
        self._events: Numbered = ()

    def set_up(self, *, fps: float, most_steps: float) -> None:
        """Write what holds before anybody asked for anything."""
        self.until, self.fps, self.most_steps = FOREVER, fps, most_steps or FOREVER

    def copy_from(self, other: "Board") -> None:
        """Take every number of another board."""
        for index, number in enumerate(other._numbers):
            self._numbers[index] = number

    def hold(self, step: int, picture: str | bytes) -> None:
        """Show the finished picture of a step, over the one before. It has to be an SVG yet."""
        self._held = step, picture

    def read_held(self) -> tuple[int, str | bytes] | None:
        """Return the newest finished picture and its step. On any thread."""
        return self._held

    def write_events(self, events: Numbered) -> None:
        """Show the events that wait for the simulation, over those that waited before."""
        self._events = events
        self.events_given = events[-1][0]

    def read_events(self) -> Numbered:
        """Return the events that wait, perhaps some that were taken, too."""
        return self._events

    def read_held_step(self) -> int:
        """Return the step of the newest finished picture, 0 for none. On any thread."""
        return self._held[0] if self._held else 0


# Where the parts of a shared board begin. Only the pages that are touched take memory.
REPORTS_AT = 4096
REPORTS_END = PARAMS_AT = 64 * 1024
HELD_AT = PARAMS_END = 2 * 1024 * 1024
HELD_END = EVENTS_AT = 4 * 1024 * 1024
# As many as may wait, each with the longest target, of which a character may take six bytes.
EVENTS_END = PLOTS_AT = EVENTS_AT + 384 * 1024
PLOTS_END = PLOT_NAMES_AT = PLOTS_AT + 256 * 1024
PLOT_NAMES_END = PLOT_NAMES_AT + 32 * 1024
BOARD_BYTES = PLOT_NAMES_END
CHECKED = 8  # bytes for a length and a checksum


class SharedBoard(Board):
    """A board in memory that another process maps, too, with room for three texts and a picture.

    Args:
        fd: The memory, from `create_memory`. It stays the caller's.
    """

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, BOARD_BYTES)
        self._view = memoryview(self._memory)[: 8 * len(NUMBERS)].cast("d")
        super().__init__(cast(MutableSequence[float], self._view))
        self._reports_seen = b""
        self._reports: dict[str, Any] = {}

    def close(self) -> None:
        self._view.release()
        self._memory.close()

    def hold(self, step: int, picture: str | bytes) -> None:
        if isinstance(picture, str):
            # What is no UTF-8 is found by whoever makes an SVG of it.
            picture = str.encode(picture, errors="surrogatepass")
        end = HELD_AT + len(picture)
        if end > HELD_END:
            return
        numbers = self._numbers  # Straight: this is done after each quick step.
        numbers[HELD_STEP] = 0
        self._memory[HELD_AT:end] = picture
        numbers[HELD_BYTES] = len(picture)
        numbers[HELD_STEP] = step

    def read_held(self) -> tuple[int, bytes] | None:
        """Return the newest finished picture and its step, or None while one is being written.
        The child wrote both: neither is trusted."""
        step, size = self.read_held_step(), self.held_bytes
        if not step or not 0 < size <= HELD_END - HELD_AT:
            return None
        picture = bytes(self._memory[HELD_AT : HELD_AT + int(size)])
        # A child that wrote the next one meanwhile has begun by taking the number away. No sum
        # over the picture: it would cost a quick step more than the step itself.
        return (step, picture) if self.held_step == step else None

    def read_held_step(self) -> int:
        step = self.held_step
        return int(step) if 0 < step < MOST_STEPS else 0

    def write_events(self, events: Numbered) -> None:
        rows = [(number, *astuple(event)) for number, event in events]
        self.write_text(EVENTS_AT, json.dumps(rows, ensure_ascii=False).encode())
        self.events_given = events[-1][0]

    def read_events(self) -> Numbered:
        """Return the events that wait; none while they are being written."""
        content = self.read_text(EVENTS_AT, EVENTS_END)
        return [(number, Pointer(*row)) for number, *row in json.loads(content or b"[]")]

    def write_params(self, params: dict[str, Any]) -> None:
        """Show the values that hold from the next step on.

        Raises:
            ValueError: If they cannot be pickled, or are larger than there is room for.
        """
        try:
            content = pickle.dumps(params)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise ValueError(f"a parameter cannot be given to another process: {error}") from error
        if len(content) > PARAMS_END - PARAMS_AT - CHECKED:
            raise ValueError(f"the parameters take {len(content):,} bytes, more than 1.9 MB")
        self.write_text(PARAMS_AT, content)
        self.params_revision += 1

    def read_params(self) -> dict[str, Any] | None:
        """Return the newest values, or None while they are being written."""
        content = self.read_text(PARAMS_AT, PARAMS_END)
        return None if content is None else pickle.loads(content)

    def write_reports(self, reports: dict[str, Any]) -> None:
        self.write_text(REPORTS_AT, json.dumps(reports).encode())

    def read_reports(self) -> dict[str, Any]:
        """Return the newest reports; of what the child writes nothing is trusted."""
        head = bytes(self._memory[REPORTS_AT : REPORTS_AT + CHECKED])
        if head != self._reports_seen:
            # Once for each head, whatever is behind it.
            self._reports_seen = head
            content = self.read_text(REPORTS_AT, REPORTS_END)
            try:
                reports = json.loads(content or b"")
            except (ValueError, RecursionError):  # Just being written, or nothing was.
                return self._reports
            self._reports = reports if isinstance(reports, dict) else {}
        return self._reports

    def pack(self, form: struct.Struct, at: int, *values: float) -> None:
        """Write numbers at a place in the memory."""
        form.pack_into(self._memory, at, *values)

    def unpack(self, form: struct.Struct, at: int) -> tuple[Any, ...]:
        """Read numbers from a place in the memory."""
        return form.unpack_from(self._memory, at)

    def write_text(self, start: int, content: bytes) -> None:
        """Write a text that is read whole or not at all."""
        # No lock holds across processes: a reader that came in between sees a wrong checksum.
        end = start + CHECKED
        self._memory[end : end + len(content)] = content
        head = len(content).to_bytes(4, "little") + zlib.crc32(content).to_bytes(4, "little")
        self._memory[start:end] = head

    def read_text(self, start: int, end: int) -> bytes | None:
        """Return the text there, or None while it is being written."""
        head = self._memory[start : start + CHECKED]
        size = int.from_bytes(head[:4], "little")
        if size > end - start - CHECKED:
            return None
        content = bytes(self._memory[start + CHECKED : start + CHECKED + size])
        return content if zlib.crc32(content).to_bytes(4, "little") == head[4:] else None


def create_memory() -> int:
    """Return a descriptor of memory for a shared board, all zeros. The caller closes it."""
    fd = create_file("livestep-board")
    try:
        os.truncate(fd, BOARD_BYTES)
        if hasattr(fcntl, "F_ADD_SEALS"):
            # Nobody may make it smaller, or reading it would end the process with SIGBUS.
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    except OSError:
        os.close(fd)
        raise
    return fd


def create_file(name: str) -> int:
    """Return a descriptor of an empty file that has no place in a folder; in memory, where the
    system has that. The caller closes it."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile(prefix=name) as file:
        return os.dup(file.fileno())
