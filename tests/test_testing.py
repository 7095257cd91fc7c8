"""`streaming.testing`, as an author uses it."""

import enum
import math
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path
from typing import Annotated

import pytest
from django import forms

from streaming import Param, Pointer, simulation
from streaming.engine.errors import InvalidFrame, InvalidParams
from streaming.engine.headless import HeadlessSession
from streaming.testing import assert_stops_within, pictures, plotted
from tests.samples import faults, simulations
from tests.servers import ROOT


@pytest.mark.parametrize("engine", ["thread", "process"])
class TestAssertStopsWithin:
    def test_passes_where_the_step_hears_it(self, engine):
        assert_stops_within(simulations.counter, 1.0, engine=engine)
        assert_stops_within(faults.sleeps, 1.0, engine=engine)

    def test_passes_where_the_ladder_ends_it_in_time(self, engine):
        assert_stops_within(faults.spins, 2.0, engine=engine, stop_grace=0.2)

    def test_says_where_the_step_was_when_it_takes_too_long(self, engine):
        with pytest.raises(
            AssertionError, match=r"took \d\.\d\d s to stop, by interrupt"
        ) as caught:
            assert_stops_within(faults.spins, 0.1, engine=engine, stop_grace=0.3)
        assert "in spins" in str(caught.value)

    def test_says_why_it_could_not_be_stopped(self, engine):
        with pytest.raises(AssertionError, match="it is failed after 1 steps") as caught:
            # There is no third step: it has failed before, whenever it is asked to stop.
            assert_stops_within(faults.leaves, 1.0, engine=engine, after_steps=2)
        assert "sys.exit(enough)" in str(caught.value)

    def test_says_that_it_ended_before(self, engine):
        with pytest.raises(AssertionError, match="it is finished after 3 steps"):
            assert_stops_within(simulations.finite, 1.0, engine=engine, after_steps=5)

    def test_takes_parameters_and_forms(self, engine):
        assert_stops_within(simulations.counter, 1.0, engine=engine, params={"size": 9})
        from gallery.simulations import tour

        assert_stops_within(tour, 1.0, engine=engine)


class TestPlotted:
    def test_returns_the_points_of_each_line(self):
        lines = plotted(simulations.plotting, 5, params={"steps": 3})
        assert lines["loss"] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
        assert lines["rare"] == [(2, 2.0)]
        assert math.isnan(lines["accuracy"][1][1])

    def test_takes_no_more_steps_than_it_is_told(self):
        assert plotted(simulations.plotting, 1)["loss"] == [(1, 1.0)]

    def test_what_is_no_number_raises(self):
        with pytest.raises(TypeError, match="needs one number"):
            plotted(simulations.plots_what_is_none, 2)


def test_one_that_fails_before_it_hears_of_the_stop_is_said(monkeypatch):
    release = threading.Event()
    stops_within = HeadlessSession.stops_within

    def fails_meanwhile():
        yield simulations.svg("before")
        release.wait(5)
        raise ValueError("by itself")

    def stop_too_late(self, *args):
        release.set()
        assert self.wait(5)
        return stops_within(self, *args)

    monkeypatch.setattr(HeadlessSession, "stops_within", stop_too_late)
    with pytest.raises(AssertionError, match=r"after 1 steps\..*by itself"):
        assert_stops_within(fails_meanwhile, 1.0)


def test_it_runs_where_the_simulation_says():
    """In a process: a thread would never end."""
    assert_stops_within(simulations.endless, 5.0, stop_grace=0.2)


