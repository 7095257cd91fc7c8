"""Whatever a child writes, and whatever a client gives as parameters, is data: at any bytes the
server keeps its time and its sense.

FUZZ_CASES=100000 in the environment, with --timeout=0 -o faulthandler_timeout=0, has each test try
so many, at random.
"""

import gc
import json
import logging
import os
import socket
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest
from django import forms
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streaming.catalog.forms import validate_params
from streaming.delivery import protocol
from streaming.engine import printing
from streaming.engine.board import NUMBERS, REPORTS_AT, SharedBoard, create_memory
from streaming.engine.errors import ClientError
from streaming.engine.isolation import dump, pipe
from streaming.engine.isolation.pipe import Inbox
from streaming.engine.isolation.plots import PlotRing
from streaming.engine.isolation.supervisor import _Supervisor
from streaming.engine.output import RecentLines
from streaming.engine.session import Session
from streaming.engine.simulations import described
from streaming.engine.snapshot import State
from tests.samples import simulations

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

CASES = os.environ.get("FUZZ_CASES")
LONGEST_S = 0.05

fuzz = settings(
    max_examples=int(CASES or 25),
    derandomize=not CASES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# Nothing may be so long that making it up is what takes the time.
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**4299), 1e308])
    | st.floats()
    | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
WRITTEN = st.sampled_from(
    [
        "[" * 100_000,
        '{"a":' * 50_000,
        "1e999",
        "Infinity",
        "-Infinity",
        "NaN",
        "9" * 5000,
        '"' + "\\ud800" * 9000 + '"',
    ]
)
NAMES = st.sampled_from(
    [
        "kind",
        "svg",
        "step",
        "size",
        "sent",
        "error",
        "traceback",
        "interrupted",
        "progress",
        "description",
    ]
)
KINDS = st.sampled_from(
    ["frame", "began", "paused", "too_large", "most_steps", "plotted", "ended", "?"]
)
HEADERS = st.builds(
    lambda kind, more: {**more, "kind": kind}, KINDS | JSON, st.dictionaries(NAMES, JSON)
)


@contextmanager
def in_time():
    """Fail if what is inside takes longer than the event loop may stand still."""
    # Python's collector would go through all that was made up before.
    gc.disable()
    try:
        began = time.thread_time()
        yield
        took = time.thread_time() - began
    finally:
        gc.enable()
    assert took < LONGEST_S


def as_written(value):
    """Return JSON as a child may write it, or what it may write instead."""
    return value if isinstance(value, str) else json.dumps(value)


