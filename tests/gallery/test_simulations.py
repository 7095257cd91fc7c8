from itertools import islice
from random import Random

from gallery.simulations import draw_spins, sweep
from streaming.engine.context import Context
from streaming.engine.frames import to_svg
from streaming.engine.params import Params
from streaming.engine.stopping import AuthorCode
from streaming.forms import validate_params
from streaming.registry import registry


class FakeSession:
    """What a simulation asks of its stepper and of its host: it never sleeps, and never stops."""

    stop_requested = False

    def __init__(self):
        self.progress, self.description = [], ""

    def sleep(self, seconds):
        pass

    def report_progress(self, *progress):
        self.progress.append(progress)

    def report_description(self, text):
        self.description = text

    def frames_of(self, simulation, given):
        context = Context(self, self, AuthorCode())
        context.params = Params(**validate_params(simulation, given))
        return (to_svg(drawable) for drawable in simulation.steps(context))


def frames_of(name, **given):
    session = FakeSession()
    return session.frames_of(registry.get(name), given), session


def test_tour_comes_within_two_percent_in_ten_seconds_of_steps():
    """At its default pace of 30 steps a second."""
    frames, session = frames_of("tour")
    for _ in islice(frames, 300):
        pass
    length = int(session.description.split("length ")[1].rstrip(".").replace(",", ""))
    assert 7542 <= length <= 7542 * 1.02


def test_tour_goes_on_and_keeps_what_is_shorter():
    frames, _ = frames_of("tour", seed=3, pace=0)
    svgs = list(islice(frames, 400))
    assert all(svg.startswith(b"<svg xmlns=") for svg in svgs)


def test_countdown_ends_at_zero():
    frames, session = frames_of("countdown", count=3)
    svgs = list(frames)
    assert len(svgs) == 4
    assert svgs[-1].endswith(b">0</text></svg>")
    assert session.progress[-1][:2] == (3, 3)


class TestIsing:
    def test_draws_its_spins(self):
        frames, session = frames_of("ising", size=16, temperature=2.0)
        assert b'viewBox="0 0 16 16"' in next(frames)
        assert "16 by 16 spins" in session.description

    def test_cold_order_stays_and_heat_destroys_it(self):
        def magnetisation(temperature):
            spins = [[1] * 24 for _ in range(24)]
            random = Random(1)
            for _ in range(60):
                sweep(spins, temperature, random)
            return sum(map(sum, spins)) / 24**2

        assert magnetisation(1.0) > 0.99
        assert abs(magnetisation(5.0)) < 0.3

    def test_runs_of_spins_are_single_rectangles(self):
        assert 'd="M0 0h2v1H0zM1 1h1v1H1z"' in draw_spins([[1, 1], [-1, 1]])
