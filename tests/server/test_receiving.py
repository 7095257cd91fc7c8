"""What comes in over a WebSocket; tests/live/test_server.py has real ones."""

import asyncio
import time

import pytest

from streaming.server.receiving import (
    MAX_UNREAD_BYTES,
    MAX_UNREAD_MESSAGES,
    SLICE_BYTES,
    TURN_S,
    Inbox,
    Reader,
    Turns,
    sole_text,
)


class Transport:
    def __init__(self):
        self.calls = []

    def pauseProducing(self):
        self.calls.append("pause")

    def resumeProducing(self):
        self.calls.append("resume")

    def abortConnection(self):
        self.calls.append("abort")


class Parser:
    """Takes what a reader gives, and some time for it."""

    def __init__(self, turns, seconds=0.0):
        self.transport = Transport()
        self.pieces, self.seconds, self.missing = [], seconds, 0
        self.reader = Reader(self.transport, turns, self.parse, lambda: self.missing)

    def parse(self, piece):
        self.pieces.append(piece)
        time.sleep(self.seconds)


async def no_more(parser, size):
    """Wait until a parser has had so many bytes."""
    async with asyncio.timeout(10):
        while sum(map(len, parser.pieces)) < size:
            await asyncio.sleep(0)


class TestReader:
    def test_parses_a_short_piece_at_once(self):
        parser = Parser(Turns())
        parser.reader.take(b"x" * SLICE_BYTES)
        assert parser.pieces == [b"x" * SLICE_BYTES]
        assert parser.transport.calls == []

    async def test_parses_a_long_one_in_slices_and_reads_nothing_meanwhile(self):
        parser = Parser(Turns())
        data = bytes(range(250)) * 10
        parser.reader.take(data)
        assert parser.pieces == []
        assert parser.transport.calls == ["pause"]
        await no_more(parser, len(data))
        assert b"".join(parser.pieces) == data
        assert max(map(len, parser.pieces)) == SLICE_BYTES
        assert parser.transport.calls == ["pause", "resume"]

    async def test_what_a_frame_lacks_is_one_slice(self):
        parser = Parser(Turns())
        parser.missing = 50_000
        parser.reader.take(bytes(64_000))
        await no_more(parser, 64_000)
        assert list(map(len, parser.pieces)) == [50_000, 14_000]

    async def test_parses_nothing_while_somebody_can_take_no_more(self):
        parser = Parser(Turns())
        parser.reader.pauseProducing()
        parser.reader.take(b"held")
        await asyncio.sleep(0)
        assert parser.pieces == []
        parser.reader.resumeProducing()
        await no_more(parser, 4)
        assert parser.transport.calls[-1] == "resume"

    async def test_a_pause_in_the_middle_of_a_piece_holds_the_rest(self):
        parser = Parser(Turns())
        parser.parse = None
        reader = Reader(parser.transport, Turns(), self.pause_at_once, lambda: 0)
        self.reader, self.seen = reader, []
        reader.take(bytes(5 * SLICE_BYTES))
        for expected in range(1, 6):
            async with asyncio.timeout(10):
                while len(self.seen) < expected:
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(self.seen) == expected
            reader.resumeProducing()
        assert parser.transport.calls == ["pause", "resume"]

    def pause_at_once(self, piece):
        self.seen.append(piece)
        self.reader.pauseProducing()

    async def test_once_stopped_it_reads_nothing_ever(self):
        parser = Parser(Turns())
        parser.reader.take(bytes(10 * SLICE_BYTES))
        parser.reader.stop()
        parser.reader.take(b"more")
        await asyncio.sleep(0)
        assert parser.pieces == []
        assert parser.transport.calls == ["pause"]

    async def test_a_parser_that_fails_costs_its_own_connection_only(self):
        turns = Turns()
        bad, good = Parser(turns), Parser(turns)

        def fail(piece):
            raise ZeroDivisionError

        bad.reader = Reader(bad.transport, turns, fail, lambda: 0)
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        for parser in (bad, good):
            parser.reader.take(bytes(2 * SLICE_BYTES))
        await no_more(good, 2 * SLICE_BYTES)
        assert "abort" in bad.transport.calls
        assert isinstance(complaints[0]["exception"], ZeroDivisionError)


