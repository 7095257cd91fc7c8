import json
import random
import zlib

import pytest

from streaming.delivery.fanout import Fanout
from streaming.delivery.framing import Encoding
from streaming.delivery.series import MOST_KEPT, MOST_VALUES, messages_of, series_of
from streaming.delivery.window import PlainWindow, Window
from streaming.engine.frames import Frame
from streaming.engine.series import GAP, NEWS_POINTS, OVERVIEW_POINTS, Series


@pytest.fixture
def series():
    return Series()


@pytest.fixture
def fanout(series):
    return Fanout("s1", lambda frames, deflate: None, series)


def join(fanout, dialect=Encoding.DEFLATE_RAW, **options):
    window = (PlainWindow if dialect is None else Window)(lambda: None, **options)
    fanout.add(window, dialect)
    return window


def taken(window):
    contents = []
    while (content := window.take(0.0)) is not None:
        contents.append(content)
    return contents


def told(window):
    return [json.loads(content) for content in taken(window)]


def fill(series, steps, **values):
    for step in steps:
        series.add(step, {name: value(step) for name, value in values.items()})


class TestWhoComesLater:
    def test_is_told_everything_in_one_message_where_that_can_be(self, fanout, series):
        series.add(1, {"loss": 0.5, "accuracy": GAP})
        series.add(2, {"loss": 0.25, "accuracy": 1.0})
        assert told(join(fanout)) == [
            {
                "type": "series",
                "names": ["loss", "accuracy"],
                "points": [[1, 0.5, None], [2, 0.25, 1.0]],
            }
        ]

    def test_lines_with_points_at_other_steps_have_a_message_of_their_own(self, fanout, series):
        """So that null is always a gap."""
        series.add(1, {"loss": 0.5, "lr": 1.0})
        series.add(2, {"loss": 0.25})
        series.add(3, {"loss": 0.125, "lr": 2.0})
        assert [(each["names"], each["points"]) for each in told(join(fanout))] == [
            (["loss"], [[1, 0.5], [2, 0.25], [3, 0.125]]),
            (["lr"], [[1, 1.0], [3, 2.0]]),
        ]

    def test_is_told_no_more_points_than_may_be_and_the_extremes(self, fanout, series):
        names = {f"n{number}": lambda step: step % 1000 for number in range(32)}
        fill(series, range(1, 2200), **names)
        messages = taken(join(fanout))
        for message in map(json.loads, messages):
            assert len(message["points"]) <= OVERVIEW_POINTS
            assert len(message["points"]) * len(message["names"]) <= MOST_VALUES
        assert sum(len(json.loads(text)["names"]) for text in messages) == 32
        assert max(map(len, messages)) < 100_000
        values = [row[1] for row in json.loads(messages[0])["points"]]
        assert (min(values), max(values)) == (0, 999)

    def test_of_the_plain_dialect_is_told_nothing(self, fanout, series):
        series.add(1, {"loss": 0.5})
        assert taken(join(fanout, None)) == []

    def test_is_shown_a_frame_first(self, fanout, series):
        series.add(1, {"loss": 0.5})
        window = join(fanout)
        fanout.offer(Frame(1, 1, b"<svg/>"), final=False)
        frame, text = taken(window)
        assert isinstance(frame, bytes)
        assert isinstance(text, str)


class TestNews:
    def test_is_what_came_since(self, fanout, series):
        window = join(fanout)
        fill(series, range(1, 4), loss=float)
        fanout.telling.note_news()
        assert [each["points"] for each in told(window)] == [[[1, 1.0], [2, 2.0], [3, 3.0]]]
        fill(series, range(4, 6), loss=float)
        assert told(window) == [], "not before it is time"
        fanout.telling.note_news()
        assert [each["points"] for each in told(window)] == [[[4, 4.0], [5, 5.0]]]

    def test_is_the_same_text_for_all_that_know_as_much(self, fanout, series):
        one, other = join(fanout), join(fanout, Encoding.IDENTITY)
        series.add(1, {"loss": 0.5})
        fanout.telling.note_news()
        assert one.take(0.0) is other.take(0.0)

    def test_of_many_points_is_a_few_of_them(self, fanout, series):
        window = join(fanout)
        fill(series, range(1, 20_000), loss=float)
        fanout.telling.note_news()
        taken(window)
        fill(series, range(20_000, 20_500), loss=float)
        fanout.telling.note_news()
        (message,) = told(window)
        assert 3 <= len(message["points"]) <= NEWS_POINTS
        assert message["points"][-1] == [20_499, 20_499.0]

    def test_does_not_pile_up_before_a_slow_viewer(self, fanout, series):
        window = join(fanout)
        for step in range(1, 5001):
            series.add(step, {"loss": step})
            fanout.telling.note_news()
        messages = told(window)
        assert len(messages) == 1
        assert messages[0]["points"][-1][0] == 5000
        assert not window.overflowed

    def test_wakes_the_viewers(self, fanout, series):
        woken = []
        window = Window(lambda: woken.append(True))
        fanout.add(window, Encoding.IDENTITY)
        woken.clear()
        fanout.telling.note_news()
        assert woken

    def test_waits_for_a_page_that_is_hidden(self, fanout, series):
        window = join(fanout, visible=False)
        series.add(1, {"loss": 0.5})
        fanout.telling.note_news()
        assert told(window) == []
        assert fanout.is_drained, "nobody waits for it"
        window.show(True, 0.0)
        assert not fanout.is_drained
        assert len(told(window)) == 1
        assert fanout.is_drained

    def test_is_nothing_to_who_has_left(self, fanout, series):
        window = join(fanout)
        fanout.remove(window)
        series.add(1, {"loss": 0.5})
        fanout.telling.note_news()
        assert told(window) == []
        assert fanout.is_drained


class TestWhatIsKeptOfThoseThatEnded:
    @pytest.mark.parametrize("names", [1, 3, 32])
    def test_is_bounded_and_has_the_extremes(self, series, names):
        fill(series, range(1, 3001), **{f"n{name}": random_value(name) for name in range(names)})
        messages = messages_of(series)
        assert sum(len(json.loads(message)["points"]) for message in messages) <= MOST_KEPT
        assert len(zlib.compress("\n".join(messages).encode())) <= 130_000
        for line, kept in zip(series.lines(), series_of(messages).lines(), strict=True):
            assert kept.name == line.name
            assert max(kept.kept.values) == max(line.overview.values)
            assert min(kept.kept.values) == min(line.overview.values)
            assert kept.last_step == line.last_step

    def test_is_nothing_of_nothing(self, series):
        assert messages_of(series) == []
        assert list(series_of([]).table()) == [["step"]]


def random_value(name):
    """Return a function of a step, whose values are as long as they can be."""
    drawn = random.Random(name)
    return lambda step: drawn.uniform(-1, 1)
