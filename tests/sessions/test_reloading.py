"""Files that are loaded anew, and what becomes of the sessions of their simulations."""

import asyncio
import json
import linecache
import os
from dataclasses import replace
from typing import Annotated, Literal

import pytest
from django import forms
from django.core.management import CommandError, call_command

from streaming.catalog.fork_server import _argument
from streaming.catalog.forms import validate_params
from streaming.catalog.registry import Registry, SimulationFileError, neighbours, registry
from streaming.delivery.framing import Encoding
from streaming.delivery.window import Window
from streaming.engine.context import Context
from streaming.engine.errors import InvalidParams, TooManySessions
from streaming.engine.isolation.forkserver import ForkServer
from streaming.engine.params import Param
from streaming.engine.simulations import Abandon, Engine, describe
from streaming.engine.snapshot import StopReason
from streaming.engine.traces import Place
from streaming.identity import Identity
from streaming.sessions.control import Caller
from streaming.sessions.reloading import WatchedFile, carried_over, restart_sessions, tell_failure
from tests.engine.running import Run, gone, is_there
from tests.parts import close_sessions, sessions
from tests.samples import faults
from tests.samples import simulations as samples

WAIT_S = 15
ADA = Identity(user_id=None, name="ada", browser="b1")

ONE = """
from streaming import simulation

@simulation
def mine(size: int = 3):
    yield f"<svg>one {size}</svg>"
"""
TWO = ONE.replace("one", "two")


@pytest.fixture
def write(tmp_path):
    def write(text, name="my_sim.py", second=None):
        path = tmp_path / name
        path.write_text(text)
        if second is not None:
            os.utime(path, (second, second))
        return path

    return write


@pytest.fixture
def loaded(write):
    """A registry with a file."""

    def loaded(text=ONE):
        found = Registry()
        found.add_file(write(text, second=1_000_000))
        return found

    return loaded


def drawn(simulation, **params):
    return next(simulation.target(**params))