class TestTurns:
    @pytest.mark.parametrize("number", [1, 20])
    async def test_leave_the_loop_between_them_however_much_is_there(self, number):
        """Each slice takes 1 ms here: what else the loop has to do waits for two or three."""
        turns = Turns()
        parsers = [Parser(turns, seconds=0.001) for _ in range(number)]
        for parser in parsers:
            parser.reader.take(bytes(60 * SLICE_BYTES // number))
        rounds = 0
        while any(sum(map(len, parser.pieces)) < 60 * SLICE_BYTES // number for parser in parsers):
            await asyncio.sleep(0)
            rounds += 1
        assert rounds >= 60 / (TURN_S / 0.001 + 1)

    async def test_are_for_all_in_their_order(self):
        turns = Turns()
        greedy, modest = Parser(turns, seconds=TURN_S), Parser(turns)
        greedy.reader.take(bytes(100 * SLICE_BYTES))
        modest.reader.take(bytes(2 * SLICE_BYTES))
        await no_more(modest, 2 * SLICE_BYTES)
        assert len(greedy.pieces) <= 3


class TestInbox:
    async def test_reading_pauses_while_it_is_full_of_messages(self):
        transport = Transport()
        inbox = Inbox(transport)
        for _ in range(MAX_UNREAD_MESSAGES + 5):
            inbox.put_nowait({"type": "websocket.receive", "text": "x"})
        assert transport.calls == ["pause"]
        for _ in range(5):
            await inbox.get()
        assert transport.calls == ["pause"]
        await inbox.get()
        assert transport.calls == ["pause", "resume"]

    async def test_and_while_it_is_full_of_bytes(self):
        transport = Transport()
        inbox = Inbox(transport)
        inbox.put_nowait({"type": "websocket.receive", "bytes": bytes(MAX_UNREAD_BYTES - 1)})
        assert transport.calls == []
        inbox.put_nowait({"type": "websocket.receive", "text": "x"})
        assert transport.calls == ["pause"]
        await inbox.get()
        assert transport.calls == ["pause", "resume"]

    async def test_what_is_no_message_counts_too(self):
        inbox = Inbox(Transport())
        inbox.put_nowait({"type": "websocket.connect"})
        assert await inbox.get() == {"type": "websocket.connect"}


def masked(payload, *, head=0x81, key=b"\x01\xfe\x37\x80", length=None):
    """Return a short WebSocket frame as a client sends it."""
    body = bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))
    return bytes([head, 0x80 | (len(payload) if length is None else length)]) + key + body


class TestSoleText:
    @pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 25, 125])
    def test_is_the_text_of_one_short_frame(self, size):
        text = ("{" + "abcdefg" * 20)[:size]
        assert sole_text(masked(text.encode())) == text

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            masked(b"ack")[:-1],
            masked(b"ack") + b"\x81",
            masked(b"ack") * 2,
            masked(b""),
            masked(b"ack", head=0x01),
            masked(b"ack", head=0x82),
            masked(b"ack", head=0x89),
            masked(b"ack", head=0xC1),
            masked(b"a" * 126, length=126),
            bytes([0x81, 3]) + b"ackackack",
            masked("ü".encode()),
            masked(b"\xff\xff"),
        ],
        ids=[
            "nothing", "half", "more", "two", "empty", "fragment", "binary", "ping", "compressed",
            "long", "unmasked", "not ASCII", "not UTF-8",
        ],
    )  # fmt: skip
    def test_is_nothing_else(self, data):
        assert sole_text(data) is None
