"""What comes in over a WebSocket; tests/live/test_server.py has real ones."""

from streaming.server.receiving import MAX_UNREAD_BYTES, MAX_UNREAD_MESSAGES, Inbox


class Transport:
    def __init__(self):
        self.calls = []

    def pauseProducing(self):
        self.calls.append("pause")

    def resumeProducing(self):
        self.calls.append("resume")


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
