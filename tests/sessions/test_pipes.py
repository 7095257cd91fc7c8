import asyncio
import contextvars
import errno
import os
import select
import socket
import tempfile
import threading
from itertools import pairwise

import pytest

from streaming.sessions.pipes import MOST_PER_ROUND, Pipes

language = contextvars.ContextVar("language", default="none")


@pytest.fixture
async def pipes():
    pipes = Pipes(asyncio.get_running_loop())
    yield pipes
    pipes.close()


@pytest.fixture
def ends():
    here, there = socket.socketpair()
    here.setblocking(False)
    with here, there:
        yield here, there


async def until(fact):
    async with asyncio.timeout(10):
        while not fact():
            await asyncio.sleep(0)


async def test_a_thread_has_the_loop_look_and_look_no_more(pipes, ends):
    here, there = ends
    seen = []

    def look():
        seen.append((here.recv(10), threading.get_ident()))

    there.send(b"before")
    assert await asyncio.to_thread(pipes.add, here.fileno(), look)
    await until(lambda: seen)
    there.send(b"after")
    await until(lambda: len(seen) == 2)
    assert seen == [(b"before", threading.get_ident()), (b"after", threading.get_ident())]
    await asyncio.to_thread(pipes.remove, here.fileno())
    await asyncio.to_thread(pipes.remove, here.fileno())
    there.send(b"unheard")
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(seen) == 2


async def test_many_that_are_ready_take_turns_with_what_else_there_is(pipes):
    count = 3 * MOST_PER_ROUND
    pairs = [socket.socketpair() for _ in range(count)]
    try:
        looks, rounds = [0] * count, []

        def look_at(number):
            def look():
                looks[number] += 1  # And leaves it there to be read.

            return look

        for number, (here, there) in enumerate(pairs):
            there.send(b"x")
            assert pipes.add(here.fileno(), look_at(number))

        def note_round():
            rounds.append(sum(looks))
            if min(looks) < 2:
                asyncio.get_running_loop().call_soon(note_round)

        note_round()
        await until(lambda: min(looks) >= 2)
        each = [later - before for before, later in pairwise(rounds)]
        assert max(each) <= MOST_PER_ROUND
        assert max(looks) - min(looks) <= 1, "none is passed over"
    finally:
        for pair in pairs:
            for end in pair:
                pipes.remove(end.fileno())
                end.close()


async def test_a_look_is_in_nobodys_language(ends):
    here, there = ends
    language.set("de")
    pipes, seen = Pipes(asyncio.get_running_loop()), []

    def look():
        seen.append(language.get())
        pipes.remove(here.fileno())

    there.send(b"x")
    assert pipes.add(here.fileno(), look)
    await until(lambda: seen)
    pipes.close()
    assert seen == ["none"]


async def test_one_that_is_removed_in_the_same_round_is_not_looked_at(pipes):
    pairs = [socket.socketpair() for _ in range(2)]
    try:
        seen = []

        def look_at(number):
            def look():
                seen.append(number)
                for here, _ in pairs:
                    pipes.remove(here.fileno())

            return look

        for number, (here, there) in enumerate(pairs):
            there.send(b"x")
            assert pipes.add(here.fileno(), look_at(number))
        await until(lambda: seen)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(seen) == 1
    finally:
        for pair in pairs:
            for end in pair:
                end.close()


async def test_closed_it_has_no_descriptor_and_looks_at_nothing(ends):
    here, there = ends
    before = len(os.listdir("/proc/self/fd"))
    pipes, seen = Pipes(asyncio.get_running_loop()), []
    assert pipes.add(here.fileno(), lambda: seen.append(1))
    pipes.close()
    pipes.close()
    assert len(os.listdir("/proc/self/fd")) == before
    there.send(b"x")
    for _ in range(10):
        await asyncio.sleep(0)
    assert seen == []
    assert not pipes.add(here.fileno(), lambda: None)
    pipes.remove(here.fileno())


async def test_says_so_where_there_is_no_descriptor(monkeypatch, ends):
    def none_left(*args):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(select, "epoll", none_left)
    pipes = Pipes(asyncio.get_running_loop())
    assert not pipes.add(ends[0].fileno(), lambda: None)
    pipes.remove(ends[0].fileno())
    pipes.close()


async def test_says_so_of_what_cannot_be_looked_at(pipes):
    with tempfile.TemporaryFile() as file:
        assert not pipes.add(file.fileno(), lambda: None)


def test_a_thread_that_outlives_the_loop_comes_to_no_harm(ends):
    here, _ = ends

    async def live():
        return Pipes(asyncio.get_running_loop())

    pipes = asyncio.run(live())
    pipes.add(here.fileno(), lambda: None)
    pipes.remove(here.fileno())
    pipes.close()
