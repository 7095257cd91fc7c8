import io
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import islice
from random import Random

import numpy as np
import pytest

from gallery.numerical import simulations as numerical
from gallery.simulations import get_step_data, tour
from gallery.spins import draw_spins, energy_of, sweep
from streaming import Pointer
from streaming.catalog.forms import validate_params
from streaming.catalog.registry import registry
from streaming.engine.context import Context
from streaming.engine.errors import InvalidParams
from streaming.engine.frames import to_svg
from streaming.engine.params import Params
from streaming.engine.stopping import AuthorCode
from streaming.testing import assert_stops_within, plotted
from tests.servers import ROOT


class FakeSession:
    """What a simulation asks of its stepper and of its host: it never sleeps, and never stops."""

    stop_requested = False

    def __init__(self):
        self.progress, self.description, self.saved = [], "", {}
        # What the driver does on the picture.
        self.given = []

    def sleep(self, seconds):
        pass

    def events(self):
        given, self.given = self.given, []
        return given

    def report_progress(self, *progress):
        self.progress.append(progress)

    def report_description(self, text):
        self.description = text

    def save(self, name, content):
        self.saved[name] = content

    def frames_of(self, simulation, given):
        return (to_svg(drawable) for drawable in self.steps_of(simulation, given))

    def steps_of(self, simulation, given):
        self.context = Context(self, self, AuthorCode())
        self.context.params = Params(**validate_params(simulation, given))
        return simulation.steps(self.context)

    def change(self, **params):
        self.context.params = Params(**(vars(self.context.params) | params))


def frames_of(name, **given):
    session = FakeSession()
    return session.frames_of(registry.get(name), given), session


def stepping_of(name, **given):
    """Take its steps, and draw nothing."""
    session = FakeSession()
    return session.steps_of(registry.get(name), given), session


def test_tour_comes_within_two_percent_in_ten_seconds_of_steps():
    """At its default pace of 30 steps a second."""
    frames, session = frames_of("tour")
    for _ in islice(frames, 300):
        pass
    length = int(session.description.split("length ")[1].rstrip(".").replace(",", ""))
    assert 7542 <= length <= 7542 * 1.02


def test_tour_goes_on_and_keeps_what_is_shorter():
    frames, session = frames_of("tour", seed=3, pace=0)
    svgs = list(islice(frames, 400))
    assert all(svg.startswith(b"<svg xmlns=") for svg in svgs)
    head, _, tour = session.saved["best.tour"].decode().partition("TOUR_SECTION\n")
    assert "TYPE : TOUR\nDIMENSION : 52\n" in head
    *cities, end, last = tour.split()
    assert (end, last) == ("-1", "EOF")
    assert sorted(map(int, cities)) == list(range(1, 53))
    length = int(session.description.split("length ")[1].rstrip(".").replace(",", ""))
    assert f"Length {length}\n" in head


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

    def test_a_stroke_has_spins_point_the_other_way(self):
        """All of them here, and in the cold they stay so."""
        frames, session = frames_of("ising", size=8, temperature=0.1)
        next(frames)
        session.given = [Pointer("down", 0.5, 0.5)]
        for row in range(8):
            session.given += [Pointer("move", x, row + 0.5) for x in (0.5, 7.5)]
        next(frames)
        assert "magnetisation +1.00" in session.description or "-1.00" in session.description
        before = session.description
        session.given = [Pointer("up", 0.5, 7.5), Pointer("move", 4.0, 4.0)]
        next(frames)
        assert session.description == before


class TestTourOfRandomCities:
    def test_has_as_many_as_asked_for_and_follows_the_seed(self):
        def first(seed):
            frames, session = frames_of("tour", size=100, seed=seed)
            svg = next(frames)
            assert "through 100 cities" in session.description
            return svg

        assert first(1) == first(1)
        assert first(1) != first(2)

    @pytest.mark.parametrize("size", [1, 4])
    def test_too_few_are_refused(self, size):
        with pytest.raises(InvalidParams) as caught:
            frames_of("tour", size=size)
        said = f"Expected 0, or 5 to 2000 cities, got {size}."
        assert caught.value.fields == {"size": [said]}


class TestLayout:
    def test_ends_at_rest(self):
        frames, session = frames_of("layout", graph="a b\nb c\nc a")
        svgs = list(frames)
        assert 300 < len(svgs) < 500
        assert session.description == "A graph of 3 nodes and 3 edges, 100% at rest."
        assert session.progress[-1][:2] == (1.0, 1)

    def test_a_node_that_is_dragged_wakes_it_up(self):
        def steps(events):
            steps, session = stepping_of("layout", graph="a b\nb c\nc a")
            for number, _picture in enumerate(steps):
                session.given = events.get(number, [])
            return number

        undisturbed = steps({})
        everywhere = [Pointer("down", x, y) for x in (50, 950) for y in range(50, 711, 30)]
        assert steps({undisturbed - 5: [*everywhere, Pointer("up", 0, 0)]}) == undisturbed
        held = {undisturbed - 5: everywhere, undisturbed + 50: [Pointer("up", 0, 0)]}
        assert steps(held) > undisturbed + 100

    def test_new_forces_wake_it_up(self):
        stepping, session = stepping_of("layout", graph="a b\nb c\nc a", pace=0)
        for _ in islice(stepping, 200):
            pass
        before = session.progress[-1][0]
        session.change(repulsion=3.0)
        next(stepping)
        assert session.progress[-1][0] < before / 4


