import json
from itertools import count
from random import Random
from weakref import WeakSet

import pytest

from streaming.delivery.allowance import Allowance
from streaming.delivery.fanout import Fanout
from streaming.delivery.framing import Encoding, ReceivedFrame
from streaming.delivery.streams import (
    LOOK_EVERY,
    MAX_STREAMED_BYTES,
    MAX_STREAMS,
    PARTS_PER_SECOND,
    Stream,
)
from streaming.delivery.window import Window
from streaming.engine.frames import Frame, deflate
from tests.delivery.lines import Line, run
from tests.frames import FrameReader

CIRCLES = "".join(f'<circle cx="{n * 37 % 911}" cy="{n * 53 % 907}" r="4"/>' for n in range(200))


@pytest.fixture(autouse=True)
def _nothing_spent(monkeypatch):
    """Each test has a clock, and a process, of its own."""
    monkeypatch.setattr(Stream, "_allowance", Allowance(0.0, PARTS_PER_SECOND, PARTS_PER_SECOND))
    monkeypatch.setattr(Stream, "_begun", WeakSet())


def picture(seq, *, size=None):
    """A picture of which little changes; or one of some size."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><desc>{seq:012}</desc>{CIRCLES}</svg>'
    return svg.encode() if size is None else b"<svg>%s</svg>" % bytes(size - 11)


class Viewer:
    """Watches a session through a window of its own."""

    def __init__(self, *, is_wanted=False, dialect=Encoding.DEFLATE_RAW):
        self.fanout = Fanout("s1", lambda *demand: None)
        self.window = Window(lambda: None, stream=Stream(is_wanted=is_wanted))
        self.fanout.add(self.window, dialect)
        self._reader, self._seqs = FrameReader(), count(1)
        self.frames = []

    def offer(self, svg=None):
        """Have a frame offered; returns its picture."""
        seq = next(self._seqs)
        content = svg or picture(seq)
        self.fanout.offer(Frame(seq, seq, content, deflate(content)), final=False)
        return content

    def take(self, now=0.0):
        """Take the newest frame, and acknowledge it."""
        while (content := self.window.take(now)) is not None:
            self.frames.append(self._reader.read(content))
        self.window.ack(self.frames[-1]["seq"], now)
        return self.frames[-1]

    def watch(self, frames, now=0.0):
        """Return the encodings of so many frames, over a line that has room for all of them."""
        for number in range(frames):
            newest = self.offer()
            assert self.take(now + number / 30)["svg"] == newest
        return [frame["way"] for frame in self.frames[-frames:]]


def over(line, seconds, stream):
    """Have a session of 30 frames a second, each of 2 KB, seen over a line; returns the run and
    each frame's encoding."""
    reader, encodings = FrameReader(), []

    class Watched(Window):
        def take(self, now):
            content = super().take(now)
            if content is not None:
                encodings.append(reader.read(content)["way"])
            return content

    window = Watched(lambda: None, stream=stream)
    fanout = Fanout("s1", lambda *demand: None)

    def parcel(seq):
        content = picture(seq)
        return fanout.parcel(
            Frame(seq, seq, content, deflate(content)), Encoding.DEFLATE_RAW, final=False
        )

    return run(line, parcel, seconds, window=window), encodings


class TestBeginning:
    def test_a_line_that_carries_all_gets_what_all_get(self):
        ran, encodings = over(Line(1_000_000), 10, Stream(is_wanted=False))
        assert set(encodings) == {"deflate-raw"}
        assert ran.per_second(2, 10) > 29

    @pytest.mark.parametrize("round_trip", [0.2, 0.4])
    def test_so_does_one_that_is_only_long(self, round_trip):
        _, encodings = over(Line(1_000_000, round_trip), 20, Stream(is_wanted=False))
        assert set(encodings) == {"deflate-raw"}

    @pytest.mark.parametrize("rate", [5_000, 15_000])
    def test_comes_where_the_line_is_the_limit_and_all_are_seen(self, rate):
        without, _ = over(Line(rate), 20, None)
        ran, encodings = over(Line(rate), 20, Stream(is_wanted=False))
        assert without.per_second(8, 20) < 20
        assert ran.per_second(8, 20) > 28
        assert encodings[0] == "deflate-raw"
        assert set(encodings[-100:]) == {"deflate-stream"}

    def test_a_simulation_that_is_slow_is_no_slow_line(self):
        viewer = Viewer()
        for number in range(20):
            viewer.watch(1, now=5.0 * number)
        assert {frame["way"] for frame in viewer.frames} == {"deflate-raw"}

    def test_a_page_that_nobody_could_see_is_none_either(self):
        viewer = Viewer()
        for minute in range(5):
            now = 60.0 * minute
            viewer.offer()
            viewer.window.take(now)
            viewer.window.show(visible=False, now=now)
            viewer.window.show(visible=True, now=now + 50)
            viewer.window.ack(minute + 1, now + 51)
        viewer.watch(5, now=400.0)
        assert {frame["way"] for frame in viewer.frames} == {"deflate-raw"}

    def test_comes_at_once_where_it_is_wanted(self):
        assert set(Viewer(is_wanted=True).watch(3)) == {"deflate-stream"}

    def test_is_said_with_the_first_part_only(self):
        viewer = Viewer(is_wanted=True)
        viewer.watch(3)
        assert [frame["begins"] for frame in viewer.frames] == [True, None, None]


