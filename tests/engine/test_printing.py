"""What a thread session prints, against what the process engine allows."""

import logging
import sys
from contextlib import redirect_stdout
from io import StringIO

import pytest

from streaming.engine.printing import LINES_PER_SECOND
from streaming.engine.snapshot import State
from tests.engine.running import Run
from tests.samples import faults


def lines(caplog):
    return [record.message for record in caplog.records if " prints: " in record.message]


@pytest.fixture
def run(caplog):
    caplog.set_level(logging.INFO)
    runs = []

    def run(target):
        runs.append(Run(target).start())
        return runs[-1]

    yield run
    for started in runs:
        started.stop()


def speaks():
    print("one", 1)  # noqa: T201
    sys.stderr.write("half a ")
    sys.stderr.write("line\n")
    sys.stdout.writelines(["three\n", "the rest"])
    yield "<svg/>"


def commands_a_terminal():
    print("\x1b[2J" * 5000)  # noqa: T201
    print("2026-01-01 ERROR streaming: a line that is none of ours" * 1000)  # noqa: T201
    yield "<svg/>"


def is_loud():
    raise ValueError("x" * 30_000_000)
    yield


def is_loud_twice():
    try:
        {}["\n" * 1_000_000]
    except KeyError:
        raise SystemExit("y" * 1_000_000) from None
    yield


class TestPrinting:
    def test_goes_to_the_log_with_the_session(self, run, caplog):
        run(speaks).ended()
        assert lines(caplog) == [
            "session s1 prints: one 1",
            "session s1 prints: half a line",
            "session s1 prints: three",
            "session s1 prints: the rest",
        ]

    def test_without_end_is_bounded_as_in_a_process(self, run, caplog, capfd):
        ran = run(faults.prints)
        ran.until(lambda: len(ran.frames) >= 3)
        ran.stop()
        seconds = caplog.records[-1].created - caplog.records[0].created
        assert 0 < len(lines(caplog)) <= LINES_PER_SECOND * (seconds + 2)
        assert "more lines" in caplog.text
        assert capfd.readouterr().out == ""

    def test_of_long_lines_is_cut(self, run, caplog):
        run(commands_a_terminal).ended()
        assert [len(line) for line in lines(caplog)] == [len("session s1 prints: ") + 500] * 2
        assert all(line.endswith("…") for line in lines(caplog))

    def test_of_others_goes_where_it_would(self, run, caplog, capsys):
        ran = run(faults.prints)
        ran.until(lambda: ran.frames)
        print("the server's own")  # noqa: T201
        ran.stop()
        assert "the server's own" in capsys.readouterr().out

    def test_is_given_back_after_the_last_session(self, run):
        before = sys.stdout, sys.stderr
        first, second = run(faults.prints), run(faults.prints)
        first.until(lambda: first.frames)
        second.until(lambda: second.frames)
        first.stop()
        assert sys.stdout is not before[0]
        assert sys.stdout.encoding == before[0].encoding
        second.stop()
        assert (sys.stdout, sys.stderr) == before

    def test_leaves_a_stream_that_somebody_else_has_put_there(self, run):
        ran = run(faults.prints)
        ran.until(lambda: ran.frames)
        with redirect_stdout(StringIO()) as others:
            ran.stop()
            assert sys.stdout is others
        sys.stdout = sys.stdout.original


class TestExceptions:
    @pytest.mark.parametrize("target", [is_loud, is_loud_twice])
    def test_of_megabytes_are_cut_for_log_row_and_viewers(self, run, caplog, target):
        end = run(target).ended()
        assert end.state is State.FAILED
        assert len(end.error) < 600
        assert len(end.traceback) <= 20_000
        assert target.__name__ in end.traceback
        assert "characters left out" in end.traceback
        assert max(len(record.getMessage()) for record in caplog.records) < 21_000

    @pytest.mark.parametrize("target", [is_loud, is_loud_twice])
    def test_of_megabytes_come_out_of_a_process_likewise(self, fork_server, target):
        ran = Run(target, fork_server=fork_server).start()
        end = ran.ended()
        assert (end.state, "characters left out" in end.traceback) == (State.FAILED, True)
        assert "ValueError: x" in end.error or "sys.exit(y" in end.error
