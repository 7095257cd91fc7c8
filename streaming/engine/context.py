"""What a simulation may ask of the session that runs it."""

from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any, Protocol

from streaming.engine.errors import StopRequested
from streaming.engine.events import Pointer
from streaming.engine.params import Params
from streaming.engine.saved import content_of
from streaming.engine.series import Plots
from streaming.engine.stopping import AuthorCode


class Pace(Protocol):
    """What the loop that takes the steps tells a simulation."""

    @property
    def stop_requested(self) -> bool: ...

    def frame_due(self) -> bool: ...

    def sleep(self, seconds: float) -> None: ...

    def events(self) -> list[Pointer]: ...


class Reports(Protocol):
    """Where it goes what a simulation says of itself."""

    def report_progress(self, done: float, total: float | None, text: str) -> None: ...

    def report_description(self, text: str) -> None: ...

    def save(self, name: str, content: bytes) -> None: ...


class Slept:
    """What a sleep gives that is over. Awaiting it takes no time."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


SLEPT = Slept()


class Context:
    """Handed to a simulation that has a parameter named `ctx`. For its stepping thread only.

    Attributes:
        params: The parameters' values by name. Swapped between steps, so that the live
            ones are read anew in each step and never change within one.
        folder: Where the simulation's file lies.
        plots: What it has plotted in the step in progress.
    """

    def __init__(self, pace: Pace, host: Reports, author: AuthorCode) -> None:
        self._pace, self._host, self._author = pace, host, author
        self.params = Params()
        self.folder = Path()
        self.plots = Plots()
        # In an async step: that of its event loop.
        self.async_sleep: Callable[[float], Awaitable[None]] | None = None

    @property
    def stop_requested(self) -> bool:
        """Whether the step should end as soon as it can."""
        return self._pace.stop_requested

    @property
    def frame_due(self) -> bool:
        """Whether a frame drawn now would be shown: somebody watches and the clock allows it."""
        return self._pace.frame_due()

    def path(self, name: str) -> Path:
        """Return where something is that lies beside the simulation's file: `ctx.path("a.csv")`."""
        return self.folder / name

    def check(self) -> None:
        """Raise StopRequested if stop was asked for. For the inner loop of a long step."""
        if self._pace.stop_requested:
            raise StopRequested

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Sleep, but raise StopRequested at once when stop is asked for.

        In an async step it is awaited: `await ctx.sleep(1)`; other tasks of it run meanwhile.
        """
        if self.async_sleep is not None:
            return self.async_sleep(seconds)
        self._author.aside(self._pace.sleep, seconds)
        return SLEPT

    def events(self) -> list[Pointer]:
        """Return what the driver did on the picture since this was asked last, the oldest first.

        The first call is what turns it on: from then on the page draws with the pointer. At most
        the newest 256 wait, and of moves in a row only the last.
        """
        return self._author.aside(self._pace.events)

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Say how far the simulation is: `done` of `total`, in any unit, and what it does."""
        self._author.aside(self._host.report_progress, done, total, text)

    def describe(self, text: str) -> None:
        """Say in words what the picture shows, for screen readers and the log."""
        self._author.aside(self._host.report_description, text)

    def save(self, name: str, content: str | bytes) -> None:
        """Save a file, which whoever may watch can download while the session runs and for an hour
        after; over one that has the same name. A session has 32 files and 16 MB.

        Raises:
            ValueError: If the name is none, or there are too many bytes or files.
            TypeError: If the content is neither text nor bytes.
        """
        self._author.aside(self._host.save, name, content_of(content))

    def plot(self, **numbers: Any) -> None:
        """Add a point to the line of each name: `ctx.plot(loss=0.3, accuracy=0.9)`.

        A name has one point for each step, the last one given. None, NaN and infinity are gaps.

        Raises:
            TypeError: If one is no number.
            ValueError: If it is the 33rd name, or the name has more than 64 characters.
        """
        self.plots.add(numbers)
