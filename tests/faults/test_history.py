"""Each check of a history finds what it is there for, and nothing in a good one."""

import pytest

from tests.faults import history as checks
from tests.faults.history import Seen


def seen(what, client="one", attendance=1, session="a-1", epoch=1, **fields):
    return Seen(0.0, client, attendance, "a", session, what, epoch=epoch, **fields)


def frame(seq, **fields):
    return seen("frame", seq=seq, **{"mark": "label mark", **fields})


def state(state, seq=3, **fields):
    return seen("session", state=state, seq=seq, **fields)


GOOD = [
    state("running", 0),
    frame(1),
    frame(3),
    # Over another process, which had an older one.
    state("running", attendance=2),
    frame(2, attendance=2),
    frame(3, attendance=2),
    frame(3, final=True, attendance=2),
    state("stopping", attendance=2),
    state("stopped", attendance=2),
    state("running", client="two", session="b-1"),
    frame(7, client="two", session="b-1", mark="another mark"),
    state("lost", client="two", session="b-1", epoch=2),
]
ATTENDING = {"one": "a-1", "two": "b-1"}


def sentences(offences):
    return [offence.sentence for offence in offences]


@pytest.mark.parametrize("check", checks.CHECKS)
def test_a_good_history_has_no_offence(check):
    assert not list(check(GOOD))
    assert not list(check([]))


def test_the_end_of_a_good_history_has_no_offence():
    assert not list(checks.last_frames_that_are_not_final(GOOD, ATTENDING))
    assert not list(checks.beginnings_of_one_session(["one a 1", "two b 1"]))


@pytest.mark.parametrize(
    ("check", "bad", "sentence"),
    [
        (checks.frames_that_go_back, [frame(2), frame(1)], "seq has gone back"),
        (checks.frames_that_go_back, [frame(2), frame(1, final=True)], "seq has gone back"),
        (
            checks.frames_after_the_final_one,
            [frame(2, final=True), frame(3)],
            "a frame has followed the final one",
        ),
        (
            checks.frames_after_the_final_one,
            [frame(2, final=True), frame(2, final=True)],
            "a frame has followed the final one",
        ),
        (
            checks.frames_of_a_lost_session,
            [frame(2), state("lost", epoch=2), frame(3), frame(4, epoch=2)],
            "a frame has followed the session's loss",
        ),
        (
            checks.ends_that_are_taken_back,
            [state("stopped"), state("running")],
            "a session that had ended goes on",
        ),
        (
            checks.ends_that_are_taken_back,
            [state("lost", epoch=2), state("stopped", epoch=1)],
            "an epoch has returned",
        ),
        (
            checks.ends_that_differ,
            [state("stopped"), state("lost", epoch=2, client="two")],
            "clients differ in how a-1 has ended",
        ),
        (
            checks.workers_of_one_session,
            [frame(2), frame(3, client="two", mark="label another")],
            "a-1 has had 2 workers",
        ),
        (
            checks.sessions_that_are_forgotten,
            [state("running"), seen("unknown")],
            "a-1 is forgotten",
        ),
    ],
)
def test_an_offence_is_found(check, bad, sentence):
    offence = next(iter(check(bad)), None)
    assert offence is not None
    assert offence.sentence == sentence
    assert bad[-1] in offence.shown_by
    assert str(bad[-1]) in str(offence)


@pytest.mark.parametrize(
    ("ending", "sentence"),
    [
        ([], "one has heard nothing of a-1"),
        ([frame(3, final=True)], "one has not heard of the end of a-1"),
        ([frame(3), state("running")], "one has not heard of the end of a-1"),
        ([frame(3), state("stopped")], "one is not shown the final frame of a-1"),
        ([state("stopped")], "one is not shown the final frame of a-1"),
        # What was seen over an earlier connection is not what is shown now.
        (
            [frame(3, final=True), state("stopped"), state("stopped", attendance=2)],
            "one is not shown the final frame of a-1",
        ),
    ],
)
def test_a_client_that_is_not_shown_the_end_is_found(ending, sentence):
    found = checks.last_frames_that_are_not_final(ending, {"one": "a-1"})
    assert sentences(found) == [sentence]


def test_a_frame_that_was_under_way_may_follow_the_loss():
    late = [frame(2), state("lost", epoch=2), frame(3)]
    assert not list(checks.frames_of_a_lost_session(late))


def test_a_session_without_frames_and_a_lost_one_have_no_final_frame():
    for ending in ([state("stopped", 0)], [frame(3), state("lost", epoch=2)]):
        assert not list(checks.last_frames_that_are_not_final(ending, {"one": "a-1"}))


def test_two_final_frames_of_one_session_are_found():
    ending = [
        *(frame(seq, final=True, client=client) for client, seq in (("one", 3), ("two", 4))),
        *(state("stopped", client=client) for client in ("one", "two")),
    ]
    found = checks.last_frames_that_are_not_final(ending, {"one": "a-1", "two": "a-1"})
    assert sentences(found) == ["clients differ in the final frame of a-1: [3, 4]"]


def test_a_label_that_has_begun_twice_is_found():
    found = checks.beginnings_of_one_session(["one a 1", "two b 2", "one c 3"])
    assert sentences(found) == ["one has begun 2 times: ['one a 1', 'one c 3']"]


def test_another_end_in_the_database_is_found():
    for rows in ({"a-1": ["running", 1]}, {"a-1": ["lost", 2]}, {}):
        found = checks.ends_that_the_database_has_otherwise(GOOD, {"one": "a-1"}, rows)
        assert sentences(found) == [f"the database has a-1 as {rows.get('a-1')}"]
    rows = {"a-1": ["stopped", 1], "b-1": ["lost", 2]}
    assert not list(checks.ends_that_the_database_has_otherwise(GOOD, ATTENDING, rows))
