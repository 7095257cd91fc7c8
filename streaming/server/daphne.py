"""Daphne with backpressure and a clean shutdown.

Daphne itself buffers without a bound in both directions, and may crash on SIGTERM. Its hooks are
enough to mend both; where they are not as we know them, `server_class` is daphne's own.
"""

import asyncio
import inspect
import logging
import signal
import time
from functools import partial
from types import FrameType, SimpleNamespace
from typing import Any

import daphne
from daphne.http_protocol import WebRequest
from daphne.server import Server as DaphneServer
from daphne.server import reactor
from daphne.ws_protocol import WebSocketProtocol as DaphneWebSocketProtocol
from django.conf import settings
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred
from twisted.web.http import HTTPChannel

from streaming.conf import conf
from streaming.runtime import runtime
from streaming.server.complaints import Complaint
from streaming.server.places import Places, most_places
from streaming.server.receiving import Inbox, Turns
from streaming.server.requests import Channel, Request
from streaming.server.sending import Gate
from streaming.server.shutdown import leave, shut_down
from streaming.server.uploads import Bodies, Upload
from streaming.server.websocket import WebSocketProtocol
from streaming.web.connections import REQUEST_BURST_S, Rates, address_of
from streaming.web.consumer import DIRECT
from streaming.web.mistakes import too_many_requests

__all__ = ["Server", "leave", "server_class", "what_is_unknown"]

logger = logging.getLogger(__name__)

TIMEOUT_CHECK_S = 2.0


class Server(DaphneServer):
    """An ASGI `send` waits while the transport's buffer is full; reading waits for `receive`.

    SIGTERM stops listening, then every session, closes every WebSocket with 1012, and lets all
    applications end within SHUTDOWN_GRACE. Where there are other processes the viewers go there
    first, and see the sessions go on for SHUTDOWN_GRACE. A second SIGTERM ends the process at once.
    SIGHUP, which comes when a terminal is closed, does the same.
    """

    def __init__(self, *args: Any, ready_callable: Any = None, **kwargs: Any) -> None:
        _measure_with_a_clock_that_nobody_sets()
        super().__init__(*args, ready_callable=self._get_ready, **kwargs)
        self._on_ready = ready_callable
        self._turns = Turns()
        self._places = Places(most_places())
        self._bodies = Bodies(_most_body_bytes())
        self._rates = Rates(REQUEST_BURST_S * conf().REQUESTS_PER_SECOND)
        self._hasty = Complaint(logger, "an address makes more requests than it may: 429")
        self._ports: list[Any] = []

    def _get_ready(self) -> None:
        """Called by daphne when its factories are there, before it serves anything."""
        self.ws_factory.protocol = WebSocketProtocol
        self.ws_factory.turns = self._turns
        self.ws_factory.floods = Complaint(
            logger, "a client sends more WebSocket frames than it may: it is cut off"
        )
        self.ws_factory.places = self._places
        # As `protocol` above; a factory's own would know none of our limits.
        self.http_factory.buildProtocol = self._build_channel
        # Not when it is said to run: asyncio's loop does not yet, and needs to.
        reactor.callLater(0, runtime.take_part)
        if self.signal_handlers and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            # Not under nohup, where it is ignored. Twisted has handlers for the other signals.
            signal.signal(signal.SIGHUP, _stop)
        if self._on_ready is not None:
            # Not now: it may say where the server is, and a signal that comes then must find its
            # handler there.
            reactor.callWhenRunning(self._on_ready)

    def _build_channel(self, address: Any) -> Channel | None:
        if not self._places.make_room():
            return None
        channel = Channel(self._places, self._bodies, self._turns)
        channel.factory = self.http_factory
        channel.requestFactory = Request
        return channel

    def listen_success(self, port: Any) -> None:
        super().listen_success(port)
        self._ports.append(port)

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        asgi = self.application
        if isinstance(protocol, WebSocketProtocol):
            queue: asyncio.Queue[Any] = Inbox(protocol.reader)
            scope.setdefault("extensions", {})[DIRECT] = protocol
            # Daphne reads it from the proxy's header, and keeps it.
            is_secure = getattr(protocol, "client_scheme", None) == "https"
            scope.setdefault("scheme", "wss" if is_secure else "ws")
        else:
            queue = Upload(protocol)
            limit = conf().REQUESTS_PER_SECOND
            if not self._rates.admits(address_of(scope), limit, time.monotonic()):
                self._hasty.add()
                asgi = too_many_requests
        scope.setdefault("asgi", {"version": "3.0"})
        application = asgi(
            scope=scope, receive=queue.get, send=partial(self.handle_reply, protocol)
        )
        self.connections[protocol]["application_instance"] = asyncio.ensure_future(application)
        return queue

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        details = self.connections.get(protocol)
        if details is None or "disconnected" in details:
            return
        kind = message["type"]
        if kind == "websocket.send":
            # Without daphne's own, which checks the headers that only a response has.
            protocol.handle_reply(message)
            await protocol.gate.wait()
            return
        if kind == "http.response.start":
            gate = details["gate"] = Gate()
            protocol.registerProducer(gate, True)
        elif kind == "http.response.body" and not message.get("more_body"):
            _unregister(protocol, details.pop("gate", None))
        await super().handle_reply(protocol, message)
        if kind == "http.response.body" and "gate" in details:
            await details["gate"].wait()

    def application_checker(self) -> None:
        # Daphne's own ends for ever with the first response that fails after it has begun.
        for protocol, details in list(self.connections.items()):
            application = details.get("application_instance")
            has_begun = getattr(protocol, "_response_started", False)
            if application and application.done() and has_begun and "disconnected" not in details:
                details["disconnected"] = time.monotonic()
                _cut_short(protocol)
        super().application_checker()

    def timeout_checker(self) -> None:
        for protocol, details in list(self.connections.items()):
            if "disconnected" not in details:
                protocol.check_timeouts()
        self._places.give_up_late()
        reactor.callLater(TIMEOUT_CHECK_S, self.timeout_checker)

    def kill_all_applications(self) -> Deferred[None]:
        """Called by Twisted, which stops when what this returns has fired."""
        return Deferred.fromFuture(asyncio.ensure_future(shut_down(self)))

    def stop_listening(self) -> None:
        for port in self._ports:
            port.stopListening()

    def close_sockets(self) -> None:
        for protocol in list(self.connections):
            if isinstance(protocol, WebSocketProtocol):
                protocol.close_for_restart()

    def applications(self) -> set[asyncio.Future[Any]]:
        """Return those that go on. A fresh socket, or half a request, has none."""
        found = (details.get("application_instance") for details in self.connections.values())
        return {application for application in found if application and not application.done()}