class TestRegistry:
    def test_has_the_new_version_where_the_former_one_was(self, loaded, write):
        found = loaded()
        former, others = found.get("mine"), found.all()[1:]
        assert found.reload_file(write(TWO)) == {"mine": found.get("mine")}
        assert found.get("mine") is not former
        assert drawn(found.get("mine"), size=1) == "<svg>two 1</svg>"
        assert drawn(former, size=1) == "<svg>one 1</svg>"
        assert found.all()[1:] == others
        assert found.default_name == "mine"

    def test_two_saves_within_a_second_are_told_apart(self, loaded, write):
        """Python itself would take what it has compiled of the first for the second."""
        found = loaded()
        found.reload_file(write(TWO, second=1_000_000))
        assert drawn(found.get("mine"), size=1) == "<svg>two 1</svg>"

    def test_a_stack_shows_the_lines_of_the_new_version(self, loaded, write):
        found = loaded()
        (path,) = found.files
        assert linecache.getline(str(path), 6) == '    yield f"<svg>one {size}</svg>"\n'
        found.reload_file(write(TWO))
        assert linecache.getline(str(path), 6) == '    yield f"<svg>two {size}</svg>"\n'

    def test_a_file_of_the_setting_is_loaded_anew_as_well(self, write, settings):
        path = write(ONE)
        settings.LIVESTEP = {"SIMULATIONS": [str(path)]}
        found = Registry()
        found.all()
        write(TWO)
        found.reload_file(found.files[0])
        assert drawn(found.all()[0], size=1) == "<svg>two 1</svg>"

    def test_what_is_gone_and_what_is_new_is_said(self, loaded, write):
        found = loaded()
        changes = found.reload_file(write(ONE.replace("mine", "other")))
        assert changes == {"mine": None, "other": found.get("other")}
        assert found.names_in(found.files[0]) == ["other"]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("x = (\n", r"my_sim.py:1: SyntaxError"),
            ("\n1/0\n", r"my_sim.py:2: ZeroDivisionError"),
            ("raise SystemExit", r"my_sim.py:1: SystemExit"),
            ("", r"no simulation in it"),
            (ONE.replace("mine", "ising"), r"two simulations have the name 'ising'"),
        ],
    )
    def test_a_file_that_cannot_be_used_changes_nothing(self, loaded, write, text, said):
        found = loaded()
        former = found.all()
        with pytest.raises(SimulationFileError, match=said):
            found.reload_file(write(text))
        assert found.all() == former
        assert found.broken == {found.files[0]}
        found.reload_file(write(TWO))
        assert not found.broken
        assert drawn(found.get("mine"), size=1) == "<svg>two 1</svg>"

    def test_a_neighbour_is_loaded_anew_too_and_comes_back_after_a_failure(self, loaded, write):
        text = "import neighbour_to_reload\n" + ONE.replace("one", "{neighbour_to_reload.WORD}")
        write("WORD = 'old'", "neighbour_to_reload.py", second=1_000_000)
        found = loaded(text)
        (path,) = found.files
        assert neighbours(path) == [path.with_name("neighbour_to_reload.py")]
        write("WORD = (   ", "neighbour_to_reload.py", second=1_000_000)
        with pytest.raises(SimulationFileError, match=r"neighbour_to_reload.py:1: SyntaxError"):
            found.reload_file(path)
        assert drawn(found.get("mine"), size=1) == "<svg>old 1</svg>"
        write("WORD = 'new'", "neighbour_to_reload.py", second=1_000_000)
        found.reload_file(path)
        assert drawn(found.get("mine"), size=1) == "<svg>new 1</svg>"

    def test_one_broken_file_does_not_keep_a_fork_server_from_the_others(
        self, loaded, write, settings, monkeypatch
    ):
        bad, good = write("x = (", "bad_sim.py"), write(ONE, "good_sim.py")
        settings.LIVESTEP = {"SIMULATIONS": [str(bad), str(good)]}
        monkeypatch.setattr(registry, "broken", frozenset([bad]))
        argument = json.loads(json.dumps(_argument()))
        found = Registry()
        found.broken = frozenset(map(type(bad), argument["broken"]))
        assert found.all()[0].name == "mine"


class TestWatchedFile:
    def test_a_save_is_seen_once(self, write):
        watched = WatchedFile(write(ONE))
        assert not watched.is_saved()
        write(ONE + "\n")
        assert watched.is_saved()
        watched.note()
        assert not watched.is_saved()

    def test_another_file_in_its_place_is_a_save(self, write):
        """An editor writes a new one and moves it there; even size and time may be the same."""
        path = write(ONE, second=1_000_000)
        watched = WatchedFile(path)
        write(TWO, "draft", second=1_000_000).replace(path)
        assert watched.is_saved()

    def test_one_that_vanishes_is_waited_for(self, write):
        path = write(ONE)
        watched = WatchedFile(path)
        path.unlink()
        assert not watched.is_saved()
        watched.note()
        write(TWO, second=1_000_000)
        assert watched.is_saved()

    def test_names_the_file_that_was_saved(self, loaded, write):
        write("WORD = 'old'", "neighbour_that_is_saved.py", second=1_000_000)
        (path,) = loaded("import neighbour_that_is_saved\n" + ONE).files
        watched = WatchedFile(path)
        beside = write("WORD = 'new'", "neighbour_that_is_saved.py", second=2_000_000)
        assert watched.saved() == [beside]

    def test_sees_a_save_in_a_folder_of_its_package(self, tmp_path):
        inner = tmp_path / "watched_package" / "inner"
        inner.mkdir(parents=True)
        for folder in (inner, inner.parent):
            (folder / "__init__.py").touch()
        (inner / "deep.py").write_text("WORD = 'old'")
        path = inner.parent / "sim.py"
        path.write_text("from .inner.deep import WORD\n" + ONE.replace("one", "{WORD}"))
        found = Registry()
        found.add_file(path)
        watched = WatchedFile(path)
        (inner / "deep.py").write_text("WORD = 'newer'")
        assert watched.saved() == [inner / "deep.py"]
        found.reload_file(path)
        assert drawn(found.get("mine"), size=1) == "<svg>newer 1</svg>"

    def test_a_file_beside_it_counts_only_while_it_is_imported(self, write, monkeypatch):
        watched = WatchedFile(write(ONE))
        beside = write("", "beside.py")
        assert not watched.is_saved()
        monkeypatch.setattr(registry, "broken", frozenset([watched.path]))
        assert watched.is_saved()  # It may be what could not be imported.
        watched.note()
        beside.write_text("x = 1")
        assert watched.is_saved()


