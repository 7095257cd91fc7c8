import pytest

from streaming.engine.pacing import BURST, FrameClock, StepRate


class TestFrameClock:
    def test_is_due_at_first(self):
        assert FrameClock(30).due(100.0)

    def test_lets_a_few_through_at_once_after_a_quiet_time(self):
        clock = FrameClock(10)
        for now in (100.0, 200.0):
            for _ in range(BURST):
                assert clock.due(now)
                clock.took(now)
            assert not clock.due(now)

    def test_is_due_again_after_an_interval(self):
        clock = FrameClock(10)
        for _ in range(BURST):
            clock.took(100.0)
        assert not clock.due(100.09)
        assert clock.due(100.11)

    def test_keeps_its_rate_when_steps_are_coarse(self):
        """Steps of 20 ms at 30 frames/s: 30 frames in a second, not the 25 of every second step."""
        clock, frames = FrameClock(30), 0
        for step in range(500):
            now = 100 + step * 0.02
            if clock.due(now):
                clock.took(now)
                frames += 1
        assert frames == pytest.approx(300 + BURST - 1, abs=2)

    def test_a_long_wait_gives_no_more_than_a_few(self):
        clock, frames = FrameClock(10), 0
        clock.took(100.0)
        while clock.due(200.0):
            clock.took(200.0)
            frames += 1
        assert frames == BURST

    def test_without_a_rate_is_always_due(self):
        clock = FrameClock(0)
        clock.took(100.0)
        assert clock.due(100.0)


class TestStepRate:
    def test_without_a_rate_never_waits(self):
        rate = StepRate()
        rate.took(100.0)
        assert rate.delay(100.0) == 0

    def test_waits_for_the_next_step(self):
        rate = StepRate(4)
        rate.took(100.0)
        rate.took(100.0)
        assert 0 < rate.delay(100.0) <= 0.25
        assert rate.delay(101.0) == 0

    def test_a_raised_rate_holds_at_once(self):
        """A rate of one step in ten minutes must not hold the next step for ten minutes."""
        rate = StepRate(1 / 600)
        rate.took(100.0)
        rate.per_second = 100
        assert rate.delay(100.0) <= 0.01

    @pytest.mark.parametrize("slow", [1 / 600, 5e-324])
    def test_a_raised_rate_holds_also_after_the_wait(self, slow):
        rate, now = StepRate(slow), 100.0
        rate.took(now)
        rate.per_second = 10
        waits = 0
        while (delay := rate.delay(now)) and waits < 10:
            now, waits = now + delay, waits + 1
        assert now == pytest.approx(100.1)
