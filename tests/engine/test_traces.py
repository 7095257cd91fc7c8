import asyncio.base_events
import threading
from traceback import FrameSummary

from streaming.engine import stepping
from streaming.engine.stopping import AuthorCode
from streaming.engine.traces import place_in, python_stack, readable, trace_of
from streaming.sessions import live

WAIT_S = 5.0


def test_an_errors_trace_begins_with_the_authors_code():
    def an_authors_step():
        return 1 / 0

    try:
        AuthorCode()(an_authors_step)
    except ZeroDivisionError as error:
        # The test itself is not ours; what leads from it to the step is.
        error.__traceback__ = error.__traceback__.tb_next
        trace = trace_of(error)
    assert "in an_authors_step" in trace.splitlines()[1]
    assert python_stack(None) == "It has not started yet.\n"
    assert trace.endswith("ZeroDivisionError: division by zero\n")


class TestPlace:
    def test_has_the_lines_around_it_as_they_are_now(self, tmp_path):
        file = tmp_path / "my_sim.py"
        file.write_text("def f():\n    if x:\n        y = 1 / n\n\nlast = 1\n")
        place = place_in(str(file), 3)
        assert str(place) == "my_sim.py, line 3: y = 1 / n"
        assert place.around == ((2, "if x:"), (3, "    y = 1 / n"))
        assert place_in(str(file), 1).around == ((1, "def f():"), (2, "    if x:"))
        assert place_in(str(file), 5).around == ((5, "last = 1"),)
        file.write_text("\n\n" + "x" * 999)
        assert place_in(str(file), 3).around == ((3, "x" * 200),)

    def test_of_a_file_that_is_gone_has_no_lines(self, tmp_path):
        place = place_in(str(tmp_path / "gone.py"), 3)
        assert (place.file, place.line, place.code, place.around) == ("gone.py", 3, "", ())


class TestStack:
    def test_begins_with_the_authors_code(self):
        entered, release = threading.Event(), threading.Event()

        def an_authors_step():
            entered.set()
            release.wait(WAIT_S)

        thread = threading.Thread(target=AuthorCode(), args=(an_authors_step,))
        thread.start()
        assert entered.wait(WAIT_S)
        stack = python_stack(thread.ident)
        release.set()
        thread.join(WAIT_S)
        assert "in an_authors_step" in stack.splitlines()[0]
        assert "release.wait" in stack
        assert python_stack(thread.ident) == "The thread has ended.\n"

    def test_is_shown_as_a_whole_where_none_of_it_is_the_authors(self):
        called = [(stepping, "run"), (live, "publish"), (asyncio.base_events, "call_soon")]
        stack = readable([FrameSummary(module.__file__, 1, name) for module, name in called])
        for _, name in called:
            assert f"in {name}" in stack


def test_a_path_that_no_utf8_can_say_is_readable_all_the_same():
    """Of a folder, or a file, whose name comes from an older system."""
    name = b"gr\xfcn.py".decode(errors="surrogateescape")
    stack = readable([FrameSummary(name, 1, "step", line="x", lookup_line=False)])
    assert 'File "gr?n.py", line 1, in step' in stack
    assert place_in(name, 1).file == "gr?n.py"