@pytest.fixture(scope="module")
def fifo(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "fifo"
    os.mkfifo(path)
    return str(path)


class TestStack:
    PIECES = st.sampled_from(
        [
            '  File "', '", line ', " in ", "\n", " " * 500, "9" * 5000, "12", "١٢", "/dev/zero",
            __file__, dump.__file__, "FIFO", "\0", '"', 'File "a" line', "\ud800",
        ]
    )  # fmt: skip
    LINES = st.builds('  File "{}", line {} in {}\n'.format, PIECES, PIECES | st.integers(), PIECES)

    @fuzz
    @given(pieces=st.lists(PIECES | LINES | st.text(max_size=20), max_size=200))
    def test_of_any_text_is_read_and_opens_nothing_it_names(self, fifo, pieces):
        text = "".join(pieces).replace("FIFO", fifo)[: dump.MAX_BYTES]
        with in_time():
            assert isinstance(dump.read_dump(text), str)

    @pytest.mark.parametrize(
        "text",
        [
            " " * 60_000,
            " \n" * 60_000,
            '  File "' * 10_000,
            '  File "x", line ' + "9" * 5000 + " in x\n",
            '  File "x", line 1 in x\n' * 10_000,
            '  File "/dev/zero", line 1 in x\n',
        ],
    )
    def test_of_the_worst_kind_costs_no_time(self, text):
        with in_time():
            dump.read_dump(text)

    def test_names_a_pipe_in_the_place_of_a_file_that_is_loaded(self, fifo, monkeypatch):
        """A child may have put it there."""
        monkeypatch.setitem(dump.sys.modules, "replaced", SimpleNamespace(__file__=fifo + ".py"))
        os.mkfifo(fifo + ".py")
        said = dump.read_dump(f'  File "{fifo}.py", line 1 in x\n')
        assert said == f'  File "{fifo}.py", line 1, in x\n'

    def test_shows_the_code_of_what_is_loaded_here(self):
        said = dump.read_dump(f'Stack:\n  File "{dump.__file__}", line 1 in x\n')
        assert '"""Reads the stack' in said


@pytest.fixture
def board():
    memory = create_memory()
    board = SharedBoard(memory)
    os.close(memory)
    yield board
    board.close()


@pytest.fixture
def new_session():
    def new_session():
        session = Session(
            "s1",
            described(simulations.counter),
            {"level": 1},
            fps=30,
            on_change=lambda change: None,
            on_notice=lambda code, sentence: None,
        )
        session.leave_queue()
        session.begin()
        return session

    return new_session


def sendable(snapshot):
    """Return what viewers are told; raises if that is no JSON."""
    return json.dumps(protocol.status_message(snapshot, viewers=0), allow_nan=False).encode()


class TestBoard:
    @fuzz
    @given(
        reports=st.dictionaries(NAMES, JSON | st.lists(JSON, min_size=3, max_size=3))
        | JSON
        | WRITTEN
        | st.text()
    )
    @example({"description": {}})
    @example({"progress": [1, 2, {}]})
    @example({"description": ["a"]})
    def test_reports_of_any_kind_leave_a_session_that_can_be_told(
        self, board, new_session, reports
    ):
        board.write_text(REPORTS_AT, as_written(reports).encode(errors="replace")[:60_000])
        session = new_session()
        with in_time():
            _Supervisor.refresh(SimpleNamespace(_board=board, _session=session))
            assert len(sendable(session.snapshot())) < 30_000

    @fuzz
    @given(head=st.binary(min_size=8, max_size=8))
    def test_any_head_of_the_reports_is_read(self, board, head):
        board._memory[REPORTS_AT : REPORTS_AT + 8] = head
        with in_time():
            assert isinstance(board.read_reports(), dict)

    @fuzz
    @given(numbers=st.lists(st.floats(), min_size=len(NUMBERS), max_size=len(NUMBERS)))
    def test_numbers_of_any_size_can_be_told(self, board, new_session, numbers):
        for index, number in enumerate(numbers):
            board._numbers[index] = number
        session = new_session()
        session.board = board
        with in_time():
            sendable(session.snapshot())
            assert session.step_seconds() >= 0
            session.step_in_progress()
            assert session.pause_requested in (True, False)


class TestPipe:
    @pytest.fixture
    def attend(self, new_session, board):
        """Have a supervisor read what a child has sent, and return its session."""

        def attend(content):
            here, there = socket.socketpair()
            there.setblocking(False)
            supervisor = object.__new__(_Supervisor)
            supervisor._session, supervisor._board = new_session(), board
            supervisor._plots = PlotRing(board)
            supervisor._inbox = Inbox(here, 2000)
            supervisor._max_frame_bytes, supervisor._concluded_at = 1000, None
            supervisor._publish = lambda frame: None
            supervisor._wake_child = supervisor._kill = lambda: None
            supervisor._output = SimpleNamespace(read_rest=lambda: None, tail="")
            supervisor._wait_status = 0
            with here, there:
                with suppress(BlockingIOError):
                    there.send(content)
                there.close()
                with in_time():
                    while not supervisor._inbox.closed:
                        supervisor._read_pipe()
                return supervisor._session

        return attend

    @fuzz
    @given(headers=st.lists(HEADERS | JSON | WRITTEN, max_size=8), body=st.binary(max_size=2000))
    def test_messages_of_any_kind_leave_a_session_that_can_be_told(self, attend, headers, body):
        lines = [as_written(header).encode(errors="replace") for header in headers]
        content = b"".join(pipe.HEAD.pack(len(line), len(body)) + line + body for line in lines)
        sendable(attend(content).snapshot())

    @fuzz
    @given(content=st.binary(max_size=300))
    def test_bytes_of_any_kind_do(self, attend, content):
        sendable(attend(content).snapshot())

    @pytest.mark.parametrize(
        "header",
        [
            b'{"kind":"frame","svg":1e999,"step":1}',
            b'{"kind":"frame","svg":Infinity,"step":1}',
            b'{"kind":"frame","svg":6,"step":NaN}',
            b'{"kind":"too_large","size":' + b"9" * 4000 + b"}",
            b'{"kind":"too_large","size":true,"sent":1}',
            b'{"kind":"too_large","size":1}',
            b'{"kind":"frame","svg":2000,"step":1}',
            b'{"kind":"ended","error":["x"],"traceback":null,"interrupted":false}',
            b"[" * 100_000,
            b'{"kind":' * 20_000,
            b'{"kind":["frame"]}',
            b"{}",
        ],
    )
    def test_what_is_no_message_ends_the_session_with_a_sentence(self, attend, header):
        session = attend(pipe.HEAD.pack(len(header), 6) + header + b"<svg/>")
        assert session.state is State.FAILED
        assert session.snapshot().error == "Its process sent what is no message, and was ended."

    def test_an_error_without_end_is_cut(self, attend):
        header = json.dumps(
            {"kind": "ended", "error": "x" * 90_000, "traceback": "y" * 90_000, "interrupted": 0}
        ).encode()
        snapshot = attend(pipe.HEAD.pack(len(header), 0) + header).snapshot()
        assert len(snapshot.error) == 500
        assert len(snapshot.traceback) <= 20_000


class TestOutput:
    @fuzz
    @given(
        chunks=st.lists(
            st.binary(max_size=300)
            | st.sampled_from([b"\n" * 65_536, b"x" * 65_536, b"\x1b[2J\n" * 9000, b"a\nb"]),
            max_size=12,
        )
    )
    def test_of_any_kind_is_bounded_and_counted(self, chunks):
        said = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())
        printing.logger.addHandler(handler)
        level = printing.logger.level
        printing.logger.setLevel(logging.INFO)
        began = time.monotonic()
        try:
            lines = printing.PrintedLines("s1", RecentLines())
            for chunk in chunks:
                with in_time():
                    lines.take(chunk)
            lines.close()
        finally:
            printing.logger.setLevel(level)
            printing.logger.removeHandler(handler)
        printed = [line for line in said if " prints: " in line]
        more = [int(line.split()[3]) for line in said if " more lines" in line]
        content = b"".join(chunks)
        ends = content.count(b"\n")
        assert ends <= len(printed) + sum(more) <= ends + 1
        # A case may begin in one second and end in another, or much later on a busy machine.
        seconds = time.monotonic() - began
        assert len(printed) <= (2 + seconds) * printing.LINES_PER_SECOND
        assert all(len(line) < printing.MAX_LINE + 50 for line in printed)
        assert len(lines.tail) <= printing.TAIL_BYTES


