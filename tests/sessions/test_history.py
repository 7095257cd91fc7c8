"""The last hour of a process: bounded, with gaps that are zero, and rates that are exact."""

import asyncio

import pytest

from streaming.admin.charts import BOTTOM, LEFT, RIGHT, TOP, chart
from streaming.catalog.registry import registry
from streaming.identity import Identity
from streaming.sessions import history as module
from streaming.sessions.history import MAX_SAMPLES, SAMPLE_S, History, Rate, Sample
from streaming.sessions.history import history as shared
from streaming.sessions.lateness import Lateness
from tests.parts import close_sessions, sessions


class Clock:
    """The monotonic clock, as a test sets it."""

    now = 10_000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def sample(history, clock, seconds, *, steps=0, frames=0, late=0.0):
    clock.now += seconds
    history.count(steps=steps, frames=frames)
    history.sample(late)


class TestSamples:
    def test_say_what_was_counted_between_two_moments(self, clock):
        history = History()
        history.begin()
        history.count(steps=70, frames=20)
        sample(history, clock, 10, steps=30, frames=5, late=0.1)
        sample(history, clock, 12, steps=6)
        assert history.last_hour() == [
            Sample(10_000, 10_010, 100, 25, 0.1),
            Sample(10_010, 10_022, 6, 0, 0.0),
        ]

    def test_do_not_count_the_time_without_sessions(self, clock):
        history = History()
        history.begin()
        sample(history, clock, 10, steps=10)
        clock.now += 500
        history.begin()
        sample(history, clock, 10, steps=10)
        assert [one.seconds for one in history.last_hour()] == [10, 10]

    def test_that_are_short_are_joined(self, clock):
        """Each end of the last session is a sample: many must not push the hour out."""
        history = History()
        for _ in range(4):
            history.begin()
            sample(history, clock, 1, steps=3, late=0.2)
            clock.now += 1
        (joined,) = history.last_hour()
        assert (joined.steps, joined.seconds, joined.late) == (12, 7, 0.2)

    def test_cover_an_hour_and_are_bounded(self, clock):
        history = History()
        for _ in range(3 * 3600):
            history.begin()
            sample(history, clock, 1, steps=1)
        samples = history.last_hour()
        assert len(samples) <= MAX_SAMPLES
        assert clock.now - samples[0].began >= 3600
        assert all(clock.now - one.ended < 3600 for one in samples)


class TestRate:
    def test_is_unknown_at_first(self):
        rate = Rate()
        assert rate.per_second is None
        rate.note(0.0, 0)
        assert rate.per_second is None

    def test_is_that_of_the_last_heartbeat(self):
        """What was faster before is forgotten, a pause for one."""
        rate = Rate()
        for second in range(10):
            rate.note(second, 1000 * second)
        assert rate.per_second == 1000
        for second in range(10, 16):
            rate.note(second, 9000)
        assert rate.per_second == 0


class TestChart:
    def draw(self, samples, now=10_000.0):
        return chart("steps", "Steps/s", samples, now, lambda one: one.steps)

    def points(self, drawn):
        return [tuple(map(float, point.split(","))) for point in drawn.line.split()]

    def test_without_samples_is_a_line_at_zero(self):
        drawn = self.draw([])
        assert self.points(drawn) == [(LEFT, BOTTOM), (RIGHT, BOTTOM)]
        assert [text for _y, text in drawn.rates] == ["0", "0.50", "1"]

    def test_is_zero_in_the_gaps(self):
        half = Sample(8200 - 10, 8200, 500, 0, 0.0)
        points = self.points(self.draw([half]))
        middle = (LEFT + RIGHT) / 2
        assert points[0] == (LEFT, BOTTOM)
        assert points[-1] == (RIGHT, BOTTOM)
        (top,) = [x for x, y in points if y == TOP and x == middle]
        assert top == middle
        assert points[-2] == (middle, BOTTOM)

    def test_says_the_newest_the_greatest_and_the_mean(self):
        drawn = self.draw([Sample(9900, 9910, 36_000, 0, 0.0), Sample(9985, 9995, 500, 0, 0.0)])
        assert drawn.summary == "Now 50, at most 3,600, on average over the hour 10.1."
        assert [text for _y, text in drawn.rates] == ["0", "2,500", "5,000"]


class TestLateness:
    def test_is_recorded_whoever_causes_it(self):
        """The warning is about thread sessions; the measure is about the loop."""
        late = Lateness(dict)
        assert late.now is None
        for seconds in (0.3, 0.02):
            late.note(seconds)
        assert late.warning() == ""
        assert late.now == 0.3
        assert late.take_worst() == 0.3
        assert late.take_worst() == 0.0


async def test_sessions_are_counted_until_their_last_step(no_rows, monkeypatch):
    """One that ends between two samples, and one that goes on; the end is a sample, too."""
    monkeypatch.setattr("streaming.sessions.pool.STATUS_INTERVAL_S", 0.01)
    shared.clear()
    finite = sessions.create(registry.get("finite"), {"count": 40}, Identity())
    finite.start()
    heart = sessions._heart
    await asyncio.wait_for(finite.ended.wait(), 5)
    await asyncio.to_thread(finite.join, 5)
    await asyncio.wait_for(heart, 5)
    assert sum(one.steps for one in shared.last_hour()) == finite.session.snapshot().step >= 40
    assert shared.last_hour()[-1].seconds <= SAMPLE_S
    await close_sessions()


async def test_the_row_of_a_session_says_how_fast_it_steps(no_rows, monkeypatch):
    monkeypatch.setattr("streaming.sessions.pool.STATUS_INTERVAL_S", 0.05)
    live = sessions.create(registry.get("counter"), {"level": 1, "size": 4}, Identity())
    live.start()
    try:
        async with asyncio.timeout(5):
            while not live.row()["measured_rate"]:  # Nothing announces it.
                await asyncio.sleep(0.01)
        assert 0 < live.row()["measured_rate"] < 1001
    finally:
        await close_sessions()