def former(ctx, size: int = 3, rule: Literal["life", "seeds"] = "life", word: str = "abc"):
    """What the author had."""


class TestCarriedOver:
    VALUES = {"size": 8, "rule": "seeds", "word": "xyz"}

    def test_keeps_every_value_that_may_still_be(self):
        assert carried_over(describe(former), self.VALUES) == (self.VALUES, [])

    def test_a_parameter_that_is_gone_is_dropped_and_named(self):
        def now(size: int = 3, word: str = "abc"): ...

        params, lost = carried_over(describe(now), self.VALUES)
        assert (params, lost) == ({"size": 8, "word": "xyz"}, ["rule"])

    def test_a_new_parameter_has_its_default(self):
        def now(size: int = 3, depth: int = 7): ...

        params, lost = carried_over(describe(now), {"size": 8})
        assert (params, lost) == ({"size": 8, "depth": 7}, [])

    def test_a_value_that_is_no_longer_allowed_becomes_the_default(self):
        def now(
            size: Annotated[int, Param(max=5)] = 4,
            rule: Literal["life", "maze"] = "maze",
            word: int = 1,
        ): ...

        params, lost = carried_over(describe(now), self.VALUES)
        assert (params, lost) == ({"size": 4, "rule": "maze", "word": 1}, ["size", "rule", "word"])

    def test_values_that_do_not_go_together_all_become_defaults(self):
        class Both(forms.Form):
            low = forms.IntegerField(initial=1)
            high = forms.IntegerField(initial=2)

            def clean(self):
                if self.cleaned_data["low"] > self.cleaned_data["high"]:
                    raise forms.ValidationError("low is above high")
                return self.cleaned_data

        simulation = describe(lambda low, high: None, name="both", form=Both)
        params, lost = carried_over(simulation, {"low": 3, "high": 2})
        assert (params, lost) == ({"low": 1, "high": 2}, ["low", "high"])

    def test_a_new_parameter_without_a_default_is_an_error(self):
        def now(size: int, depth: int): ...

        with pytest.raises(InvalidParams, match="depth: "):
            carried_over(describe(now), {"size": 8})


@pytest.fixture
async def run(no_rows):
    """Start a session, with one viewer unless told otherwise."""

    def run(name, watched=True, given=None, **options):
        simulation = registry.get(name)
        live = sessions.create(simulation, validate_params(simulation, given or {}), ADA, **options)
        if watched:
            watch(live)
        live.start()
        started.append(live)
        return live

    started = []
    yield run
    samples.release.set()
    for live in started:
        for window in getattr(live, "windows", ()):
            live.detach(window)
    await close_sessions()


def watch(live):
    """Add a viewer that takes everything."""
    window = Window(lambda: None)
    live.attach(window, Encoding.IDENTITY)
    live.windows = [*getattr(live, "windows", ()), window]
    return window


async def ended(live):
    await asyncio.wait_for(live.ended.wait(), WAIT_S)


async def until(fact):
    """Wait until something is true that a worker's thread makes true."""
    async with asyncio.timeout(WAIT_S):
        while not fact():
            await asyncio.sleep(0.01)


async def running(live):
    await until(lambda: live.session.snapshot().step)


