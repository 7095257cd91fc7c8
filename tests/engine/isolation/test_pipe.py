import socket

import pytest

from streaming.engine.isolation import pipe
from streaming.engine.isolation.pipe import DamagedMessage, Inbox


@pytest.fixture
def ends():
    here, there = socket.socketpair()
    with here, there:
        yield Inbox(here, 1000), there


def test_messages_arrive_with_their_bodies(ends):
    inbox, there = ends
    pipe.send(there, {"kind": "a"}, b"one", b"two")
    pipe.send(there, {"kind": "b"})
    assert list(inbox.read()) == [({"kind": "a"}, b"onetwo"), ({"kind": "b"}, b"")]
    assert list(inbox.read()) == [], "it does not wait"


def test_a_message_in_pieces_is_put_together(ends):
    inbox, there = ends
    content = pipe.HEAD.pack(12, 3) + b'{"kind":"a"}' + b"xyz"
    for byte in content[:-1]:
        there.sendall(bytes([byte]))
        assert list(inbox.read()) == []
    there.sendall(content[-1:])
    assert list(inbox.read()) == [({"kind": "a"}, b"xyz")]


def test_half_a_message_and_the_end(ends):
    inbox, there = ends
    there.sendall(pipe.HEAD.pack(12, 3) + b'{"kind"')
    assert list(inbox.read()) == []
    there.close()
    assert list(inbox.read()) == []
    assert inbox.closed


@pytest.mark.parametrize(
    "content",
    [
        pipe.HEAD.pack(2, 1001),
        pipe.HEAD.pack(2**20, 0),
        pipe.HEAD.pack(4, 0) + b"\xff\xff\xff\xff",
        pipe.HEAD.pack(6, 0) + b"[1, 2]",
    ],
)
def test_what_is_no_message_is_found(ends, content):
    inbox, there = ends
    there.sendall(content)
    with pytest.raises(DamagedMessage):
        list(inbox.read())
