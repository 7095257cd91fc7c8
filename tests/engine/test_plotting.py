"""What a simulation plots, on its way to the session: in a thread, in a process, and async."""

import math

import pytest

from streaming import Context, simulation
from streaming.engine.board import CHECKED, PLOT_NAMES_AT, SharedBoard
from streaming.engine.isolation import plots as ring_module
from streaming.engine.isolation.plots import MOST_WAITING, PlotRing
from streaming.engine.snapshot import State, StopReason
from tests.engine.running import Run
from tests.samples import simulations


@simulation
def quick(ctx: Context, count: int = 30_000):
    """Plot as fast as can be."""
    for step in range(count):
        ctx.plot(wave=math.sin(step), ramp=step)
        yield "<svg/>"


@simulation
async def awaits(ctx: Context):
    """Plot in coroutines."""
    for step in range(3):
        await ctx.sleep(0)
        ctx.plot(loss=step)
        yield "<svg/>"


def test_a_stop_while_a_steps_numbers_are_taken_names_that_step():
    """It is over by then, and has to be counted."""
    ran = Run(simulations.plotting, params={"steps": 3})
    plot = ran.session.plot

    def stop_at_the_second(step, row):
        plot(step, row)
        if step == 2:
            ran.session.request_stop(StopReason.CLIENT)

    ran.session.plot = stop_at_the_second
    ended = ran.start().ended()
    assert (ended.step, ended.stop.step) == (2, 2)


@pytest.fixture(params=["thread", "process"])
def run(request):
    """Run a simulation in either engine to its end."""
    fork_server = request.getfixturevalue("fork_server") if request.param == "process" else None

    def run(target, **options):
        ran = Run(target, fork_server=fork_server, **options).start()
        ran.ended()
        return ran

    return run


def table(ran):
    (_step, *names), *rows = ran.session.series.table()
    return names, rows


class TestEveryEngine:
    def test_brings_each_number_under_its_step(self, run):
        names, rows = table(run(simulations.plotting, params={"steps": 3, "then": "end"}))
        assert names == ["loss", "accuracy", "rare"]
        assert rows == [[1, 1.0, 1.0, None], [2, 0.5, None, 2.0], [3, 1 / 3, 3.0, None]]

    def test_brings_what_a_step_plotted_that_failed(self, run):
        ran = run(simulations.plotting, params={"steps": 3, "then": "fail"})
        assert ran.session.state is State.FAILED
        assert table(ran)[1][-1] == [3, 1 / 3, 3.0, None]

    def test_brings_all_of_many(self, run):
        """More than the ring of a child holds: it waits until there is room."""
        count = MOST_WAITING
        ran = run(quick, params={"count": count}, watched=False)
        lines = {line.name: line for line in ran.session.series.lines()}
        assert len(lines["ramp"].kept) == count
        assert lines["ramp"].kept.values[-1] == count - 1

    def test_brings_what_coroutines_plot(self, run):
        assert table(run(awaits)) == (["loss"], [[1, 0.0], [2, 1.0], [3, 2.0]])

    def test_names_the_line_where_what_is_no_number_was_given(self, run):
        ran = run(simulations.plots_what_is_none)
        assert "needs one number, or None for a gap, and got list" in ran.changes[-1].error
        assert ran.session.place.code == "ctx.plot(loss=[0.3])"


class TestProcess:
    @pytest.fixture
    def started(self, fork_server):
        runs = []

        def start(**params):
            runs.append(Run(simulations.plotting, fork_server=fork_server, params=params).start())
            return runs[-1]

        yield start
        for ran in runs:
            ran.stop()

    def test_what_a_child_plotted_before_it_died_is_there(self, started):
        ran = started(steps=5, then="die")
        assert ran.ended().state == State.FAILED
        assert table(ran)[1][-1][0] == 4, "the step in which it died had not ended"

    def test_what_was_plotted_is_there_while_it_goes_on(self, started):
        ran = started(steps=3, then="wait")
        ran.until(lambda: len(table(ran)[1]) == 3)
        assert ran.session.state is State.RUNNING


def test_a_number_whose_name_is_being_written_down_is_looked_for_again(fork_server, monkeypatch):
    """The child may have no core in the middle of it."""
    read_text, looks = SharedBoard.read_text, []

    def read(board, start, end):
        looks.append(start)
        is_torn = start == PLOT_NAMES_AT and looks.count(start) < 3
        return None if is_torn else read_text(board, start, end)

    monkeypatch.setattr(SharedBoard, "read_text", read)
    ran = Run(simulations.plotting, fork_server=fork_server, params={"steps": 3, "then": "wait"})
    ran.start().until(lambda: len(table(ran)[1]) == 3)
    ran.stop()
    assert table(ran)[0] == ["loss", "accuracy", "rare"]