def notices(live):
    """Return what the viewer of a session who came last was told, by the code of the notice."""
    window = live.windows[-1]
    said = {}
    while (content := window.take(0.0)) is not None:
        if isinstance(content, str) and (message := json.loads(content))["type"] == "notice":
            said[message.pop("code")] = message
    return said


async def save(name, simulation):
    """Bring another version of a simulation, None for that it is gone."""
    await restart_sessions(sessions, "my_sim.py", {name: simulation})


def new_version(name, **changes):
    return replace(registry.get(name), title="New", **changes)


class TestSessions:
    async def test_go_on_as_others_with_what_was_chosen(self, run):
        live = run("counter", given={"size": 6}, abandon=Abandon.KEEP)
        live.session.set_params({"level": 5})
        live.session.set_fps(7)
        live.session.set_step_rate(20)
        await save("counter", new_version("counter"))
        new = live.successor
        assert (new.session.simulation.title, new.owner, new.token) == ("New", ADA, live.token)
        now = new.session.snapshot()
        assert (now.params, now.fps, now.steps_per_second) == ({"level": 5, "size": 6}, 7, 20)
        assert new.wishes == live.wishes
        await ended(live)
        assert live.session.snapshot().stop.by == "reload"
        said = "my_sim.py was saved: the session was started anew."
        told = {"type": "notice", "message": said, "session": new.id}
        assert notices(live) == {"reloaded": told}
        watch(live)
        assert notices(live) == {"reloaded": told}

    async def test_parameters_that_could_not_be_kept_are_named(self, run):
        live = run("counter", given={"size": 6, "level": 5})

        def now(ctx: Context, level: Annotated[int, Param(0, 3)] = 2):
            yield "<svg/>"

        await save("counter", describe(now, name="counter"))
        assert dict(live.successor.session.snapshot().params) == {"level": 2}
        assert notices(live)["reloaded"]["message"].endswith("At their defaults: level, size.")

    async def test_what_was_left_to_the_simulation_follows_the_new_version(self, run):
        live = run("counter", engine=Engine.THREAD)
        version = new_version("counter", fps=5, engine=Engine.PROCESS)
        await save("counter", version)
        new = live.successor
        assert (new.engine, new.session.snapshot().fps) == (Engine.PROCESS, 5)

    async def test_a_paused_one_pauses_after_its_first_step(self, run):
        live = run("counter")
        await running(live)
        live.pause()
        await save("counter", new_version("counter"))
        await until(lambda: live.successor.session.state == "paused")
        assert live.successor.session.snapshot().step == 1
        assert live.successor.session.frame is not None

    async def test_one_that_was_started_since_is_left_alone(self, run):
        live = run("counter")
        await save("counter", live.session.simulation)
        assert live.successor is None
        assert live.goes_on

    async def test_each_is_replaced_once(self, run):
        live = run("stubborn")
        assert await asyncio.to_thread(samples.entered.wait, WAIT_S)
        await save("stubborn", new_version("stubborn"))
        first = live.successor
        await save("stubborn", new_version("stubborn"))
        assert live.successor is first
        assert first.successor is not None

    async def test_the_viewers_of_a_failed_one_see_it_run_once_it_is_mended(self, run):
        live = run("broken")
        unwatched = run("broken", watched=False)
        await ended(live)
        await ended(unwatched)
        await tell_failure(sessions, ["broken"], "my_sim.py:7: SyntaxError: no")
        await save("broken", new_version("broken", target=samples.counter))
        assert live.successor.session.simulation.title == "New"
        assert unwatched.successor is None
        assert list(notices(live)) == ["reload_failed", "reloaded"]

    async def test_finished_and_stopped_ones_stay_so(self, run):
        finished, stopped = run("finite"), run("counter")
        stopped.request_stop("client")
        await ended(finished)
        await ended(stopped)
        await save("finite", new_version("finite"))
        await save("counter", new_version("counter"))
        assert (finished.successor, stopped.successor) == (None, None)

    async def test_those_of_a_simulation_that_is_gone_are_stopped(self, run):
        live, other = run("counter"), run("slow")
        await save("counter", None)
        await ended(live)
        assert live.session.snapshot().stop.by == "reload"
        said = "my_sim.py was saved: the simulation counter is no longer in it."
        assert notices(live) == {"reloaded": {"type": "notice", "message": said}}
        assert other.goes_on

    async def test_one_of_the_plain_dialect_is_only_stopped(self, run):
        live = run("counter", abandon=Abandon.STOP, abandon_grace=0)
        await save("counter", new_version("counter"))
        await ended(live)
        assert live.successor is None

    async def test_a_failure_is_told_to_who_comes_later_until_it_is_mended(self, run):
        live = run("counter")
        await tell_failure(sessions, ["counter"], "my_sim.py:7: SyntaxError: no")
        assert live.goes_on
        told = notices(live)
        assert told["reload_failed"]["message"] == "my_sim.py:7: SyntaxError: no"
        watch(live)
        assert notices(live) == told
        await save("counter", live.session.simulation)
        watch(live)
        assert notices(live) == {}

    async def test_a_failure_is_told_to_sessions_that_are_started_after_it(self, run):
        """They are those of the file as it was before."""
        place = Place("my_sim.py", 7, "no")
        await tell_failure(sessions, ["counter"], "my_sim.py:7: SyntaxError: no", place)
        live, other = run("counter"), run("slow")
        assert notices(live)["reload_failed"]["message"] == "my_sim.py:7: SyntaxError: no"
        assert live.broken_at == place
        assert notices(other) == {}
        await save("counter", live.session.simulation)
        assert notices(live) == notices(run("counter")) == {}

    async def test_where_a_mistake_is_is_told_to_who_asks_and_may_know(self, run):
        live = run("counter")
        place = Place("my_sim.py", 7, "no", ((6, "yes"), (7, "no")))
        await tell_failure(sessions, ["counter"], "my_sim.py:7: SyntaxError: no", place)
        window = watch(live)
        more = await live.confide(["output"], Caller(Identity(), live.token))
        live.report(window, "1", more=more)
        texts = [content for content in iter(lambda: window.take(0.0), None) if content[:1] == "{"]
        told = json.loads(next(text for text in texts if '"id":"1"' in text))
        assert told["line"] == {
            **{"file": "my_sim.py", "line": 7, "code": "no"},
            "around": [[6, "yes"], [7, "no"]],
        }
        await save("counter", live.session.simulation)
        assert live.broken_at is None

    async def test_one_that_cannot_be_started_anew_goes_on_and_says_why(self, run):
        live = run("counter")

        def now(depth: int):
            yield "<svg/>"

        await save("counter", describe(now, name="counter"))
        assert live.goes_on
        assert notices(live)["reload_failed"]["message"] == (
            "my_sim.py was saved, but this session could not be started anew: "
            "depth: This field is required."
        )

    async def test_a_form_that_raises_harms_no_other_session(self, run, caplog):
        class Raises(forms.Form):
            def clean(self):
                raise ZeroDivisionError("mine")

        live, other = run("counter"), run("slow")
        versions = {"counter": new_version("counter", form=Raises), "slow": new_version("slow")}
        await restart_sessions(sessions, "my_sim.py", versions)
        assert live.goes_on
        assert other.successor is not None
        assert f"session {live.id} could not be started anew" in caplog.text

    async def test_wait_for_their_viewers_however_short_the_grace(self, run, settings):
        settings.LIVESTEP = {"ABANDON_GRACE": 0}
        live = run("counter")
        await save("counter", new_version("counter"))
        await ended(live)
        await running(live.successor)
        assert live.successor.goes_on


