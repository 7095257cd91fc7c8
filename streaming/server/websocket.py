"""One WebSocket of our server: reads no more than its application does, and writes no more than
its client does."""

import time
from collections.abc import Callable
from typing import Any

from daphne.server import reactor
from daphne.ws_protocol import WebSocketProtocol as DaphneWebSocketProtocol
from twisted.internet.abstract import FileDescriptor

from streaming.delivery.allowance import Allowance
from streaming.server.receiving import FRAME_BURST, FRAMES_PER_SECOND, Reader, sole_text
from streaming.server.sending import Gate, is_idle, prepared

SERVICE_RESTART = 1012
TOO_MANY = 4429
# How long what is written may take to leave when a connection closes.
FLUSH_WAIT_S = 1.0


class WebSocketProtocol(DaphneWebSocketProtocol):
    # What is no WebSocket frame, or larger than any, is answered with a close code that says so.
    failByDrop = False
    # What the application sees of each text before it is queued; true if it was handled so.
    take_at_once: Callable[[str], bool] | None = None
    # Has the application say why it closes a connection that sends too much.
    flooded: Callable[[], None] | None = None
    # Cuts a connection that was to close, and cannot since its client does not read.
    _aborting: Any = None

    def connectionMade(self) -> None:
        super().connectionMade()
        # Open while the transport's buffer is not full.
        self.gate = Gate()
        # The producer so far is the HTTP channel that the connection was upgraded from.
        self.transport.unregisterProducer()
        self.transport.registerProducer(self.gate, True)
        self.factory.places.keep(self)
        self._frames = Allowance(time.monotonic(), FRAMES_PER_SECOND, FRAME_BURST)
        self._has_request = self._is_flooding = False
        self.reader = Reader(self.transport, self.factory.turns, self._parse, self._count_missing)

    def take_first(self, take_at_once: Callable[[str], bool], flooded: Callable[[], None]) -> None:
        """Called by an application that wants to know of some things before they are queued."""
        self.take_at_once, self.flooded = take_at_once, flooded

    # A `Line` of the pump's.

    def has_room(self) -> bool:
        return self.gate.is_open

    async def wait_for_room(self) -> None:
        await self.gate.wait()

    def write(self, content: str | bytes) -> None:
        self.serverSend(content, isinstance(content, bytes))

    def dataReceived(self, data: bytes) -> None:
        if not self._has_request:
            # As daphne hands it on. What follows waits until it is answered: autobahn would collect
            # it without a bound, and look in it for another request.
            self._has_request = True
            self.reader.pauseProducing()
            super().dataReceived(data)
        else:
            self.reader.take(data)

    def onOpen(self) -> None:
        super().onOpen()
        self.reader.resumeProducing()

    def _parse(self, piece: bytes) -> None:
        """Parse what has come. An ack that comes alone, as nearly all do, is taken at once."""
        if self.take_at_once is not None and self._is_between_messages:
            text = sole_text(piece)
            if text is not None and self.take_at_once(text):
                self.last_ping = time.monotonic()  # As in `onMessage`.
                self._count_frame()
                return
        # Not autobahn's dataReceived(), which only makes a line for the log of it: that takes a
        # twelfth of what a frame costs.
        self._dataReceived(piece)

    @property
    def _is_between_messages(self) -> bool:
        """Whether the next byte begins a message, and this side still listens."""
        is_idle = self.current_frame is None and not self.data and not self.inside_message
        return is_idle and self.state == self.STATE_OPEN and not self.muted

    def onFrameBegin(self) -> None:
        self._count_frame()
        super().onFrameBegin()

    def _count_frame(self) -> None:
        """Cut off a client that sends more frames than it may."""
        if not self._is_flooding and not self._frames.spend(time.monotonic()):
            self._is_flooding = True
            self.factory.floods.add()
            self.reader.stop()
            if self.flooded is None:
                self.sendClose(TOO_MANY)
            else:
                self.flooded()

    def _count_missing(self) -> int:
        frame = self.current_frame
        return 0 if frame is None else frame.length - self.current_frame_masker.pointer()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        take = self.take_at_once
        if isBinary or take is None or self.muted or not take(payload.decode()):
            super().onMessage(payload, isBinary)
        else:
            self.last_ping = time.monotonic()  # As daphne's own does: the client is there.

    def connectionLost(self, reason: Any) -> None:
        self.factory.places.leave(self)
        super().connectionLost(reason)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        self.gate.resumeProducing()
        if self._aborting is not None and self._aborting.active():
            self._aborting.cancel()
        super().onClose(wasClean, code, reason)

    def onPing(self, payload: bytes) -> None:
        # A pong for each would fill the buffer of a client that sends pings and reads nothing.
        if self.gate.is_open:
            super().onPing(payload)

    def dropConnection(self, abort: bool = False) -> None:
        super().dropConnection(abort)
        if not abort and self._aborting is None:
            # Twisted writes what it holds first, and a client that reads none of it would keep the
            # connection, and the application from hearing of its end.
            self._aborting = reactor.callLater(FLUSH_WAIT_S, self.transport.abortConnection)

    def serverSend(self, content: str | bytes, binary: bool = False) -> None:
        if self.state == self.STATE_CONNECTING:
            self.serverAccept()
        # What is sent to a socket that closes is lost anyway; autobahn would raise.
        if self.state == self.STATE_OPEN:
            if binary:  # It may be acknowledged, however many there are.
                self._frames.earn()
            self.sendPreparedMessage(prepared(self.factory, content, binary))

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        # At once, if nothing waits before it. The reactor would ask the kernel whether it may
        # write, and then not to be told again: twice a message, and more than the writing costs.
        transport = self.transport
        if len(data) < FileDescriptor.SEND_LIMIT and is_idle(transport):
            written = transport.writeSomeData(data)
            if isinstance(written, int):
                data = data[written:]
        if data:
            super().sendData(data, sync, chopsize)

    def close_for_restart(self) -> None:
        if self.state == self.STATE_OPEN:
            # sendClose() knows no code below 3000 but 1000.
            self.sendCloseFrame(SERVICE_RESTART, b"server restarting")
        elif self.state == self.STATE_CONNECTING:
            self.dropConnection(abort=True)
