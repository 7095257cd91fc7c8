"""One WebSocket each: parses what comes in, hands it to the session, sends what its window holds.

What both dialects share. A consumer owns nothing that must end but its pump; sessions belong to
streaming/sessions/pool.py.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from channels.exceptions import DenyConnection, StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from django.utils import translation
from django.utils.translation import gettext as _

from streaming.cluster.directory import AnySession
from streaming.conf import conf
from streaming.delivery import protocol
from streaming.delivery.allowance import MESSAGE_BYTES, MESSAGES_PER_SECOND, Allowance, Mistakes
from streaming.delivery.fanout import Dialect
from streaming.delivery.window import Window
from streaming.engine.errors import (
    ClientError,
    Forbidden,
    LoginRequired,
    ServerStopping,
    TooManyMessages,
    TooManySessions,
    Unavailable,
    UnknownSession,
    is_shortage,
    shortage,
)
from streaming.engine.snapshot import State, StopReason
from streaming.identity import Identity, browser_of, identify_scope
from streaming.metrics import DATABASE_ERRORS
from streaming.process import process
from streaming.runtime import runtime
from streaming.sessions.control import Caller, validated
from streaming.sessions.live import LiveSession
from streaming.web.connections import Place, address_of, connections
from streaming.web.pump import Pump
from streaming.web.words import accepted_language

logger = logging.getLogger(__name__)

# A close that the client began: it is done, or its page is left. 1005 is one without a code.
CLOSED_BY_CLIENT = (1000, 1001, 1005)
# The extension of our server: its side of the connection, for the two messages that each frame
# costs. `take_first` shows each text to a consumer as it arrives, before it is queued: an ack or a
# ping then waits for nothing, be it the row that has to be written for another message. It also
# tells the consumer when nothing more is read, since the client sends too much. It is the pump's
# `Line`, too, past the calls of each middleware and of daphne, which take longer than the sending.
DIRECT = "livestep.direct"
# Limits that a client meets without having done anything wrong.
NO_MISTAKE = (TooManySessions, ServerStopping, Unavailable)


class SessionConsumer(AsyncWebsocketConsumer):
    """What both dialects share: the client's identity, its allowance, and the pump that sends."""

    # No layer of this name, and so no channel: nothing is sent to a consumer. The relay of a
    # session has subscribed to the layer `local` for all of them.
    channel_layer_alias = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._identity = Identity()
        # What it counts for, while it is one of the open connections.
        self._place: Place | None = None
        self._attended: AnySession | None = None
        self.pump = Pump(self._transmit, self._close_connection, self._give_up)
        self._allowance = Allowance(time.monotonic())
        self._mistakes = Mistakes()
        # Until the client has said goodbye, it may want to come back.
        self._lost = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if (direct := (scope.get("extensions") or {}).get(DIRECT)) is not None:
            direct.take_first(self.take_at_once, self.flooded)
            self.pump.use(direct)
        # For this connection's task, and what it begins.
        translation.activate(accepted_language(scope))
        # Not in disconnect(): Channels skips it when a handler raises and when the server
        # cancels us, and the session would keep a viewer that is gone.
        try:
            await super().__call__(scope, partial(self._receive, receive), send)
        finally:
            self.end()

    async def _receive(self, receive: Any) -> Any:
        """Return the next message that is for Channels, which makes a task for each."""
        while True:
            message = await receive()
            if message["type"] != "websocket.receive" or not self.take_at_once(message.get("text")):
                return message

    def take_at_once(self, text: str | None) -> bool:
        """Handle a message on its way in, if it waits for nothing; whether it did not."""
        return False

    def flooded(self) -> None:
        """Say why to a client of which nothing more is read, and close its connection."""
        if not self.pump.is_closing:
            with translation.override(accepted_language(self.scope)):
                self.send_away(TooManyMessages(_("too much came from you at once")))

    def end(self) -> None:
        """End what this connection began. Called exactly when it is over, however it ended."""
        self._leave(lost=self._lost)
        runtime.rights.forget(self)
        if self._place is not None:
            connections.leave(self._place)
        self.pump.end()

    async def dispatch(self, message: Any) -> None:
        # Channels' own goes through one thread of the whole process before each message, to
        # close old database connections; whatever blocks there would block every WebSocket.
        handler = getattr(self, message["type"].replace(".", "_"))
        await handler(message)

    async def websocket_disconnect(self, message: Any) -> None:
        self._lost = message.get("code") not in CLOSED_BY_CLIENT
        # Channels' own leaves groups, of which we have none, and goes through that thread too.
        raise StopConsumer

    async def connect(self) -> None:
        if process.has_others:
            runtime.take_part()
        address = address_of(self.scope)
        if not connections.admits(address, time.monotonic()):
            raise DenyConnection
        refusal: ClientError | None = None
        try:
            await self._enter(address)
        except ClientError as error:
            refusal = error
        await self.accept(protocol.SUBPROTOCOL if self.scope["subprotocols"] else None)
        self.pump.start()
        self.greet()
        if refusal is not None:
            self.send_away(refusal)

    async def _enter(self, address: str | None) -> None:
        """Become one of the open connections.

        Raises:
            TooManySessions: If its address or owner has as many as it may.
            LoginRequired: If the site is for users only, and this is none.
        """
        self._place = connections.enter(address)
        changes = runtime.rights.changes
        try:
            self._identity = await identify_scope(self.scope)
        except DatabaseError:
            DATABASE_ERRORS.labels("identity").inc()
            logger.warning("a client stays anonymous: the database does not answer")
        login = ""
        if self._identity.user_id is not None:
            login = str(self.scope["session"].session_key)
            if runtime.rights.has_ended(login):
                self._identity = Identity(browser=browser_of(None, self.scope["cookies"]))
        if self._identity.owner_key is None:
            self._identity = replace(self._identity, address=address)
        connections.belong(self._place, self._identity.owner_key)
        if self._identity.user_id is not None:
            runtime.rights.watch(self, login, self._identity.user_id, since=changes)
        elif conf().LOGIN_REQUIRED:
            raise LoginRequired(_("log in to use this site"))

    def recheck(self, identity: Identity | None) -> None:
        """Apply the user's current rights. A user who has logged out must reconnect, as a visitor
        if the site allows visitors."""
        if self.pump.is_closing:
            return
        with translation.override(accepted_language(self.scope)):
            if identity is None:
                logger.info("a login of user %s has ended", self._identity.user_id)
                self.send_away(LoginRequired(_("this login has ended")))
                return
            was = self._identity
            # Its cookies were not read again.
            self._identity = replace(identity, browser=identity.browser or was.browser)
            if self._has_lost_control(was):
                logger.info("user %s may not control every session any more", identity.user_id)
                self.send_away(Forbidden(_("you may not control this session any more")))

    def _has_lost_control(self, was: Identity) -> bool:
        """Whether it controlled the session that it attends by a right that its user had."""
        return False

    def send_away(self, error: ClientError) -> None:
        """Say why, and close the connection."""
        self.refuse(error)
        self._close(error.close_code)

    def _close(self, code: int) -> None:
        """Close the connection after what was posted."""
        self._leave()
        self.pump.close(code)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self.pump.is_closing:
            await self._say_errors_of(self.hear(text_data))
            # Channels takes the next message at once. Others come first.
            await asyncio.sleep(0)

    def greet(self) -> None:
        """Send what comes first on a new connection."""

    async def hear(self, text: str | None) -> None:
        """Handle one message; None stands for a binary one."""
        raise NotImplementedError

    def refuse(self, error: ClientError) -> None:
        """Tell the client what is wrong."""
        raise NotImplementedError

    async def _say_errors_of(self, work: Coroutine[Any, Any, None]) -> None:
        """Await some work for the client, which keeps its socket whatever comes of it."""
        try:
            await work
        except ClientError as error:
            self._refuse(error)
        except Exception as error:
            if is_shortage(error):
                logger.warning("a message could not be handled: %s", error)
                said = _("the server cannot do this now: %(short_of)s; try again in a moment")
                self.refuse(Unavailable(said % {"short_of": _(shortage(error))}))
                return
            # Ours, or an author's form: logged in full, and said without it.
            logger.exception("a message could not be handled")
            self.refuse(ClientError(_("the server failed at this message")))

    def _refuse(self, error: ClientError) -> None:
        """Refuse, and close on a client that is wrong too often."""
        self.refuse(error)
        if not isinstance(error, NO_MISTAKE) and self._mistakes.add(time.monotonic()):
            flooding = isinstance(error, TooManyMessages)
            self._close(error.close_code if flooding else ClientError.close_code)

    def _spend_allowance(self, size: int = 0) -> None:
        if not self._allowance.spend(time.monotonic(), 1 + size // MESSAGE_BYTES):
            raise TooManyMessages(
                _("slow down: %(most)g messages a second are allowed")
                % {"most": MESSAGES_PER_SECOND}
            )

    async def _validated(self, validate: Callable[..., dict[str, Any]], *args: Any) -> Any:
        """Validate, and see that the client is still there."""
        valid = await validated(validate, *args)
        self._refuse_if_closing()
        return valid

    def _refuse_if_closing(self) -> None:
        """See that a client is still there, after a wait: one that was sent away begins nothing."""
        if self.pump.is_closing:
            raise Forbidden("the connection closes")  # Nobody reads this any more.

    async def _settle(self, live: LiveSession) -> None:
        """Wait until a new session may be told of; the client may have left meanwhile."""
        await runtime.pool.settle(live)
        if self.pump.is_closing:
            live.request_stop(StopReason.ABANDONED)
        self._refuse_if_closing()

    async def _state_of(self, session_id: str, caller: Caller) -> State | None:
        """Return the state of a session that was started over this connection, wherever it runs;
        None if it has ended so long ago that nobody knows it."""
        try:
            session, _can_control = await runtime.directory.find(session_id, caller)
        except UnknownSession:
            return None
        return State(session.status()["state"])

    def _check_room(self) -> None:
        runtime.directory.check_room(leaving=self._attended)

    def _attend(self, session: AnySession, window: Window, dialect: Dialect) -> None:
        """Let the window have a session's frames, and leave the one attended before."""
        self._check_room()
        if session is self._attended:
            self._leave()  # Or this viewer would count twice.
        # Before the other is left: what fails changes nothing.
        session.attach(window, dialect)
        self._leave()
        self._attended = session
        self.pump.serve(window)

    def _leave(self, *, lost: bool = False) -> None:
        if self._attended is not None and self.pump.window is not None:
            self._attended.detach(self.pump.window, lost=lost)
        self._attended = None
        self.pump.leave()

    def _give_up(self) -> None:
        """Leave the session of a client that does not read, which may want to come back."""
        attended = self._attended
        logger.warning("a viewer of session %s does not read", attended and attended.id)
        self._leave(lost=True)

    async def _transmit(self, content: str | bytes) -> None:
        # Not with Channels' own send(), which is two calls more for each frame.
        kind = "bytes" if isinstance(content, bytes) else "text"
        message: Any = {"type": "websocket.send", kind: content}
        await self.base_send(message)

    async def _close_connection(self, code: int) -> None:
        await self.close(code=code)