class TestPlaces:
    async def test_a_new_one_waits_for_the_only_place(self, run, settings):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 1, "MAX_SESSIONS_PER_OWNER": 1, "MAX_QUEUED": 0}
        live = run("counter")
        await running(live)
        await save("counter", new_version("counter"))
        assert live.successor.session.state == "queued"
        await running(live.successor)
        assert live.session.state == "stopped"

    async def test_all_of_an_owner_who_may_have_no_more_are_replaced(self, run, settings):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 1, "MAX_SESSIONS_PER_OWNER": 2, "MAX_QUEUED": 1}
        one, waiting = run("counter"), run("counter")
        await running(one)
        assert waiting.session.state == "queued"
        await save("counter", new_version("counter"))
        await running(one.successor)
        assert (one.session.state, waiting.session.state) == ("stopped", "stopped")
        assert waiting.successor.session.state == "queued"
        with pytest.raises(TooManySessions, match="you have 2 sessions"):
            run("counter")

    async def test_one_that_was_stopped_counts_no_more_while_its_thread_ends(
        self, run, settings, monkeypatch
    ):
        settings.LIVESTEP = {"MAX_THREAD_SESSIONS": 1, "MAX_SESSIONS_PER_OWNER": 2, "MAX_QUEUED": 1}
        ends = []
        monkeypatch.setattr(sessions, "_gone", ends.append)
        one, waiting = run("counter"), run("counter")
        monkeypatch.undo()
        await running(one)
        new = new_version("counter")
        sessions.replace(one, new, {})
        one.request_stop(StopReason.RELOAD)
        await ended(one)
        await until(lambda: ends)
        assert sessions.replace(waiting, new, {}) is waiting.successor
        waiting.request_stop(StopReason.RELOAD)
        for live in (one, waiting):
            sessions._gone(live)

    async def test_a_stuck_one_keeps_its_place_and_the_new_one_takes_another(self, run, settings):
        settings.LIVESTEP = {"STOP_GRACE": 0, "MAX_THREAD_SESSIONS": 2, "MAX_SESSIONS_PER_OWNER": 2}
        live = run("stubborn")
        assert await asyncio.to_thread(samples.entered.wait, WAIT_S)
        await save("stubborn", new_version("stubborn"))
        first = live.successor
        await ended(live)
        assert live.session.state == "stuck"
        await running(first)
        await save("stubborn", new_version("stubborn"))
        second = first.successor
        await ended(first)
        assert (first.session.state, second.session.state) == ("stuck", "queued")
        # Two stuck ones are as many as this owner may have: nothing is started for a third.
        third = new_version("stubborn")
        await save("stubborn", third)
        assert second.successor is None