class TestParts:
    def test_are_a_fraction_of_what_they_would_be(self):
        viewer, other = Viewer(is_wanted=True), Viewer()
        viewer.watch(20)
        other.watch(20)
        sizes = [sum(frame["bytes"] for frame in each.frames[1:]) for each in (viewer, other)]
        assert sizes[0] < 0.25 * sizes[1]

    def test_leave_out_what_was_replaced_before_it_was_sent(self):
        viewer = Viewer(is_wanted=True)
        for number in range(10):
            viewer.offer()
            newest = viewer.offer()
            assert viewer.take(number / 30)["svg"] == newest
        assert [frame["seq"] for frame in viewer.frames] == list(range(2, 21, 2))
        assert {frame["way"] for frame in viewer.frames} == {"deflate-stream"}

    def test_of_pictures_that_deflate_forgets_are_none(self):
        viewer = Viewer(is_wanted=True)
        viewer.watch(1)
        viewer.offer(picture(2, size=MAX_STREAMED_BYTES + 1))
        assert viewer.take()["way"] == "deflate-raw"
        viewer.offer(picture(3, size=MAX_STREAMED_BYTES))
        assert viewer.take()["way"] == "deflate-stream"

    def test_of_a_frame_that_came_damaged_are_none_and_the_stream_goes_on(self):
        viewer = Viewer(is_wanted=True)
        viewer.watch(1)
        damaged = ReceivedFrame(2, 2, 100, b"\xff\xff", is_deflated=True)
        viewer.fanout.offer(damaged, final=False)
        head = json.loads(viewer.window.take(0.0).split(b"\n")[0])
        assert head["encoding"] == "deflate-raw"
        next(viewer._seqs)
        assert viewer.watch(2) == ["deflate-stream"] * 2

    def test_are_for_those_too_who_take_no_other_deflated_frames(self):
        viewer = Viewer(is_wanted=True, dialect=Encoding.IDENTITY)
        assert viewer.watch(2) == ["deflate-stream"] * 2


class TestLimits:
    def test_pictures_of_which_all_changes_are_given_up(self):
        viewer, random = Viewer(is_wanted=True), Random(1)
        for number in range(LOOK_EVERY + 1):
            viewer.offer(f"<svg>{random.randbytes(2000).hex()}</svg>".encode())
            viewer.take(number / 30)
        assert viewer.frames[-2]["way"] == "deflate-stream"
        assert viewer.frames[-1]["way"] == "deflate-raw"
        assert set(viewer.watch(20, now=2.0)) == {"deflate-raw"}

    def test_only_so_many_have_one_and_a_viewer_that_goes_makes_room(self):
        # A second apart, so that it is not the processor that is short.
        viewers = [Viewer(is_wanted=True) for _ in range(MAX_STREAMS)]
        for number, viewer in enumerate(viewers):
            assert viewer.watch(1, now=1e6 + number) == ["deflate-stream"]
        last = Viewer(is_wanted=True)
        assert last.watch(1, now=2e6) == ["deflate-raw"]
        viewer.fanout.remove(viewer.window)
        viewers.pop()
        del viewer
        assert last.watch(1, now=3e6) == ["deflate-stream"]

    def test_no_more_parts_are_made_than_the_processor_is_to_have_for_it(self):
        viewer, now = Viewer(is_wanted=True), 4e6
        for _ in range(int(PARTS_PER_SECOND) + 10):
            viewer.offer()
            viewer.take(now)
        encodings = [frame["way"] for frame in viewer.frames]
        assert encodings.count("deflate-raw") == 10
        viewer.offer()
        assert viewer.take(now + 0.1)["way"] == "deflate-stream"
