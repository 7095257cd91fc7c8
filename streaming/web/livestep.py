"""The livestep.v1 dialect: JSON messages, frames with acks, control."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django.utils.translation import gettext as _

import streaming
from streaming.catalog.engines import chosen_engine
from streaming.catalog.forms import validate_params
from streaming.catalog.registry import registry
from streaming.cluster.directory import AnySession
from streaming.conf import conf
from streaming.delivery import protocol
from streaming.delivery.allowance import (
    CONFIDED_BYTES,
    FILE_PART_BURST,
    FILE_PARTS_PER_SECOND,
    MESSAGE_BURST,
    MESSAGES_PER_SECOND,
    POINTER_BURST,
    POINTERS_PER_SECOND,
    Allowance,
)
from streaming.delivery.flight import MAX_BYTES_IN_FLIGHT, MAX_FRAMES_IN_FLIGHT
from streaming.delivery.protocol import Streams, Verb
from streaming.delivery.streams import Stream
from streaming.delivery.window import ACK_TIMEOUT_S, Window
from streaming.engine.errors import ClientError, Forbidden, TooManyMessages, WrongState
from streaming.engine.events import Pointer
from streaming.engine.params import MAX_FILE_BYTES
from streaming.engine.simulations import Abandon, Engine, Simulation
from streaming.engine.snapshot import State, StopReason
from streaming.identity import Identity
from streaming.models import state_word
from streaming.runtime import runtime
from streaming.sessions.control import Caller
from streaming.sessions.showcase import SHARED
from streaming.web.consumer import SessionConsumer
from streaming.web.files import Files


class LivestepConsumer(SessionConsumer):
    """The livestep.v1 dialect."""

    # Whether anybody can see the page: for the windows to come.
    _visible = True
    # What was shown for the session that is attended.
    _token: str | None = None
    # The session that was started over this connection last: its id and its token.
    _own: tuple[str, str] | None = None
    # The id of the message that is being handled; Channels hands us one at a time.
    _answering: str | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Of its own, so that somebody who draws can still stop.
        self._pointers = Allowance(time.monotonic(), POINTERS_PER_SECOND, POINTER_BURST)
        self._file_parts = Allowance(time.monotonic(), FILE_PARTS_PER_SECOND, FILE_PART_BURST)
        self._files = Files()

    def end(self) -> None:
        super().end()
        self._files.close()

    def greet(self) -> None:
        limits = {
            "frame_bytes": conf().MAX_FRAME_BYTES,
            "file_bytes": MAX_FILE_BYTES,
            "frames_in_flight": MAX_FRAMES_IN_FLIGHT,
            "bytes_in_flight": MAX_BYTES_IN_FLIGHT,
            "ack_timeout_s": ACK_TIMEOUT_S,
            "messages_per_second": MESSAGES_PER_SECOND,
            "message_burst": MESSAGE_BURST,
            "sessions_per_owner": conf().MAX_SESSIONS_PER_OWNER,
            "queued": conf().MAX_QUEUED,
            "viewers_per_session": conf().MAX_VIEWERS_PER_SESSION,
        }
        self._say(protocol.hello_message(streaming.__version__, limits))

    def take_at_once(self, text: str | None) -> bool:
        seq = protocol.read_ack(text)
        if seq is not None:
            self.pump.take_ack(seq)
            return True
        return self._take_ping(text)

    def _take_ping(self, text: str | None) -> bool:
        """Answer a ping, although a message before it may still wait for the database."""
        ping = protocol.read_ping(text)
        if ping is None or not self.pump.has_begun or not self._allowance.spend(time.monotonic()):
            return False
        self._say({"type": "pong"}, ping.id)
        return True

    async def hear(self, text: str | None) -> None:
        self._answering = None
        content = protocol.read(text)
        self._answering = protocol.message_id(content)
        protocol.check_size(content, text or "")
        is_pointer, is_file = (content.get("type") == kind for kind in ("pointer", "file"))
        if is_file:
            if not self._file_parts.spend(time.monotonic()):
                raise TooManyMessages(_("slow down: send the next part of the file in a moment"))
        elif not is_pointer or not self._pointers.spend(time.monotonic()):
            if is_pointer and content.get("kind") == "move":
                return  # The next one says where it is then.
            self._spend_allowance(len(text or "") + CONFIDED_BYTES * bool(_confided(content)))
        await self._obey(content, protocol.command(content), self._answering)

    def refuse(self, error: ClientError) -> None:
        self._say(protocol.error_message(error), self._answering)

    def send_away(self, error: ClientError) -> None:
        self._answering = None  # It comes unasked.
        super().send_away(error)

    def _has_lost_control(self, was: Identity) -> bool:
        if not was.controls_all or self._identity.controls_all or self._attended is None:
            return False
        return not self._attended.keeps_control(self._caller())

    def _say(self, message: dict[str, Any], answers: str | None = None) -> None:
        self.pump.post(protocol.encode(message, answers))

    async def _obey(
        self, content: dict[str, Any], command: protocol.Command, answers: str | None
    ) -> None:
        match command:
            case protocol.Ack():
                pass  # Taken on its way in, by `take_at_once`.
            case protocol.Visibility(visible):
                self._visible = visible
                self.pump.show(visible)
            case protocol.Start():
                await self._start(command, answers)
            case protocol.FilePart():
                self._files.take(command)
                self._say({"type": "ok"}, answers)
            case protocol.Watch():
                await self._watch(command, answers)
            case Verb.PING:
                self._say({"type": "pong"}, answers)
            case Verb.STATUS:
                await self._answer_status(content, answers)
            case Verb.LEAVE:
                self._leave()
                self._say({"type": "ok"}, answers)
            case Pointer():
                if self._attended is not None:
                    # Whatever comes of it, there is no answer.
                    with suppress(ClientError):
                        await self._attended.obey(content, self._caller())
            case _:
                await self._session().obey(content, self._caller())
                self._say({"type": "ok"}, answers)
                if self.pump.window is not None:
                    self._session().report(self.pump.window, params=False)

    def _caller(self) -> Caller:
        return Caller(self._identity, self._token)

    async def _start(self, start: protocol.Start, answers: str | None) -> None:
        await self._refuse_second()
        if start.abandon is Abandon.KEEP and self._identity.owner_key is None:
            raise Forbidden(
                _(
                    "a session is kept for its owner, and you could not be recognised again: open "
                    "the page in a browser with cookies, or log in"
                )
            )
        self._check_room()
        simulation = registry.get(start.simulation)
        given = self._files.put_into(start.params)
        params = await self._validated(validate_params, simulation, given)
        if chosen_engine(simulation, start.engine) is Engine.CLUSTER:
            await self._start_elsewhere(start, simulation, params, answers)
            return
        live = runtime.pool.create(
            simulation,
            params,
            self._identity,
            engine=start.engine,
            fps=start.fps,
            abandon=start.abandon,
        )
        if start.sets_step_rate:
            live.session.set_step_rate(start.steps_per_second)
        await self._settle(live)
        self._begin_own(live, live.token, start, answers)
        live.start()

    async def _refuse_second(self) -> None:
        """Refuse a start while the session that was started here last goes on."""
        if self._own is None:
            return
        session_id, token = self._own
        state = await self._state_of(session_id, Caller(self._identity, token))
        if state is not None and not state.ended:
            sentence = _("your session %(id)s is %(state)s: stop it before you start another")
            if state is State.STOPPING:
                sentence = _("your session %(id)s is stopping: start another when it has stopped")
            raise WrongState(sentence % {"id": session_id, "state": state_word(state)})

    async def _start_elsewhere(
        self,
        start: protocol.Start,
        simulation: Simulation,
        params: dict[str, Any],
        answers: str | None,
    ) -> None:
        """Have a session run on a compute machine."""
        placed = await runtime.placing.place(
            simulation,
            params,
            self._identity,
            fps=start.fps,
            abandon=start.abandon,
            sets_step_rate=start.sets_step_rate,
            steps_per_second=start.steps_per_second,
        )
        if self.pump.is_closing:
            await runtime.placing.end_waiting(placed.id, StopReason.ABANDONED)
        self._refuse_if_closing()
        remote = runtime.remotes.get(placed.id, placed.status)
        self._begin_own(remote, placed.token, start, answers)

    def _begin_own(
        self, session: AnySession, token: str, start: protocol.Start, answers: str | None
    ) -> None:
        """Watch and control a session that was started just now."""
        started = {"type": "started", "session": session.id, "token": token}
        self._begin_watching(session, start, protocol.encode(started, answers))
        self._token, self._own = token, (session.id, token)

    async def _watch(self, watch: protocol.Watch, answers: str | None) -> None:
        self._check_room()
        token = watch.token
        if self._own is not None and self._own[0] == watch.session:
            token = self._own[1]
        found: AnySession
        if watch.session == SHARED:
            found, can_control = await runtime.showcase.session(), False
        else:
            caller = Caller(self._identity, token)
            found, can_control = await runtime.directory.find(watch.session, caller)
        if self.pump.is_closing:
            return
        watching = {"type": "watching", "session": found.id, "can_control": can_control}
        self._begin_watching(found, watch, protocol.encode(watching, answers))
        self._token = token

    def _begin_watching(
        self, session: AnySession, asked: protocol.Start | protocol.Watch, answer: str
    ) -> None:
        stream = None
        if asked.streams is not Streams.NEVER:
            stream = Stream(is_wanted=asked.streams is Streams.ALWAYS)
        window = Window(self.pump.wake, visible=self._visible, stream=stream)
        self._attend(session, window, asked.encoding)
        # It still comes before what the window holds already: the first `session`, a frame.
        self.pump.post(answer)

    async def _answer_status(self, content: dict[str, Any], answers: str | None) -> None:
        session = self._session()
        what = _confided(content)
        more = await session.confide(what, self._caller()) if what else None
        if not what and session.status()["state"] == State.FAILED:
            # Where it has failed is told to those who may control it without being asked for.
            with suppress(ClientError):
                more = await session.confide(["line"], self._caller())
        if self.pump.window is not None:
            session.report(self.pump.window, answers, more=more)

    def _session(self) -> AnySession:
        if self._attended is None:
            raise WrongState(_("no session is attended: start one or watch one first"))
        return self._attended


def _confided(content: Mapping[str, Any]) -> list[str]:
    """Return the parts that a message asks for beside the state, which may be large."""
    return [name for name in ("params", "output") if content.get(name) is True]
