import asyncio
import contextvars
import errno
import os
import threading

import pytest

from streaming.sessions.calls import Calls

language = contextvars.ContextVar("language", default="none")


@pytest.fixture
async def calls():
    calls = Calls()
    yield calls
    calls.close()


async def heard(seen, count):
    async with asyncio.timeout(10):
        while len(seen) < count:
            await asyncio.sleep(0)


def in_threads(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def test_calls_are_made_on_the_loop_in_the_order_of_each_thread(calls):
    seen, here = [], threading.get_ident()

    def call(name):
        for number in range(500):
            calls.soon(lambda at: seen.append((*at, threading.get_ident())), (name, number))

    await asyncio.to_thread(in_threads, *[lambda name=name: call(name) for name in "abc"])
    await heard(seen, 1500)
    assert {thread for *_, thread in seen} == {here}
    for name in "abc":
        assert [number for one, number, _ in seen if one == name] == list(range(500))


async def test_what_comes_while_the_loop_is_busy_costs_one_wake_up(calls, monkeypatch):
    seen, rung = [], []
    bell = calls._bell

    class Counting:
        def write(self, data):
            rung.append(data)
            return bell.write(data)

        def read(self, size):
            return bell.read(size)

    monkeypatch.setattr(calls, "_bell", Counting())
    # The loop waits here, and hears nothing meanwhile.
    in_threads(*[lambda: [calls.soon(seen.append, 1) for _ in range(10)]] * 3)
    assert seen == []
    await heard(seen, 30)
    assert len(rung) == 1
    calls.soon(seen.append, 2)
    await heard(seen, 31)
    assert len(rung) == 2
    monkeypatch.undo()


async def test_none_is_lost_that_comes_while_the_loop_wakes_up(calls, monkeypatch):
    seen = []
    bell = calls._bell

    class Slow:
        write = bell.write

        def read(self, size):
            # What another thread does just then.
            in_threads(lambda: calls.soon(seen.append, "meanwhile"))
            return bell.read(size)

    calls.soon(seen.append, "first")
    monkeypatch.setattr(calls, "_bell", Slow())
    await heard(seen, 2)
    monkeypatch.undo()
    calls.soon(seen.append, "later")
    await heard(seen, 3)


async def test_a_call_that_fails_holds_no_other_up(calls, caplog):
    seen = []
    calls.soon(lambda: 1 / 0)
    calls.soon(seen.append, 1)
    await heard(seen, 1)
    assert "could not do what a thread has asked for" in caplog.text


async def test_what_a_call_asks_for_comes_after_other_things_of_the_loop(calls):
    seen = []

    def again(number):
        seen.append(number)
        if number < 3:
            calls.soon(again, number + 1)

    calls.soon(again, 0)
    asyncio.get_running_loop().call_soon(
        lambda: asyncio.get_running_loop().call_soon(seen.append, "another")
    )
    await heard(seen, 5)
    assert seen.index("another") < 4


async def test_a_call_is_in_nobodys_language():
    language.set("de")
    calls, seen = Calls(), []
    calls.soon(lambda: seen.append(language.get()))
    await heard(seen, 1)
    calls.close()
    assert seen == ["none"]


async def test_what_has_come_is_done_at_the_end_and_what_comes_later_is_too():
    before = len(os.listdir("/proc/self/fd"))
    calls, seen = Calls(), []
    calls.soon(seen.append, 1)
    calls.close()
    calls.close()
    assert seen == [1]
    assert len(os.listdir("/proc/self/fd")) == before
    calls.soon(seen.append, 2)
    await heard(seen, 2)


async def test_goes_on_without_a_descriptor(monkeypatch):
    def none_left(*args):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "eventfd", none_left)
    calls, seen = Calls(), []
    calls.soon(seen.append, 1)
    await heard(seen, 1)
    calls.close()


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_thread_that_outlives_the_loop_comes_to_no_harm(is_closed):
    seen = []

    async def live():
        calls = Calls()
        calls.soon(seen.append, 1)
        await heard(seen, 1)
        if is_closed:
            calls.close()
        return calls

    calls = asyncio.run(live())
    calls.soon(seen.append, "too late")
    calls.close()
    calls.soon(seen.append, "too late")
    assert seen == [1]
