"""One WebSocket each: parses what comes in, hands it to the session, sends what its window holds.

What both dialects share. A consumer owns nothing that must end but its pump; sessions belong to
streaming/sessions/pool.py.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from channels.exceptions import DenyConnection, StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from django.utils import translation
from django.utils.translation import gettext as _

from streaming.cluster.bus import bus
from streaming.cluster.peers import cluster
from streaming.cluster.remote import Attended, RemoteSession, remotes
from streaming.conf import conf
from streaming.delivery import protocol
from streaming.delivery.allowance import MESSAGES_PER_SECOND, Allowance, Mistakes
from streaming.delivery.fanout import Dialect
from streaming.delivery.window import MAX_MESSAGES_WAITING, Window
from streaming.engine.errors import (
    ClientError,
    Forbidden,
    LoginRequired,
    ServerStopping,
    TooManyMessages,
    TooManySessions,
    Unavailable,
)
from streaming.identity import Identity, identify_scope
from streaming.metrics import DATABASE_ERRORS
from streaming.sessions.control import validated
from streaming.sessions.live import LiveSession
from streaming.sessions.pool import sessions
from streaming.sessions.records import records
from streaming.sessions.relay import LAYER_ALIAS
from streaming.web.connections import Place, address_of, connections
from streaming.web.rights import rights
from streaming.web.turns import turns
from streaming.web.words import accepted_language

logger = logging.getLogger(__name__)

CLOSE_NOT_READING = 4408
# A close that the client began: it is done, or its page is left. 1005 is one without a code.
CLOSED_BY_CLIENT = (1000, 1001, 1005)
# The extension of our server that shows each text to a consumer as it arrives, before it is queued:
# an ack then waits for nothing, be it the form that another message is being validated by. It also
# tells it when nothing more is read, since the client sends too much.
TAKE_FIRST = "livestep.take_first"
# An alarm this late says that the event loop stood still.
STANDSTILL_S = 0.5
# How long a close waits for a client to read why. One that floods and reads nothing would keep its
# connection otherwise, since to daphne every message is a sign of life.
CLOSE_WAIT_S = 5.0
# Limits that a client meets without having done anything wrong.
NO_MISTAKE = (TooManySessions, ServerStopping, Unavailable)


class SessionConsumer(AsyncWebsocketConsumer):
    """What both dialects share: who it is, its allowance, and the pump that sends.

    The pump is the only sender. What handles a message never waits for a client that reads
    slowly, so a `stop` is heard while a frame is still on its way.
    """

    channel_layer_alias = LAYER_ALIAS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._identity = Identity()
        # What it counts for, while it is one of the open connections.
        self._place: Place | None = None
        self._live: Attended | None = None
        self._window: Window | None = None
        # What goes out before anything of the window: texts, then the code of a close.
        self._outbox: deque[str | int] = deque()
        self._pump_task: asyncio.Task[None] | None = None
        # Set when there may be something to send.
        self._woken = asyncio.Event()
        # Goes off when the oldest frame in flight may be overdue. Not set anew for each frame,
        # which would cost more than an alarm now and then for nothing.
        self._alarm: asyncio.TimerHandle | None = None
        self._allowance = Allowance(time.monotonic())
        self._mistakes = Mistakes()
        self._closing = False
        # Until the client has said goodbye, it may want to come back.
        self._lost = True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if (take_first := (scope.get("extensions") or {}).get(TAKE_FIRST)) is not None:
            take_first(self.took, self.flooded)
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
            if message["type"] != "websocket.receive" or not self.took(message.get("text")):
                return message

    def took(self, text: str | None) -> bool:
        """Whether a message was handled already, on its way in."""
        return False

    def flooded(self) -> None:
        """Say why to a client of which nothing more is read, and close its connection."""
        if not self._closing:
            with translation.override(accepted_language(self.scope)):
                self.send_away(TooManyMessages(_("too much came from you at once")))

    def end(self) -> None:
        """End what this connection began. Called exactly when it is over, however it ended."""
        self._leave(lost=self._lost)
        rights.forget(self)
        if self._place is not None:
            connections.leave(self._place)
        if self._pump_task is not None:
            self._pump_task.cancel()

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
        if bus.has_others:
            cluster.start()
        address = address_of(self.scope)
        if not connections.admits(address, time.monotonic()):
            raise DenyConnection
        refusal: ClientError | None = None
        try:
            await self._enter(address)
        except ClientError as error:
            refusal = error
        await self.accept(protocol.SUBPROTOCOL if self.scope["subprotocols"] else None)
        self._pump_task = asyncio.create_task(self._pump(), name="pump")
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
        changes = rights.changes
        try:
            self._identity = await identify_scope(self.scope)
        except DatabaseError:
            DATABASE_ERRORS.labels("identity").inc()
            logger.warning("a client stays anonymous: the database does not answer")
        connections.belong(self._place, self._identity.owner_key)
        if self._identity.user_id is not None:
            login = str(self.scope["session"].session_key)
            rights.watch(self, login, self._identity.user_id, since=changes)
        elif conf().LOGIN_REQUIRED:
            raise LoginRequired(_("log in to use this site"))

    def recheck(self, identity: Identity | None) -> None:
        """Go on as who the user is now. Whoever is logged in no more connects anew, as a visitor
        where the site has them: nothing is left of what this connection might do."""
        if self._closing:
            return
        with translation.override(accepted_language(self.scope)):
            if identity is None:
                logger.info("a login of user %s has ended", self._identity.user_id)
                self.send_away(LoginRequired(_("this login has ended")))
                return
            was, self._identity = self._identity, identity
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

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self._closing:
            await self._say_errors_of(self.hear(text_data))

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
        except Exception:
            # Ours, or an author's form: logged in full, and said without it.
            logger.exception("a message could not be handled")
            self.refuse(ClientError(_("the server failed at this message")))

    def _refuse(self, error: ClientError) -> None:
        """Refuse, and close on a client that is wrong too often."""
        self.refuse(error)
        if not isinstance(error, NO_MISTAKE) and self._mistakes.add(time.monotonic()):
            flooding = isinstance(error, TooManyMessages)
            self._close(error.close_code if flooding else ClientError.close_code)

    def _spend_allowance(self) -> None:
        if not self._allowance.spend(time.monotonic()):
            raise TooManyMessages(
                _("slow down: %(most)g messages a second are allowed")
                % {"most": MESSAGES_PER_SECOND}
            )

    async def _validated(self, validate: Callable[..., dict[str, Any]], *args: Any) -> Any:
        """Validate on a thread: an author's form may ask the database."""
        valid = await validated(validate, *args)
        self._refuse_if_closing()
        return valid

    def _refuse_if_closing(self) -> None:
        """See that a client is still there, after a wait: who was sent away begins nothing."""
        if self._closing:
            raise Forbidden("the connection closes")  # Nobody reads this any more.

    async def _settle(self, live: LiveSession) -> None:
        """Have a new session written down before anybody is told of it: if its process was gone
        before that, nobody would ever learn what became of it."""
        try:
            await records.settle(live.id)
        except Unavailable as error:
            live.session.fail(str(error))
            raise
        if self._closing:
            live.request_stop("abandoned")
        self._refuse_if_closing()

    def _check_room(self) -> None:
        # A stored session is watched by nobody, as far as that is counted.
        leaving = isinstance(self._live, LiveSession | RemoteSession)
        sessions.check_room(leaving=leaving, elsewhere=remotes.viewers)

    def _attend(self, live: Attended, window: Window, dialect: Dialect) -> None:
        """Let the window have a session's frames, and leave the one attended before."""
        self._check_room()
        if live is self._live:
            self._leave()  # Or this viewer would count twice.
        # Before the other is left: what fails changes nothing.
        live.attach(window, dialect)
        if isinstance(live, RemoteSession):
            remotes.keep(live)
        self._leave()
        self._live, self._window = live, window
        self._woken.set()

    def _leave(self, *, lost: bool = False) -> None:
        if self._live is not None and self._window is not None:
            self._live.detach(self._window, lost=lost)
        self._live = self._window = None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _post(self, text: str) -> None:
        """Have a text sent before anything of the window."""
        if len(self._outbox) < MAX_MESSAGES_WAITING:
            self._outbox.append(text)
            self._woken.set()
        else:
            self._cut()

    def _close(self, code: int) -> None:
        """Have the connection closed after what was posted, or soon if the client reads nothing."""
        self._closing = True
        self._leave()
        self._outbox.append(code)
        self._woken.set()
        self._alarm = asyncio.get_running_loop().call_later(CLOSE_WAIT_S, self._close_now, code)

    def _wake(self) -> None:
        """Called when the window may have something to send."""
        if self._window is not None:
            turns.wake(self._woken, self._window.waiting_bytes)

    async def _pump(self) -> None:
        """Send what there is, as fast as the client reads it."""
        try:
            while True:
                self._woken.clear()
                while (content := self._next()) is not None:
                    if isinstance(content, int):
                        await self.close(code=content)
                        return
                    # Not with Channels' own send(), which is two calls more for each frame.
                    kind = "bytes" if isinstance(content, bytes) else "text"
                    message: Any = {"type": "websocket.send", kind: content}
                    await self.base_send(message)
                await self._woken.wait()
        except Exception:
            # Daphne's own server raises when the client has just gone.
            logger.warning("nothing more can be sent to a client", exc_info=True)

    def _next(self) -> str | bytes | int | None:
        if self._outbox:
            return self._outbox.popleft()
        window = self._window
        if window is None:
            return None
        if window.overflowed:
            self._cut()
            return None
        content = window.take(time.monotonic())
        # Before it is sent, since that may take as long as the client pleases.
        if self._alarm is None and content is not None:
            self._watch_reading()
        return content

    def _watch_reading(self) -> None:
        """Give up a client that does not acknowledge what it was sent."""
        left = None if self._window is None else self._window.look(time.monotonic())
        if left is None:
            return
        if left:
            self._set_alarm(left)
        else:
            self._cut()

    def _set_alarm(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(seconds, self._ring, loop.time() + seconds)

    def _ring(self, due: float) -> None:
        self._alarm = None
        if asyncio.get_running_loop().time() - due > STANDSTILL_S:
            # The loop stood still: the client's acks may be there, unread.
            self._set_alarm(STANDSTILL_S)
        else:
            self._watch_reading()

    def _cut(self) -> None:
        """Close the connection of a client that does not read, without waiting until it does."""
        if self._pump_task is None or self._closing:
            return
        self._closing = True
        logger.warning("a viewer of session %s does not read", self._live and self._live.id)
        self._leave(lost=True)
        self._close_now(CLOSE_NOT_READING)

    def _close_now(self, code: int) -> None:
        self._alarm = None
        if self._pump_task is not None:
            self._pump_task.cancel()
        self._pump_task = asyncio.create_task(self.close(code=code), name="pump closing")