def test_a_thread_that_does_not_stop_is_said():
    """In a process of its own, since that thread stays."""
    program = (
        "from streaming.testing import assert_stops_within; from tests.samples import faults\n"
        "try: assert_stops_within(faults.swallows, 5, stop_grace=0.0)\n"
        "except AssertionError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "swallows does not stop at all; it is at:" in result.stdout
    assert "in swallows" in result.stdout


def test_needs_no_django():
    program = (
        "import sys; from streaming.testing import assert_stops_within; "
        "from tests.samples import faults; "
        "assert_stops_within(faults.sleeps, 2, engine='process'); print('django' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (result.stdout, result.stderr) == ("False\n", "")


def gives_no_picture():
    return {}


class TourForm(forms.Form):
    """As docs/authors.md has it."""

    live = ("pace",)
    cities = forms.CharField(widget=forms.Textarea)
    pace = forms.IntegerField(initial=30, min_value=0)


@simulation(form=TourForm)
def tour(ctx, cities, pace):
    while True:
        ctx.plot(pace=pace)
        yield simulations.svg(cities)
        ctx.sleep(0.01)


class Colour(enum.Enum):
    RED = "red"


@simulation
def takes_all(
    ctx,
    days: Annotated[int, Param(1, 1000)] = 3,
    colour: Colour = Colour.RED,
    when: date = date(2026, 1, 1),
    table: Path | None = None,
    raw: bytes | None = None,
):
    content = table.read_text() if table else ""
    yield simulations.svg(f"{days} {colour.name} {when:%d.%m.} {content} {raw}")


class TestParameters:
    def test_that_a_form_requires_may_be_given(self):
        assert "<text>Rome</text>" in pictures(tour, 1, params={"cities": "Rome"})[0]
        assert plotted(tour, 1, params={"cities": "Rome"}) == {"pace": [(1, 30.0)]}
        assert_stops_within(tour, 2.0, params={"cities": "Rome"})

    @pytest.mark.parametrize(
        ("one", "params", "wrong"),
        [
            (tour, {}, "cities"),
            (tour, {"cities": "Rome", "pace": -1}, "pace"),
            (takes_all, {"days": 0}, "days"),
            (takes_all, {"day": 1}, "day"),
        ],
    )
    def test_that_no_session_could_have_are_refused(self, one, params, wrong):
        for take in (pictures, plotted, assert_stops_within):
            with pytest.raises(InvalidParams) as caught:
                take(one, 1, params=params)
            assert list(caught.value.fields) == [wrong]

    def test_are_given_as_the_step_gets_them(self, tmp_path):
        """Files, too, which a page sends in another form."""
        table = tmp_path / "table.csv"
        table.write_text("1;2")
        given = {"colour": Colour.RED, "when": date(2026, 2, 3), "table": table, "raw": b"raw"}
        assert "3 RED 03.02. 1;2 b'raw'" in pictures(takes_all, 1, params=given)[0]

    @pytest.mark.django_db
    def test_may_be_rows_of_a_model(self, django_user_model):
        user = django_user_model.objects.create_user("ada")

        class UserForm(forms.Form):
            user = forms.ModelChoiceField(django_user_model.objects.all())

        @simulation(form=UserForm)
        def greets(user):
            yield simulations.svg(user.username)

        for given in (user, user.pk):
            assert "<text>ada</text>" in pictures(greets, 1, params={"user": given})[0]


class TestPictures:
    def test_are_those_of_the_steps(self):
        one, two = pictures(simulations.finite, 2)
        assert "<text>1</text>" in one
        assert "<text>2</text>" in two

    def test_end_with_the_simulation(self):
        assert len(pictures(simulations.finite, 10, params={"count": 3})) == 3

    def test_show_what_was_done_on_them(self):
        events = {2: [Pointer("down", 1, 2, "a")], 3: [Pointer("move", 3, 4), Pointer("up", 3, 4)]}
        one, two, three, four = pictures(simulations.sketch, 4, events=events)
        assert "<text></text>" in one
        assert "<text>down:1,2:a</text>" in two
        assert "<text>down:1,2:a move:3,4:None up:3,4:None</text>" in three
        assert four == three

    def test_that_are_none_are_said(self):
        with pytest.raises(InvalidFrame, match="got dict"):
            pictures(gives_no_picture, 1)