class ManyForm(forms.Form):
    number = forms.FloatField(required=False)
    whole = forms.IntegerField(required=False)
    exact = forms.DecimalField(required=False)
    text = forms.CharField(required=False, max_length=50)
    yes = forms.BooleanField(required=False)
    one = forms.ChoiceField(required=False, choices=[("a", "A")])
    several = forms.MultipleChoiceField(required=False, choices=[("a", "A")])


class TestParameters:
    FIELDS = st.sampled_from([*ManyForm.base_fields, "level", "nothing"])

    @fuzz
    @given(
        params=st.dictionaries(FIELDS | st.text(max_size=9), JSON, max_size=6),
        simulation=st.sampled_from([simulations.counter, simulations.sized]),
        many=st.booleans(),
    )
    def test_of_any_kind_are_values_or_a_sentence(self, params, simulation, many):
        simulation = described(simulation)
        if many:
            simulation = SimpleNamespace(form=ManyForm, params=simulation.params)
        text = json.dumps({"type": "start", "simulation": "x", "params": params})
        with in_time():
            try:
                start = protocol.command(protocol.read(text))
                values = validate_params(simulation, start.params)
            except ClientError as error:
                answer = protocol.encode(protocol.error_message(error))
                assert len(answer) <= 4 * len(text) + 1024
            else:
                json.dumps(values, allow_nan=False, default=str)

    @fuzz
    @given(text=WRITTEN | st.text(max_size=200))
    def test_messages_of_any_kind_are_read_or_refused(self, text):
        with in_time(), suppress(ClientError):
            protocol.command(protocol.read(text))
