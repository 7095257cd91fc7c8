"""The plain dialect: `status` or `start`, then `stop`; each text message back is one SVG."""

import asyncio
import logging
from typing import Any
from urllib.parse import parse_qs

from streaming.catalog.engines import chosen_engine
from streaming.catalog.forms import validate_params
from streaming.catalog.registry import registry
from streaming.cluster.directory import AnySession
from streaming.delivery.protocol import Verb
from streaming.delivery.window import PlainWindow
from streaming.engine.errors import BadMessage, ClientError
from streaming.engine.simulations import Abandon, Engine, Simulation
from streaming.engine.snapshot import State
from streaming.runtime import runtime
from streaming.sessions.control import Caller
from streaming.web.consumer import DIRECT, SessionConsumer

logger = logging.getLogger(__name__)

# How often a start looks whether the session before it has ended.
LOOK_S = 0.05


class PlainConsumer(SessionConsumer):
    """The plain dialect: `status` or `start`, then `stop`; each text message back is one SVG."""

    # Whether it was said that this dialect needs our server; once for the process.
    _is_server_said = False
    # The session that this connection started last, and the start that waits for its end.
    _own: AnySession | None = None
    _token = ""
    _beginning: asyncio.Task[None] | None = None

    def greet(self) -> None:
        if DIRECT not in (self.scope.get("extensions") or {}) and not PlainConsumer._is_server_said:
            PlainConsumer._is_server_said = True
            logger.warning(
                "this server does not wait for clients that read slowly, and the plain dialect has "
                "no acks: such a client can fill its memory. Serve with `manage.py serve`."
            )

    async def hear(self, text: str | None) -> None:
        self._spend_allowance()
        match text:
            case "status" | "start":
                await self._begin_frames()
            case "stop":
                await self._end_frames()
            case _:
                got = "a binary message" if text is None else repr(text[:40])
                raise BadMessage(f"expected status, start or stop, got {got}")

    def end(self) -> None:
        self._take_back_start()
        super().end()

    def refuse(self, error: ClientError) -> None:
        self.pump.post(f"error: {' '.join(str(error).split())}")

    async def _begin_frames(self) -> None:
        if self._beginning is not None and not self._beginning.done():
            return
        own = self._own
        state = None if own is None else await self._state_of(own.id, Caller(token=self._token))
        if own is None or state is None or state.ended:
            await self._start()
        elif state is State.STOPPING:
            # In a task: a stop that comes meanwhile must be heard.
            self._beginning = asyncio.create_task(self._start_after(own.id))

    async def _start_after(self, session_id: str) -> None:
        while (state := await self._state_of(session_id, Caller(token=self._token))) is not None:
            if state.ended:
                break
            await asyncio.sleep(LOOK_S)
        await self._say_errors_of(self._start())

    async def _start(self) -> None:
        self._check_room()
        query = parse_qs(self.scope["query_string"].decode(errors="replace"), True)
        given = {name: values[-1] for name, values in query.items()}
        given.pop("session", None)
        simulation = registry.get(given.pop("simulation", registry.default_name))
        params = await self._validated(validate_params, simulation, given)
        if chosen_engine(simulation, None) is Engine.CLUSTER:
            await self._start_elsewhere(simulation, params)
            return
        live = runtime.pool.create(
            simulation, params, self._identity, abandon=Abandon.STOP, abandon_grace=0
        )
        await self._settle(live)
        self._own, self._token = live, live.token
        self._attend(live, PlainWindow(self.pump.wake), None)
        live.start()

    async def _start_elsewhere(self, simulation: Simulation, params: dict[str, Any]) -> None:
        """Have a session run on a compute machine."""
        placed = await runtime.placing.place(
            simulation, params, self._identity, abandon=Abandon.STOP, abandon_grace=0
        )
        self._own = runtime.remotes.get(placed.id, placed.status)
        self._token = placed.token
        if self.pump.is_closing:
            await self._own.obey({"type": Verb.STOP}, Caller(token=placed.token))
        self._refuse_if_closing()
        self._attend(self._own, PlainWindow(self.pump.wake), None)

    def _take_back_start(self) -> None:
        if self._beginning is not None:
            self._beginning.cancel()
            self._beginning = None

    async def _end_frames(self) -> None:
        self._take_back_start()
        if self._own is not None:
            await self._own.obey({"type": Verb.STOP}, Caller(token=self._token))
        # At once, so that no frame follows but the one being sent.
        self._leave()
