"""What viewers that come later are told, and what is no longer true by then."""

from streaming.delivery.notices import MAX_NOTICES, PAUSING, SERVER_STOPPING, SLOW_STEP, Notices
from streaming.delivery.protocol import notice_message
from streaming.engine.snapshot import State


def codes(notices):
    return [notice["code"] for notice in notices]


def kept(*wanted):
    notices = Notices()
    notices.note_place(State.RUNNING, 1)
    for code in wanted:
        notices.keep(notice_message(code, "A sentence."))
    return notices


def test_the_newest_of_each_code_is_kept():
    notices = kept("params", SLOW_STEP)
    notices.keep(notice_message("params", "Another."))
    assert [notice["message"] for notice in notices] == ["A sentence.", "Another."]


def test_one_that_speaks_of_a_step_goes_with_it():
    notices = kept(SLOW_STEP, PAUSING, "params")
    notices.note_place(State.RUNNING, 1)
    assert codes(notices) == [SLOW_STEP, PAUSING, "params"]
    notices.note_place(State.RUNNING, 2)
    assert codes(notices) == ["params"]


def test_one_that_speaks_of_a_state_goes_with_it():
    notices = kept(PAUSING)
    notices.note_place(State.PAUSED, 1)
    assert codes(notices) == []


def test_a_session_that_has_ended_need_not_know_that_its_server_stops():
    notices = kept(SERVER_STOPPING)
    notices.note_place(State.STOPPING, 1)
    assert codes(notices) == [SERVER_STOPPING]
    notices.note_place(State.STOPPED, 1)
    assert codes(notices) == []


def test_they_are_bounded_the_oldest_goes_first():
    notices = kept(*(f"code-{number}" for number in range(2 * MAX_NOTICES)))
    assert codes(notices) == [f"code-{number}" for number in range(MAX_NOTICES, 2 * MAX_NOTICES)]
