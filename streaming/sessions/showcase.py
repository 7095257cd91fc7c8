"""One session that everybody sees on the first page. It takes nobody's place: it has none of its
own, runs only while somebody watches, slowly, and ends as soon as anybody waits for a place.
"""

import asyncio
from collections.abc import Callable

from django.utils.translation import gettext as _

from streaming.catalog.forms import validate_params
from streaming.engine.errors import UnknownSession
from streaming.engine.simulations import Simulation
from streaming.sessions.control import validated
from streaming.sessions.live import LiveSession
from streaming.sessions.pool import Pool

# What a client watches instead of a session's id.
SHARED = "shared"
# Enough to be seen; the rest of the processor is for the sessions that somebody started.
STEPS_PER_SECOND = 20.0


class Showcase:
    """Starts that session when somebody comes to watch it. On the event loop.

    Args:
        pool: Runs it.
        shown: Returns the simulation; None where none may start by itself.
    """

    def __init__(self, pool: Pool, shown: Callable[[], Simulation | None]) -> None:
        self._pool, self._shown = pool, shown
        self._beginning: asyncio.Task[None] | None = None

    async def session(self) -> LiveSession:
        """Return the session that is shown, started if none goes on.

        Raises:
            UnknownSession: If there is none to be shown, or none now: others need the processor.
            Unavailable: If the database does not answer.
        """
        simulation = self._shown()
        if simulation is None:
            raise UnknownSession(_("this site shows no session by itself: start one"))
        if (live := self._going_on()) is not None:
            return live
        params = await validated(validate_params, simulation, {})
        if (live := self._going_on()) is not None:  # Another has come meanwhile.
            return live
        if self._pool.is_full:
            raise UnknownSession(
                _("nothing is shown here while the server is busy: it runs the sessions of others")
            )
        live = self._pool.create_shared(simulation, params)
        # It is everybody's: it begins although the visitor who has come first may be gone by then.
        self._beginning = asyncio.create_task(self._begin(live), name="showcase")
        await asyncio.shield(self._beginning)
        return live

    async def _begin(self, live: LiveSession) -> None:
        await self._pool.settle(live)
        live.session.set_step_rate(STEPS_PER_SECOND)
        live.start()

    def _going_on(self) -> LiveSession | None:
        live = self._pool.shared
        if live is None or live.session.state.ended or live.session.stop_requested:
            return None
        return live
