"""Whose turn it is to send: at once while there is room in the round, else in their order."""

import asyncio

import pytest

from streaming.web.turns import BYTES_PER_ROUND, SENDS_PER_ROUND, Turns


@pytest.fixture
def turns():
    return Turns()


def ask(turns, count, size=1000):
    """Have so many viewers ask at once; returns their events, in this order."""
    events = [asyncio.Event() for _ in range(count)]
    for event in events:
        turns.take(event.set, size)
    return events


async def rounds(events):
    """Return how many may send after each round of the loop, until all may."""
    may_send = [sum(event.is_set() for event in events)]
    while may_send[-1] < len(events):
        await asyncio.sleep(0)
        may_send.append(sum(event.is_set() for event in events))
        assert len(may_send) < 100
    return may_send


async def test_a_round_has_so_many_sends_and_no_more(turns):
    events = ask(turns, 3 * SENDS_PER_ROUND + 1)
    expected = [SENDS_PER_ROUND * number for number in (1, 2, 3)]
    assert await rounds(events) == [*expected, 3 * SENDS_PER_ROUND + 1]


async def test_a_round_has_so_many_bytes_and_no_more(turns):
    assert await rounds(ask(turns, 6, BYTES_PER_ROUND // 2)) == [2, 4, 6]


async def test_the_loop_is_asked_for_another_round_only_after_so_many(turns, monkeypatch):
    """A round for each frame would be a wake-up of the loop for each."""
    asked = []
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "call_soon", lambda *call: asked.append(call))
        for number in range(1, SENDS_PER_ROUND + 1):
            ask(turns, 1)
            assert len(asked) == (number == SENDS_PER_ROUND)


async def test_who_asks_while_others_wait_brings_no_round_of_its_own(turns):
    """Rounds that each ask for the next would become more and more, all in one turn of the loop."""
    asked, turns_of_the_loop = [], 20
    for _ in range(turns_of_the_loop):
        asked += ask(turns, SENDS_PER_ROUND + 8)
        await asyncio.sleep(0)
    assert sum(event.is_set() for event in asked) <= SENDS_PER_ROUND * (turns_of_the_loop + 1)


async def test_what_is_larger_than_a_round_has_one_for_itself(turns):
    assert await rounds(ask(turns, 3, 3 * BYTES_PER_ROUND)) == [1, 2, 3]


async def test_those_that_wait_have_their_turn_in_the_order_in_which_they_asked(turns):
    events = ask(turns, 3 * SENDS_PER_ROUND)
    for event in reversed(events[SENDS_PER_ROUND:]):
        turns.take(event.set, 1000)  # Again, which changes no place.
    await asyncio.sleep(0)
    places = [event.is_set() for event in events]
    assert places == [True] * 2 * SENDS_PER_ROUND + [False] * SENDS_PER_ROUND


async def test_after_a_quiet_round_it_is_at_once_again(turns):
    await rounds(ask(turns, SENDS_PER_ROUND + 1))
    await asyncio.sleep(0)
    assert await rounds(ask(turns, SENDS_PER_ROUND)) == [SENDS_PER_ROUND]


def test_another_loop_owes_nothing_to_the_one_before(turns):
    """Whose rounds have ended with it, in the middle of one."""
    loop = asyncio.new_event_loop()
    loop.call_soon(ask, turns, SENDS_PER_ROUND + 1)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()

    async def go_on():
        assert await rounds(ask(turns, SENDS_PER_ROUND)) == [SENDS_PER_ROUND]

    asyncio.run(go_on())