class TestCommand:
    @pytest.mark.django_db  # Django 6.1 asks SQLite what it supports before it checks a model.
    def test_without_a_file_to_watch_it_ends_with_2(self):
        with pytest.raises(CommandError, match="--reload: there is no file to watch") as caught:
            call_command("serve", "--reload")
        assert caught.value.returncode == 2


class TestForkServer:
    @pytest.fixture
    def fork_server(self):
        server = ForkServer()
        yield server
        server.close()

    def test_a_renewed_one_leaves_the_former_to_its_children(self, fork_server):
        one = Run(faults.spins, fork_server=fork_server).start().until_in_step(2)
        former, child = fork_server.pid, one.worker.pid
        fork_server.renew()
        two = Run(faults.spins, fork_server=fork_server).start().until_in_step(2)
        assert fork_server.pid != former
        assert is_there(former)
        assert is_there(child)
        assert one.stop().state == "stopped"
        assert gone(former, child)
        assert two.session.state == "running"
        two.stop()
        one.ended(), two.ended()

    def test_one_that_never_ran_is_not_started(self, fork_server):
        fork_server.renew()
        assert fork_server.pid is None

    def test_closing_ends_the_former_one_too(self, fork_server):
        one = Run(faults.spins, fork_server=fork_server).start().until_in_step(2)
        pids = [fork_server.pid, one.worker.pid]
        fork_server.renew()
        pids.append(fork_server.pid)
        fork_server.close()
        assert gone(*pids)
        one.ended()
