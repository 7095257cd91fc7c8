"""What a session printed last, for the people who control it."""

import logging
import sys
import threading
import warnings

import pytest

from streaming.engine.output import MAX_LINE, MOST_LINES, RecentLines
from streaming.engine.snapshot import State
from tests.engine.running import Run
from tests.samples.simulations import svg


@pytest.fixture
def recent():
    return RecentLines()


class TestRecentLines:
    def test_keep_the_newest(self, recent):
        for number in range(MOST_LINES + 5):
            recent.take(b"%d\n" % number)
        lines = recent.read()
        assert (lines[0], lines[-1], len(lines)) == ("5", "204", MOST_LINES)
        assert recent.count == MOST_LINES + 5

    def test_take_many_at_once(self, recent):
        recent.take(b"".join(b"%d\n" % number for number in range(100_000)) + b"rest")
        assert recent.read()[-3:] == ["99998", "99999", "rest"]
        assert len(recent.read()) == MOST_LINES
        assert recent.count == 100_000

    def test_a_line_may_come_in_pieces(self, recent):
        recent.take(b"one ")
        assert recent.read() == ["one "]
        recent.take(b"two\nthree")
        assert recent.read() == ["one two", "three"]

    def test_of_a_progress_bar_the_newest_state_is_there(self, recent):
        recent.take(b"\r 10 %\r 20 %")
        assert recent.read() == [" 20 %"]
        recent.take(b"\r100 %\n")
        assert recent.read() == ["100 %"]

    def test_colours_and_controls_are_left_out(self, recent):
        recent.take(b"\x1b[31mred\x1b[0m \x07bell\x1b[2J\n")
        assert recent.read() == ["red bell"]

    def test_lines_are_cut(self, recent):
        recent.take(b"x" * 1_000_000 + b"\n" + b"y" * 1_000_000)
        assert [len(line) for line in recent.read()] == [MAX_LINE, MAX_LINE]
        assert [line[-2:] for line in recent.read()] == ["x…", "y…"]

    def test_a_line_that_just_fits_is_not_marked(self, recent):
        recent.take(b"x" * MAX_LINE + b"\n" + b"\x1b[31m" + b"y" * MAX_LINE)
        assert recent.read() == ["x" * MAX_LINE, "y" * MAX_LINE]

    def test_one_that_is_cut_before_its_colours_are_left_out_is_marked(self, recent):
        recent.take(b"\x1b[31mx" * MAX_LINE * 2 + b"\n")
        assert recent.read()[0].endswith("…")


def says_much():
    print("printed")  # noqa: T201
    print("to stderr", file=sys.stderr)  # noqa: T201
    warnings.warn("beware", stacklevel=1)
    logging.getLogger("mine").warning("logged")
    yield svg(1)


class TestSessions:
    @pytest.mark.parametrize("engine", ["thread", "process"])
    def test_keep_what_is_printed_warned_and_logged(self, engine, fork_server):
        """The second session, too: Python shows a warning once for each place."""
        options = {"fork_server": fork_server} if engine == "process" else {}
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            runs = [Run(says_much, **options) for _ in range(2)]
            ends = [run.start().ended() for run in runs]
        for run, end in zip(runs, ends, strict=True):
            assert end.state is State.FINISHED
            said = "\n".join(run.session.output.read())
            for word in ("printed", "to stderr", "UserWarning: beware", "logged"):
                assert word in said
            assert end.printed == len(run.session.output.read())

    def test_other_threads_warnings_and_lines_are_none_of_theirs(self, caplog):
        entered, release = threading.Event(), threading.Event()

        def waits():
            entered.set()
            release.wait(10)
            yield svg(1)

        shown = []
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda *args, **kwargs: shown.append(args[0])
            run = Run(waits).start()
            assert entered.wait(10)
            warnings.warn("of another", stacklevel=1)
            logging.getLogger("other").warning("of another")
            release.set()
            run.ended()
        assert run.session.output.read() == []
        assert [str(message) for message in shown] == ["of another"]

    @pytest.mark.parametrize("action", ["default", "module", "always"])
    def test_warn_of_the_same_line_at_the_same_time_each_for_itself(self, action):
        """And of the same thing once, unless a filter wants to see it always."""
        both, in_turn = threading.Barrier(2), threading.Lock()

        def warns():
            both.wait(10)
            for _ in range(3):
                with in_turn:
                    warnings.warn("of the same", stacklevel=1)
            both.wait(10)
            yield svg(1)

        with warnings.catch_warnings():
            warnings.simplefilter(action)
            runs = [Run(warns).start() for _ in range(2)]
            for run in runs:
                assert run.ended().state is State.FINISHED
        told = ["\n".join(run.session.output.read()).count("of the same") for run in runs]
        assert told == ([6, 6] if action == "always" else [2, 2]), "the line of code, too"

    def test_leave_nothing_behind(self):
        streams, show = (sys.stdin, sys.stdout, sys.stderr), warnings.showwarning
        handlers = list(logging.getLogger().handlers)
        Run(says_much).start().ended()
        assert (sys.stdin, sys.stdout, sys.stderr) == streams
        assert warnings.showwarning is show
        assert logging.getLogger().handlers == handlers