class TestNews:
    def test_is_said_once_until_it_is_expected_again(self):
        said = []
        ran = Run(simulations.finite)
        ran.session._on_plotted = lambda: said.append(len(ran.session.series.lines()))
        ran.session.plot(1, {"loss": 1.0})
        ran.session.plot(2, {"loss": 1.0})
        assert said == [1], "after the point is there"
        ran.session.expect_plots()
        ran.session.plot(3, {"loss": 1.0})
        assert said == [1, 1]


def tear(board):
    """Have the names be as in the middle of writing: new, behind the old head. Returns the old."""
    whole = bytes(board._memory[PLOT_NAMES_AT : PLOT_NAMES_AT + 100])
    board._memory[PLOT_NAMES_AT + CHECKED : PLOT_NAMES_AT + CHECKED + 4] = b'["no'
    return whole


class TestRing:
    @pytest.fixture
    def sides(self, both_sides):
        child, server = both_sides
        return PlotRing(child), PlotRing(server), child

    def test_gives_steps_in_their_order_also_around_its_end(self, sides):
        child, server, _ = sides
        for round_ in range(3):
            first = round_ * MOST_WAITING // 2
            rows = [(step, {"a": step, "b": -step}) for step in range(first + 1, first + 3000)]
            for step, row in rows:
                assert child.has_room_for(2)
                child.write(step, row)
            assert list(server.read()) == rows
            assert list(server.read()) == []

    def test_is_full_when_it_holds_so_many(self, sides):
        child, server, _ = sides
        for step in range(MOST_WAITING):
            child.write(step + 1, {"a": 0.0})
        assert not child.has_room_for(1)
        assert len(list(server.read())) == MOST_WAITING
        assert child.has_room_for(MOST_WAITING)

    @pytest.mark.parametrize("given", [math.nan, math.inf, -5.0, 1e300, MOST_WAITING + 1.0])
    def test_a_count_that_cannot_be_is_not_believed(self, sides, given):
        _, server, board = sides
        board.plots_given = given
        assert list(server.read()) == []

    @pytest.mark.parametrize(
        ("index", "step", "value"),
        [
            *((index, 1, 1) for index in (7, -1, 0.5, math.nan, 1e300)),
            *((0, step, 1) for step in (0, -1, math.nan, math.inf)),
        ],
    )
    def test_a_number_of_no_name_or_step_is_passed_over(self, sides, index, step, value):
        child, server, board = sides
        child.write(1, {"a": 1.0})
        board.pack(ring_module.PLOT, ring_module.PLOTS_AT + 24, index, step, value)
        board.plots_given = 2.0
        assert list(server.read()) == [(1, {"a": 1.0})]

    @pytest.mark.parametrize("names", [b"{}", b"[1]", b'["\\ud800"]', b'[""]', b"[" * 9000, b"x"])
    def test_names_that_are_none_name_nothing(self, sides, names):
        child, server, board = sides
        child.write(1, {"a": 1.0})
        board.write_text(PLOT_NAMES_AT, names)
        assert list(server.read()) == []

    def test_names_that_are_being_written_have_their_numbers_wait(self, sides):
        child, server, board = sides
        child.write(1, {"loss": 1.0, "accuracy": 2.0})
        whole = tear(board)
        assert list(server.read()) == []
        assert server.waiting == 2
        board._memory[PLOT_NAMES_AT : PLOT_NAMES_AT + len(whole)] = whole
        assert list(server.read()) == [(1, {"loss": 1.0, "accuracy": 2.0})]
        assert server.waiting == 0

    def test_they_hold_up_no_number_whose_name_is_known(self, sides):
        child, server, board = sides
        child.write(1, {"loss": 1.0})
        assert list(server.read()) == [(1, {"loss": 1.0})]
        child.write(2, {"loss": 2.0})
        tear(board)
        assert list(server.read()) == [(2, {"loss": 2.0})]

    def test_they_leave_the_numbers_of_a_step_together(self, sides):
        child, server, board = sides
        child.write(1, {"loss": 1.0})
        assert list(server.read())
        rows = [(2, {"loss": 2.0, "rare": 3.0}), (3, {"loss": 4.0, "new": 5.0})]
        child.write(*rows[0])
        tear(board)
        assert list(server.read()) == []
        child.write(*rows[1])
        assert list(server.read()) == rows

    def test_the_longest_names_have_room(self, sides):
        child, server, _ = sides
        row = {chr(0x1F600 + number) * 64: float(number) for number in range(32)}
        child.write(1, row)
        assert list(server.read()) == [(1, row)]
