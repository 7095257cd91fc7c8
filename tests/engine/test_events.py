import pytest

from streaming import Pointer
from streaming.engine import board
from streaming.engine.events import MOST_WAITING, Waiting
from streaming.engine.snapshot import State
from tests.engine.running import Run
from tests.samples import simulations


def down(x=0.0):
    return Pointer("down", x, 0.0)


def move(x=0.0):
    return Pointer("move", x, 0.0)


class TestWaiting:
    def test_of_moves_in_a_row_the_last_one_waits(self):
        waiting = Waiting()
        for event in (down(), move(1.0), move(2.0), Pointer("up", 2.0, 0.0), move(3.0)):
            waits = waiting.add(event, taken=0)
        assert [event.kind for _, event in waits] == ["down", "move", "up", "move"]
        assert waits[1][1].x == 2.0

    def test_a_move_that_was_taken_is_not_replaced(self):
        """Or the simulation, which has that number, would never see where the next one went."""
        waiting = Waiting()
        waiting.add(move(1.0), taken=0)
        assert waiting.add(move(2.0), taken=1) == [(2, move(2.0))]

    def test_a_move_that_replaces_another_has_a_number_of_its_own(self):
        waiting = Waiting()
        waiting.add(move(1.0), taken=0)
        assert waiting.add(move(2.0), taken=0) == [(2, move(2.0))]

    def test_only_the_newest_wait(self):
        waiting = Waiting()
        for x in range(1000):
            waits = waiting.add(down(float(x)), taken=0)
        assert len(waits) == MOST_WAITING
        assert waits[-1] == (1000, down(999.0))


class TestSharedBoard:
    def test_has_room_for_as_many_as_may_wait(self, both_sides):
        one, other = both_sides
        longest = [
            (number, Pointer("down", -1 / 3e-8, 1 / 3e-8, "\U0001f600" * 200))
            for number in range(10**9, 10**9 + MOST_WAITING)
        ]
        one.write_events(longest)
        assert other.read_events() == longest

    def test_what_is_just_being_written_waits(self, both_sides):
        one, other = both_sides
        one.write_events([(1, down())])
        assert other.read_events() == [(1, down())]
        one.write_events([(1, down()), (2, move())])
        one._memory[board.EVENTS_AT + 12] ^= 0xFF
        assert other.read_events() == []


@pytest.fixture(params=["thread", "process"])
def run(request, fork_server):
    runs = []

    def run(target, **options):
        server = fork_server if request.param == "process" else None
        runs.append(Run(target, fork_server=server, **options).start())
        return runs[-1]

    yield run
    for started in runs:
        started.stop()
        assert started.worker.join(30)


class TestEvents:
    def test_come_once_each_and_in_their_order(self, run):
        ran = run(simulations.sketch)
        ran.until(lambda: ran.session.snapshot().takes_input)
        ran.session.point(Pointer("down", 1.5, -2.0, "a"))
        ran.until(lambda: "<text>down:1.5,-2:a</text>" in ran.svgs)
        ran.session.point(Pointer("move", 3.0, 4.0))
        ran.session.point(Pointer("up", 3.0, 4.0))
        last = "<text>down:1.5,-2:a move:3,4:None up:3,4:None</text>"
        ran.until(lambda: ran.svgs[-1] == last)
        ran.session.pause()
        ran.until_state(State.PAUSED)
        assert ran.svgs[-1] == last

    def test_wait_while_it_is_paused(self, run):
        ran = run(simulations.sketch)
        ran.until(lambda: ran.session.snapshot().takes_input)
        ran.session.pause()
        ran.until_state(State.PAUSED)
        ran.session.point(down(7.0))
        ran.session.resume()
        ran.until(lambda: "<text>down:7,0:None</text>" in ran.svgs)

    def test_the_first_call_is_told(self, run):
        ran = run(simulations.sketch)
        ran.until(lambda: ran.changes and ran.changes[-1].takes_input)
        assert ran.changes[-1].state is State.RUNNING
        assert [change.takes_input for change in ran.changes].count(True) == 1

    def test_are_ignored_where_nobody_asks_for_them(self, run):
        ran = run(simulations.counter, params={"level": 1, "size": 1})
        ran.until(lambda: ran.frames)
        ran.session.point(down())
        assert not ran.session.snapshot().takes_input
        assert ran.session.board.events_given == 0

    def test_are_ignored_once_a_stop_was_asked_for(self, run):
        ran = run(simulations.sketch)
        ran.until(lambda: ran.session.snapshot().takes_input)
        ran.session.request_stop("client")
        ran.session.point(down())
        assert ran.session.board.events_given == 0
