"""What becomes of a session that nobody watches: it stops, pauses or goes on, by its policy."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from streaming.engine.errors import WrongState
from streaming.engine.session import Session
from streaming.engine.simulations import Abandon
from streaming.engine.snapshot import StopReason
from streaming.sessions.records import ANSWER_S

# A network that is gone for 10 s is found missing, and found again, later than it is.
LOST_GRACE_FACTOR = 3
# How long a session waits for its first viewer, at least: nobody can watch it before its row is
# written.
FIRST_GRACE_S = 2 * ANSWER_S
# How long what a stranger, who has not logged in, wanted to be kept is kept for nobody; and after
# how long it gives its place to an owner who waits and has none.
KEPT_S = 3600.0
GIVES_WAY_AFTER_S = 60.0
# How long a session waits for viewers that watch another process as it starts: those of a session
# in whose place it was started, or those that have waited with it for a compute machine.
MOVING_GRACE_S = 10.0


class Abandonment:
    """Waits for a viewer, and acts when none has come. On the event loop.

    Args:
        policy: What is done then.
        grace: Seconds for which a viewer that has left is waited for.
        pause: Pauses the session.
        is_strangers: Whether its owner has not logged in: then it is kept for an hour.
    """

    def __init__(
        self,
        session: Session,
        policy: Abandon,
        grace: float,
        pause: Callable[[], None],
        *,
        is_strangers: bool,
    ) -> None:
        self._session, self._grace = session, grace
        # Until the session is started only its starter knows it, who may be gone: it is not kept.
        self._policy, self._policy_once_started = Abandon.STOP, policy
        self._pause = pause
        self._is_strangers = is_strangers
        self._unwatched_since: float | None = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        # Whether the pause that holds the session was made here.
        self.has_paused = False

    @property
    def gives_way(self) -> bool:
        """Whether nobody has watched a stranger's session for so long that another owner, who
        waits, may have its place."""
        since = self._unwatched_since
        is_unwatched = since is not None and time.monotonic() - since >= GIVES_WAY_AFTER_S
        return self._is_strangers and is_unwatched

    def expect_first(self) -> None:
        """Wait for the first viewer of a new session."""
        self._wait(max(self._grace, FIRST_GRACE_S))

    def note_started(self) -> None:
        """Follow the policy from now on."""
        self._policy = self._policy_once_started
        if self._policy is Abandon.KEEP:
            self.cancel()
            if self._unwatched_since is not None:
                self._wait(self._grace)

    def expect_moving(self) -> None:
        """Wait for the viewers that have still to come over."""
        self._wait(max(self._grace, MOVING_GRACE_S))

    def note_left(self, *, lost: bool) -> None:
        """Note that the last viewer has left; one whose connection was lost may come back."""
        self._unwatched_since = time.monotonic()
        self._wait(self._grace * LOST_GRACE_FACTOR if lost else self._grace)

    def note_attended(self) -> None:
        """Note that somebody watches: the session goes on if it was paused for want of viewers."""
        self._unwatched_since = None
        self.cancel()
        if self.has_paused:
            self.has_paused = False
            with suppress(WrongState):  # It may be ending; its viewer sees how.
                self._session.resume()

    def cancel(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, seconds: float) -> None:
        if self._policy is Abandon.KEEP:
            if not self._is_strangers:
                return
            seconds = max(seconds, KEPT_S)
        if self._session.state.ended:
            return
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._act)

    def _act(self) -> None:
        self._timer = None
        session = self._session
        if session.state.ended:
            return
        if self._policy is not Abandon.PAUSE:
            session.request_stop(StopReason.ABANDONED)
            return
        if not session.pause_requested and not session.stop_requested:
            self.has_paused = True
            self._pause()
        if self._is_strangers:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(KEPT_S, session.request_stop, StopReason.ABANDONED)
