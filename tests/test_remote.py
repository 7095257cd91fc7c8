"""Sessions of other processes, as this one's viewers have them."""

import asyncio
import json

from streaming import remote
from streaming.control import Caller
from streaming.delivery.protocol import Encoding
from streaming.delivery.window import Window
from streaming.remote import Remotes, RemoteSession
from streaming.stored import StoredSession

MESSAGE = {
    "type": "session", "session": "b-one", "epoch": 1, "state": "running", "seq": 3, "viewers": 0
}  # fmt: skip


async def test_two_who_ask_at_once_for_a_silent_process_s_session_share_it(monkeypatch):
    """Of two of them, only the one that is looked after would hear how it has ended."""
    both_ask = asyncio.Barrier(2)

    async def read_stored(session_id):
        await both_ask.wait()
        return StoredSession(MESSAGE, None)

    monkeypatch.setattr(remote, "read_stored", read_stored)
    remotes = Remotes()

    async def attend():
        found, _ = await remotes.find("b-one", Caller())
        found.attach(Window(lambda: None), Encoding.IDENTITY)
        remotes.keep(found)
        return found

    try:
        async with asyncio.timeout(5):
            one, other = await asyncio.gather(attend(), attend())
        assert one is other
        assert one.viewers == 2
    finally:
        remotes.close()


def test_a_lost_session_s_process_may_come_back(monkeypatch):
    """Nothing more is expected of it then, and nobody is told that the line is cut."""
    heard = []
    monkeypatch.setattr(remote.cluster, "hears", lambda process: bool(heard))
    found = RemoteSession("b-one", MESSAGE)
    window = Window(lambda: None)
    found.attach(window, Encoding.IDENTITY)
    assert found.look(10.0), "it should ask the database about a process that is silent"
    lost = {**MESSAGE, "state": "lost", "epoch": 2}
    found.adopt(StoredSession(lost, None))
    heard.append("b")
    assert not found.look(20.0)
    said = [json.loads(window.take(0.0)) for _ in range(3)]
    assert [message.get("state", message["type"]) for message in said] == [
        "running", "notice", "lost",
    ]  # fmt: skip