class TestReaction:
    def test_feed_and_kill_are_live(self):
        """With less food it vanishes."""
        stepping, session = stepping_of("reaction", size=32)
        next(stepping)
        assert "of 32 by 32 cells, after 10 units of time." in session.description
        session.change(feed=0.01, kill=0.07)
        for _ in islice(stepping, 200):
            pass
        assert session.description.startswith("V covers 0%")


class TestDescent:
    def test_ends_after_its_epochs_as_figures(self):
        frames, session = frames_of("descent", dataset="wine", epochs=3, rate=0.1)
        svgs = list(frames)
        assert len(svgs) == 3
        assert b"matplotlib" in svgs[0]
        assert b"prefers-color-scheme" in svgs[0]
        with np.load(io.BytesIO(session.saved["weights.npz"])) as weights:
            assert weights["coefficients"].shape == (3, weights["feature_offsets"].size)
        assert session.progress[-1][:2] == (3, 3)
        assert session.description.startswith("After 3 epochs the loss is 0.")

    def test_is_loaded_by_nobody_who_does_not_train(self):
        """The server and the other sessions do without scikit-learn and matplotlib."""
        program = (
            "import django; django.setup(); import gallery.numerical.simulations, sys; "
            "print({'sklearn', 'matplotlib', 'networkx', 'scipy'} & set(sys.modules))"
        )
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        result = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (result.stdout, result.stderr) == ("set()\n", "")


class TestOrbits:
    @pytest.mark.parametrize(("planets", "count"), [("inner", 4), ("outer", 4), ("all", 8)])
    def test_says_where_in_time_it_is_and_how_well_it_counts(self, planets, count):
        frames, session = frames_of("orbits", planets=planets, days=100)
        for _ in islice(frames, 4):
            pass
        said, drift = session.description.rsplit(" ", 1)
        assert said == f"{count} planets in the year 2001.10; energy drift"
        assert float(drift.rstrip(".")) < 5e-5

    def test_days_are_live(self):
        stepping, session = stepping_of("orbits", days=1)
        next(stepping)
        assert "year 2000.00" in session.description
        session.change(days=365)
        next(stepping)
        assert "year 2001.00" in session.description


class TestQuestion:
    def test_each_call_gives_a_picture_of_its_own(self):
        frames, _ = frames_of("question")
        one, other = islice(frames, 2)
        assert one.startswith(b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-500')
        assert one.count(b",") == 1000
        assert one != other

    def test_is_the_plain_function_of_the_question(self):
        assert get_step_data().startswith("<svg")
        assert registry.get("question").wants_context is False


@pytest.mark.parametrize("name", ["layout", "reaction", "orbits", "question"])
def test_stops_at_once(name):
    """In the engine that it is made for."""
    assert_stops_within(registry.get(name).target, 1.0)


def test_descent_stops_while_it_loads():
    """In its first step, which imports scikit-learn: no flag is heard there, but the signal is."""
    assert_stops_within(registry.get("descent").target, 3.5, after_steps=0, stop_grace=0.1)


def test_every_simulation_has_a_small_picture_without_words():
    modules = {one.name: one.target.__module__ for one in registry.all()}
    names = [name for name, module in modules.items() if module.startswith("gallery.")]
    assert len(names) == 9
    pictures = [(ROOT / "gallery" / "static" / "gallery" / f"{name}.svg") for name in names]
    for picture in pictures:
        svg = picture.read_text()
        assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert "<text" not in svg
    assert sum(picture.stat().st_size for picture in pictures) < 30_000


def test_every_simulation_has_a_small_loop_that_adapts():
    loops = sorted((ROOT / "gallery" / "static" / "gallery").glob("*.loop.svg"))
    assert len(loops) == 9
    for loop in loops:
        svg = loop.read_text()
        assert 4 <= len(ET.fromstring(svg).findall("{http://www.w3.org/2000/svg}svg")) <= 8
        assert "prefers-color-scheme" in svg
        assert loop.stat().st_size < 50_000


class TestLines:
    """What the gallery's simulations plot."""

    def test_tour_plots_a_length_that_falls(self):
        lengths = [value for _, value in plotted(tour, 60)["length"]]
        assert lengths == sorted(lengths, reverse=True)
        assert lengths[-1] < lengths[0]

    def test_ising_plots_the_energy_that_its_spins_have(self, monkeypatch):
        """It is added up, and not counted anew in each step."""
        monkeypatch.setattr("gallery.simulations.draw_spins", energy_of)
        steps, session = stepping_of("ising", size=16, temperature=2.0)
        for _ in range(4):
            energy = next(steps)()
            assert session.context.plots.take()["energy"] == energy / 16**2
            session.given = [Pointer("down", 3.5, 3.5), Pointer("move", 9.5, 9.5)]

    def test_the_energy_of_spins_that_agree_is_least(self):
        assert energy_of([[1] * 4] * 4) == -2 * 16
        assert energy_of([[1, -1] * 2, [-1, 1] * 2] * 2) == 2 * 16

    def test_the_others_plot_too(self):
        assert set(plotted(numerical.layout, 2)) == {"stress"}
        assert set(plotted(numerical.Orbits, 2)) == {"energy_error"}
        assert set(plotted(numerical.descent, 2)) == {"loss", "accuracy", "held_out"}
