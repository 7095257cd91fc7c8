"""Requests over HTTP: how long a client may take for one, and how large it may be."""

import logging
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from daphne.http_protocol import WebRequest
from daphne.server import reactor
from django.utils.translation import gettext as _
from twisted.internet.protocol import connectionDone
from twisted.web.http import RESPONSES, HTTPChannel

from streaming.engine.errors import shortage
from streaming.server.places import Places
from streaming.server.receiving import Reader, Turns
from streaming.server.sending import limit_unsent, unsent
from streaming.server.uploads import Bodies, Body

logger = logging.getLogger(__name__)

# From the connection, or from the first byte of a further request, to the end of its header.
HEADER_S = 10.0
# From the header to the end of the body.
BODY_S = 60.0
# Between two requests, or two looks at whether the client reads its answer. Whoever waits here is
# the first to go when places are short.
IDLE_S = 60.0
# How long a refused request is read on without being kept: a client reads the answer only when it
# has sent all, and would lose it if the connection was closed before.
LINGER_S = 1.0


class Channel(HTTPChannel):
    """One connection, and the requests that come over it one after the other."""

    transport: Any

    def __init__(self, places: Places, bodies: Bodies, turns: Turns) -> None:
        super().__init__()
        self.places, self.bodies, self._turns = places, bodies, turns
        self._is_refused = self._is_idle = False
        # How much of its last answer a client had still to read when that was looked at.
        self._unread = 0

    def connectionMade(self) -> None:
        self.places.wait(self, HEADER_S)
        super().connectionMade()
        limit_unsent(self.transport)
        self._reader = Reader(
            self.transport, self._turns, super().dataReceived, self._count_missing
        )
        # What Twisted pauses while a request is being answered.
        self._networkProducer: Any = _Hold(self._reader, self.transport)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        self.places.leave(self)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._begin_request()
        self._reader.take(data)

    def _begin_request(self) -> None:
        if self._is_idle and self.persistent:
            self._is_idle = False
            self.places.expect(self, HEADER_S)

    def setLineMode(self, extra: bytes = b"") -> None:
        """Called when a request is answered, with what came meanwhile of the next one."""
        super().setLineMode()
        if extra:
            self._begin_request()
            # Not by way of the reader: what that holds comes after it.
            super().dataReceived(extra)

    def allHeadersReceived(self) -> None:
        self.places.expect(self, BODY_S)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:
        if not self._is_refused:
            self.places.ask(self)
            super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        self._is_idle = True
        self._unread = unsent(self.transport)
        self.places.wait(self, IDLE_S)
        super().requestDone(request)

    def give_up(self, *, late: bool) -> bool:
        if late and self._is_idle and (left := unsent(self.transport)) < self._unread:
            self._unread = left
            self.places.wait(self, IDLE_S)
            return False
        if late and not self._is_idle and not self._is_refused:
            self.refuse(408, _("The request did not come to its end in time."))
            return True
        self.transport.abortConnection()
        return False

    def leave(self) -> None:
        """Give the connection to the WebSocket that it becomes."""
        self.places.leave(self)
        self._reader.stop()

    def refuse(self, status: int, sentence: str) -> None:
        """Answer a request that is not complete, and take no more of it."""
        self._is_refused = True
        self._reader.forget()
        self.places.wait(self, LINGER_S)  # The first to go, if places are short meanwhile.
        body = sentence.encode() + b"\n"
        self.transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (status, RESPONSES.get(status, b""), len(body), body)
        )
        self._networkProducer.unregisterProducer()
        self.transport.loseWriteConnection()
        reactor.callLater(LINGER_S, self.transport.abortConnection)

    def _count_missing(self) -> int:
        decoder = self._transferDecoder
        if decoder is None or getattr(decoder, "state", "BODY") != "BODY":
            return 0
        # Of the whole body, or of a chunk.
        return getattr(decoder, "contentLength", None) or getattr(decoder, "length", None) or 0


class _Hold:
    """What a channel takes for its transport: pauses and resumes the reader before it."""

    def __init__(self, reader: Reader, transport: Any) -> None:
        self._reader = reader
        self._is_held = False
        self.unregisterProducer = transport.unregisterProducer

    def pauseProducing(self) -> None:
        if not self._is_held:
            self._is_held = True
            self._reader.pauseProducing()

    def resumeProducing(self) -> None:
        if self._is_held:
            self._is_held = False
            self._reader.resumeProducing()


class Request(WebRequest):
    """One request. Its body is measured while it comes, before anything of it is kept."""

    _body: Body | None = None
    # What had gone out when it changed last, and when that was.
    _went_out: tuple[int, int] | None = None
    _went_out_at = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Twisted would read a form's fields, on the event loop, for nobody.
        super().__init__(*args, **kwargs, parsePOSTFormSubmission=False)

    def gotLength(self, length: int | None) -> None:
        self._body = self.channel.bodies.begin()
        if refusal := self._body.expect(length):
            # No "100 Continue" after it.
            self.requestHeaders.removeHeader(b"Expect")
            self.content = BytesIO()
            self.channel.refuse(*refusal)
        else:
            self._keep(super().gotLength, length)

    def handleContentChunk(self, data: bytes) -> None:
        if self._body is None or self._body.is_refused:
            return
        if refusal := self._body.take(len(data)):
            self.channel.refuse(*refusal)
        else:
            self._keep(super().handleContentChunk, data)

    def _keep(self, keep: Callable[[Any], None], what: Any) -> None:
        """Have a body kept, a large one in a file, for which there may be no descriptor or disk."""
        try:
            keep(what)
        except OSError as error:
            self._release()
            self._body = None
            self.content = BytesIO()
            sentence = _("the server cannot do this now: %(short_of)s; try again in a moment")
            self.channel.refuse(503, sentence % {"short_of": _(shortage(error))})

    def process(self) -> Any:
        upgrade = self.requestHeaders.getRawHeaders(b"Upgrade") or [b""]
        if upgrade[0].lower() == b"websocket":
            if not self.channel.places.has_room_for_socket():
                sentence = _("There are too many connections; please try again in a moment.")
                self.basic_error(503, b"Service Unavailable", sentence)
                return None
            self.channel.leave()
        return super().process()

    def check_timeouts(self) -> None:
        """Give up an answer that does not begin in time, as daphne does, or of which nothing has
        gone out for as long. Daphne ends each after that time, in its middle, and so that a client
        may take it for whole."""
        if not self._response_started:
            super().check_timeouts()
            return
        now, went_out = time.monotonic(), (self.sentLength, unsent(self.transport))
        if went_out != self._went_out:
            self._went_out, self._went_out_at = went_out, now
        elif self.server.http_timeout and now - self._went_out_at > self.server.http_timeout:
            logger.warning("an answer is cut off: nothing of it goes out")
            self.transport.abortConnection()

    def finish(self) -> None:
        self._release()
        super().finish()

    def connectionLost(self, reason: Any) -> None:
        self._release()
        super().connectionLost(reason)

    def _release(self) -> None:
        if self._body is not None:
            self._body.release()
