"""Requests that follow each other over one connection."""

import asyncio
import errno
import re
from types import SimpleNamespace

import pytest
from daphne.http_protocol import WebRequest
from twisted.internet.testing import StringTransport
from twisted.web import http

from streaming.server import requests as module
from streaming.server.places import Places
from streaming.server.receiving import SLICE_BYTES, Turns
from streaming.server.requests import Channel
from streaming.server.uploads import Bodies


class Request(http.Request):
    """One that is answered when the test says so."""

    def process(self):
        self.channel.seen.append(self)


@pytest.fixture
async def channel():
    channel = Channel(Places(10), Bodies(1000), Turns())
    channel.requestFactory, channel.timeOut, channel.seen = Request, None, []
    channel.makeConnection(StringTransport())
    return channel


def header(path, size):
    begun = b"GET %b HTTP/1.1\r\nHost: localhost\r\nX-Long: " % path
    return begun + b"x" * (size - len(begun) - 4) + b"\r\n\r\n"


async def arrived(channel, count):
    async with asyncio.timeout(5):
        while len(channel.seen) < count:
            await asyncio.sleep(0)


def answered(channel):
    """What the client was told of each request."""
    return re.findall(rb"HTTP/1.1 (\d+)", channel.transport.value())


@pytest.mark.parametrize("parsed", [1, 2])
async def test_the_next_may_arrive_while_one_is_being_answered(channel, parsed):
    """Its first slices are kept by the channel, and the rest of it by the reader."""
    channel.dataReceived(header(b"/1", 100))
    await arrived(channel, 1)
    channel.dataReceived(header(b"/2", 2 * SLICE_BYTES + 200))
    # So many of its three slices are parsed before the answer to the first is complete.
    for _ in range(parsed):
        channel._reader.parse_slice()
    channel.seen[0].finish()
    await arrived(channel, 2)
    channel.seen[1].finish()
    assert [one.uri for one in channel.seen] == [b"/1", b"/2"]
    assert answered(channel) == [b"200", b"200"]


async def test_several_may_arrive_at_once(channel):
    channel.dataReceived(b"".join(header(b"/%d" % number, 700) for number in range(5)))
    for number in range(5):
        await arrived(channel, number + 1)
        channel.seen[number].finish()
    assert [one.uri for one in channel.seen] == [b"/%d" % number for number in range(5)]
    assert answered(channel) == 5 * [b"200"]


@pytest.mark.parametrize(
    ("method", "given"), [("gotLength", 200_000), ("handleContentChunk", b"x")]
)
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSPC, errno.EFBIG])
def test_a_body_that_cannot_be_kept_is_refused_with_a_sentence(monkeypatch, method, given, number):
    def fail(self, what):
        raise OSError(number, "there is none")

    monkeypatch.setattr(WebRequest, method, fail)
    refused = []
    released = []
    body = SimpleNamespace(
        is_refused=False,
        expect=lambda size: None,
        take=lambda size: None,
        release=lambda: released.append(True),
    )
    bodies = SimpleNamespace(begin=lambda: body)
    request = object.__new__(module.Request)
    request._body = body
    request.channel = SimpleNamespace(bodies=bodies, refuse=lambda *said: refused.append(said))
    getattr(request, method)(given)
    ((status, sentence),) = refused
    assert status == 503
    assert released == [True]
    assert sentence.startswith("the server cannot do this now: ")
    # And what still comes of it is not kept.
    request.handleContentChunk(b"more")
    assert len(refused) == 1


class Line(StringTransport):
    """A transport whose client reads when the test says so."""

    dataBuffer, offset, _tempDataLen = b"", 0, 0

    def write(self, data):
        super().write(data)
        self._tempDataLen += len(data)

    def read(self, count):
        self.offset += count


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
async def answering(clock):
    """A channel over which a request is being answered, which is its `request`."""
    server = SimpleNamespace(
        http_timeout=60,
        proxy_forwarded_address_header=None,
        root_path="",
        server_name="",
        request_buffer_size=8192,
        protocol_connected=lambda protocol: None,
        protocol_disconnected=lambda protocol: None,
        create_application=lambda protocol, scope: asyncio.Queue(),
        log_action=lambda *args: None,
    )
    channel = Channel(Places(10, clock.monotonic), Bodies(1000), Turns())
    channel.factory = SimpleNamespace(server=server, log=lambda request: None)
    channel.requestFactory = module.Request
    channel.makeConnection(Line())

    async def answer(header=b"", *parts, is_complete):
        channel.dataReceived(b"GET / HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % header)
        async with asyncio.timeout(5):
            while not channel.requests:
                await asyncio.sleep(0)
        channel.request = channel.requests[0]
        length = (b"Content-Length", b"200000")
        channel.request.handle_reply(
            {"type": "http.response.start", "status": 200, "headers": [length]}
        )
        body = bytes(200_000 if is_complete else 100_000)
        channel.request.handle_reply(
            {"type": "http.response.body", "body": body, "more_body": not is_complete}
        )
        return channel

    return answer


class TestAnAnswerThatIsReadSlowly:
    async def test_goes_on_for_as_long_as_it_is_read(self, answering, clock):
        channel = await answering(is_complete=False)
        for _ in range(20):
            clock.now += 50
            channel.transport.read(1000)
            channel.request.check_timeouts()
        assert not channel.transport.disconnected

    async def test_is_cut_where_nothing_of_it_is_read_and_not_as_if_it_were_whole(
        self, answering, clock
    ):
        channel = await answering(is_complete=False)
        channel.request.check_timeouts()
        clock.now += 61
        channel.request.check_timeouts()
        assert channel.transport.disconnected
        assert not channel.request.finished

    @pytest.mark.parametrize("header", [b"", b"Connection: close\r\n"])
    async def test_may_be_read_for_long_though_the_server_has_written_all(
        self, answering, clock, header
    ):
        channel = await answering(header, is_complete=True)
        for _ in range(5):
            clock.now += module.IDLE_S + 1
            channel.transport.read(1000)
            channel.places.give_up_late()
            assert not channel.transport.disconnected
        clock.now += module.IDLE_S + 1
        channel.places.give_up_late()
        assert channel.transport.disconnected