def what_is_unknown() -> str:
    """Say which part of daphne, Twisted or autobahn is not as this module knows it; "" if none."""
    parts = {
        DaphneServer: (
            "create_application",
            "handle_reply",
            "kill_all_applications",
            "listen_success",
            "application_checker",
            "timeout_checker",
            "run",
        ),
        DaphneWebSocketProtocol: (
            "connectionMade",
            "dataReceived",
            "_dataReceived",
            "onOpen",
            "onFrameBegin",
            "onMessage",
            "onClose",
            "onPing",
            "serverSend",
            "serverAccept",
            "sendData",
            "sendPreparedMessage",
            "sendCloseFrame",
            "dropConnection",
        ),
        WebRequest: (
            "gotLength",
            "handleContentChunk",
            "process",
            "finish",
            "basic_error",
            "check_timeouts",
        ),
        HTTPChannel: ("setLineMode", "allHeadersReceived", "allContentReceived", "requestDone"),
        FileDescriptor: ("registerProducer", "unregisterProducer", "writeSomeData", "SEND_LIMIT"),
    }
    for part, names in parts.items():
        for name in names:
            if not hasattr(part, name):
                return f"{part.__module__}.{part.__qualname__} has no {name}"
    expected = {
        DaphneServer.create_application: ["self", "protocol", "scope"],
        DaphneServer.handle_reply: ["self", "protocol", "message"],
        DaphneWebSocketProtocol.serverSend: ["self", "content", "binary"],
    }
    for method, arguments in expected.items():
        if list(inspect.signature(method).parameters) != arguments:
            return f"{method.__module__}.{method.__qualname__} takes other arguments"
    if "ready_callable" not in inspect.signature(DaphneServer.__init__).parameters:
        return "daphne.server.Server takes no ready_callable"
    return ""


def server_class() -> Any:
    """Return our server, or daphne's own, with a warning, where ours would not work."""
    if unknown := what_is_unknown():
        logger.warning(
            "the server is plain daphne, without backpressure and a clean shutdown: %s", unknown
        )
        return DaphneServer
    return Server


def _most_body_bytes() -> int | None:
    fields = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return None if fields is None else fields + conf().MAX_UPLOAD_BYTES


def _stop(number: int, frame: FrameType | None) -> None:
    reactor.callFromThread(reactor.stop)


def _cut_short(protocol: Any) -> None:
    """Break off a response whose application has ended without ending it."""
    if not protocol.finished and protocol.channel is not None:
        protocol.channel.transport.abortConnection()


def _unregister(protocol: Any, gate: "Gate | None") -> None:
    if gate is not None and not protocol.finished and protocol.channel is not None:
        protocol.unregisterProducer()


def _measure_with_a_clock_that_nobody_sets() -> None:
    """Have daphne and Twisted measure time by the monotonic clock.

    Theirs is the machine's: set back by an hour, no ping would be sent and no timer go off for so
    long; set on, whatever waits for an answer would be given up.
    """
    reactor.seconds = time.monotonic
    for module in (daphne.server, daphne.ws_protocol, daphne.http_protocol):
        module.time = SimpleNamespace(time=time.monotonic)
