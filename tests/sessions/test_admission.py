"""Places and the queue, without any session that really runs."""

from dataclasses import dataclass, field
from itertools import count

import pytest

from streaming.engine.errors import TooManySessions
from streaming.engine.simulations import Engine
from streaming.identity import Identity
from streaming.sessions.admission import Admission

numbers = count()
ADA, BOB = Identity(user_id=1), Identity(user_id=2)


@dataclass
class Live:
    owner: Identity = ADA
    engine: Engine = Engine.THREAD
    id: str = field(default_factory=lambda: f"s{next(numbers)}")


@pytest.fixture
def admission(settings):
    settings.LIVESTEP = {
        "MAX_THREAD_SESSIONS": 2,
        "MAX_PROCESS_SESSIONS": 1,
        "MAX_SESSIONS_PER_OWNER": 4,
        "MAX_QUEUED": 3,
    }
    return Admission()


def let_in(admission, *lives):
    """Let sessions in one after the other, and return those that got places."""
    got = []
    for live in lives:
        admission.check(live.owner, live.engine)
        admission.join(live)
        while admitted := admission.admit():
            got.append(admitted)
    return got


STRANGERS = [Identity(address="192.0.2.1") for _ in range(6)]


def test_strangers_of_one_address_are_one_owner(admission):
    let_in(admission, *map(Live, STRANGERS[:4]))
    with pytest.raises(TooManySessions, match="you have 4 sessions"):
        admission.check(STRANGERS[4], Engine.THREAD)
    admission.check(Identity(address="192.0.2.2"), Engine.THREAD)
    admission.check(Identity(browser="b", address=None), Engine.THREAD)


def test_strangers_of_one_address_wait_behind_somebody_without_a_place(admission):
    let_in(admission, *map(Live, STRANGERS[:3]))
    ada = Live(ADA)
    admission.join(ada)
    assert admission.positions()[ada.id] == 1
    assert admission.wanting() == [ada]


def test_those_of_whom_nothing_is_known_are_an_owner_each(admission):
    let_in(admission, *[Live(Identity()) for _ in range(5)])


def test_who_has_a_place_displaces_nobody(admission):
    let_in(admission, Live(ADA), Live(BOB), Live(ADA))
    assert admission.wanting() == []


def test_places_of_threads_and_of_processes_are_apart(admission):
    threads = [Live(), Live(), Live()]
    process = Live(engine=Engine.PROCESS)
    assert let_in(admission, *threads, process) == [*threads[:2], process]
    assert admission.positions() == {threads[2].id: 1}


def test_a_place_that_is_left_goes_to_whoever_waits(admission):
    lives = [Live(), Live(), Live()]
    let_in(admission, *lives)
    admission.leave(lives[0])
    assert admission.admit() is lives[2]
    assert admission.admit() is None
    assert admission.positions() == {}


def test_one_that_waits_can_leave(admission):
    lives = [Live(), Live(), Live(), Live()]
    let_in(admission, *lives)
    admission.leave(lives[2])
    admission.leave(lives[2])
    assert admission.positions() == {lives[3].id: 1}


def test_places_go_to_the_owner_who_has_fewest(admission):
    """Ada was first with everything; Bob does not wait for all of hers."""
    adas = [Live(), Live(), Live(), Live()]
    bobs = Live(BOB)
    let_in(admission, *adas, bobs)
    assert admission.positions() == {bobs.id: 1, adas[2].id: 2, adas[3].id: 3}
    admission.leave(adas[0])
    assert admission.admit() is bobs


def test_clients_that_cannot_be_recognised_are_an_owner_each(admission):
    strangers = [Live(Identity()) for _ in range(4)]
    assert let_in(admission, *strangers) == strangers[:2]
    assert list(admission.positions()) == [strangers[2].id, strangers[3].id]


def test_an_owner_has_so_many_and_no_more(admission):
    let_in(admission, *(Live() for _ in range(4)))
    with pytest.raises(TooManySessions, match="4 sessions, 2 of them waiting"):
        admission.check(ADA, Engine.PROCESS)
    admission.check(BOB, Engine.THREAD)


def test_the_queue_is_bounded(admission):
    let_in(admission, *(Live(Identity()) for _ in range(5)))
    with pytest.raises(TooManySessions, match="3 more wait, the most allowed"):
        admission.check(Identity(), Engine.THREAD)
    # Whoever need not wait is not turned away for the sake of those who do.
    admission.check(Identity(), Engine.PROCESS)


def test_those_that_are_on_their_way_to_the_queue_count(admission):
    """Of many that come together, no more are let in than of many that come one by one."""
    let_in(admission, Live(Identity(user_id=8)), Live(Identity(user_id=9)))
    for user in range(3):
        live = Live(Identity(user_id=user))
        admission.check(live.owner, live.engine)
        admission.reserve(live)
    with pytest.raises(TooManySessions, match="3 more wait, the most allowed"):
        admission.check(Identity(user_id=3), Engine.THREAD)


def test_the_queue_of_one_engine_counts_for_the_other(admission):
    users = (Identity(user_id=number) for number in count(10))
    let_in(admission, *(Live(next(users), Engine.PROCESS) for _ in range(4)))
    let_in(admission, *(Live(next(users)) for _ in range(2)))
    with pytest.raises(TooManySessions, match="3 more wait"):
        admission.check(next(users), Engine.THREAD)
