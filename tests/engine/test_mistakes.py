"""Every sentence that an author can meet while steps are taken, with the code that causes it."""

import inspect

import pytest

from streaming.engine.snapshot import State
from tests.engine.running import Run
from tests.samples.mistakes import MISTAKES


def marked_line(target):
    """Return the line of a mistake: the one that is marked, else the first."""
    lines, first = inspect.getsourcelines(target)
    marked = (number for number, line in enumerate(lines) if "# here" in line)
    at = next(marked, 0)
    return first + at, lines[at].strip()


@pytest.fixture(params=["thread", "process"])
def engine(request, fork_server):
    return {"fork_server": fork_server} if request.param == "process" else {}


@pytest.mark.parametrize("target", MISTAKES, ids=lambda target: target.__name__)
def test_says_what_to_do_and_where_it_is(target, engine):
    run = Run(target, **engine).start()
    end = run.ended()
    assert end.state is State.FAILED
    assert MISTAKES[target] in end.error
    place = run.session.place
    assert (place.file, (place.line, place.code)) == ("mistakes.py", marked_line(target))
    assert place.code in dict(place.around)[place.line]
    assert len(place.around) <= 3
