"""For the tests of a simulation's author. It needs no Django, but uses it where it is set up."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from streaming.engine.context import Context
from streaming.engine.events import Pointer
from streaming.engine.frames import to_svg
from streaming.engine.headless import HeadlessSession
from streaming.engine.isolation.forkserver import ForkServer
from streaming.engine.isolation.spawning import server_of_children
from streaming.engine.params import FILES, Params, Upload, default_of
from streaming.engine.saved import SavedFiles
from streaming.engine.simulations import Engine, Simulation, describe, described
from streaming.engine.snapshot import Progress, Rung, Snapshot, State
from streaming.engine.stopping import AuthorCode

START_TIMEOUT_S = 60.0


def assert_stops_within(
    simulation: Callable[..., Any],
    seconds: float,
    *,
    engine: str | None = None,
    params: dict[str, Any] | None = None,
    after_steps: int = 1,
    stop_grace: float = 2.0,
) -> None:
    """Start a simulation, stop it in the middle of a step, and see that it ends in time.

    Args:
        simulation: What stands under `@simulation`, or any function or class that could.
        seconds: How long the stop may take. Below `stop_grace` the step has to hear it by
            itself; the process engine ends any step `stop_grace` and one second after.
        engine: "thread" or "process"; by default what the simulation declares, else "thread".
        params: Values for the parameters that have no default, or another one. With Django they
            are validated, and InvalidParams is raised for what no session could have.
        after_steps: How many steps to take before the stop.
        stop_grace: As the setting `LIVESTEP_STOP_GRACE`.

    Raises:
        AssertionError: If it takes longer, with the place where the step was; or if it fails, or
            ends, before it could be stopped.
    """
    found = described(simulation) or describe(simulation)
    with HeadlessSession(
        found,
        _values(found, params or {}),
        engine=Engine(engine) if engine else found.engine or Engine.THREAD,
        fork_server=_fork_server(),
        fps=30,
        stop_grace=stop_grace,
    ) as running:
        began = running.wait_for_step(after_steps + 1, START_TIMEOUT_S)
        before = running.session.snapshot()
        if not began or before.state.ended:
            raise _not_stopped(before)
        stack = "" if running.stops_within(seconds) else running.worker.stack()
        end = running.stop()
    if end.state in (State.FAILED, State.FINISHED):  # Before it heard of the stop.
        raise _not_stopped(end)
    if end.state is State.STUCK:
        raise AssertionError(f"{found.name} does not stop at all; it is at:\n{end.traceback}")
    took = (end.stop.after_ms or 0) / 1000 if end.stop else 0.0
    if took > seconds:
        how = end.stop.how if end.stop else Rung.FLAG
        raise AssertionError(
            f"{found.name} took {took:.2f} s to stop, by {how}; {seconds:g} s were allowed. "
            f"After them it was at:\n{stack}"
        )


def pictures(
    simulation: Callable[..., Any],
    count: int,
    *,
    params: dict[str, Any] | None = None,
    events: Mapping[int, Sequence[Pointer]] | None = None,
) -> list[str]:
    """Take steps of a simulation on this thread, and return what each has drawn, as SVG.

    Args:
        simulation: What stands under `@simulation`, or any function or class that could.
        count: How many steps to take; there are fewer pictures if it ends before.
        params: Values for the parameters that have no default, or another one.
        events: By the number of a step, from 1: what the driver did on the picture before it.

    Raises:
        InvalidFrame: If a picture is none. What the simulation raises comes as it is.
        InvalidParams: If Django is set up, and no session could have these parameters.
    """
    stepper = _Stepper(events or {})
    _context, steps = _begin(simulation, params, stepper)
    drawn = []
    with closing(steps):  # type: ignore[type-var]  # all are generators
        for drawable in islice(steps, count):
            drawn.append(to_svg(drawable).decode())
            stepper.step += 1
    return drawn


def plotted(
    simulation: Callable[..., Any], count: int, *, params: dict[str, Any] | None = None
) -> dict[str, list[tuple[int, float]]]:
    """Take steps of a simulation on this thread, and return what it has plotted.

    Args:
        simulation: What stands under `@simulation`, or any function or class that could.
        count: How many steps to take; it may end before.
        params: Values for the parameters that have no default, or another one.

    Returns:
        The points of each line by its name: the number of the step, from 1, and the value. NaN is
        a gap.

    Raises:
        InvalidParams: If Django is set up, and no session could have these parameters.
    """
    lines: dict[str, list[tuple[int, float]]] = {}
    context, steps = _begin(simulation, params, _Stepper({}))
    with closing(steps):  # type: ignore[type-var]  # all are generators
        for step in range(1, count + 1):
            is_over = next(steps, _OVER) is _OVER
            for name, value in context.plots.take().items():
                lines.setdefault(name, []).append((step, value))
            if is_over:
                break
    return lines


_OVER = object()


def _begin(
    simulation: Callable[..., Any], params: dict[str, Any] | None, stepper: "_Stepper"
) -> tuple[Context, Iterator[Any]]:
    found = described(simulation) or describe(simulation)
    context = Context(stepper, stepper, AuthorCode())
    context.folder = found.folder
    context.params = Params(**_values(found, params or {}))
    return context, found.steps(context)


class _Stepper:
    """What a simulation asks of whoever takes its steps, where nobody watches and nothing waits."""

    stop_requested = False

    def __init__(self, events: Mapping[int, Sequence[Pointer]]) -> None:
        self.step = 1
        self._events = dict(events)
        # They are held to their limits, and not kept.
        self.save = SavedFiles().save

    def frame_due(self) -> bool:
        return True

    def sleep(self, seconds: float) -> None:
        pass

    def events(self) -> list[Pointer]:
        given = sorted(step for step in self._events if step <= self.step)
        return [event for step in given for event in self._events.pop(step)]

    def report_progress(self, done: float, total: float | None, text: str) -> None:
        Progress.of(done, total, text)

    def report_description(self, text: str) -> None:
        pass


def _not_stopped(end: Snapshot) -> AssertionError:
    return AssertionError(
        f"{end.simulation} could not be stopped: it is {end.state} after {end.step} steps. "
        f"{end.error or ''}\n{end.traceback or ''}".rstrip()
    )


def _values(simulation: Simulation, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each parameter: with Django validated as those of a session are.

    Raises:
        InvalidParams: If one is unknown, missing, or not what it should be.
    """
    if not _has_django():
        defaults = {spec.name: default_of(spec) for spec in simulation.params if not spec.required}
        return {**defaults, **given}
    from streaming.catalog.forms import as_data, validate_params

    uploads = {name: _uploaded(value) for name, value in given.items()}
    values = validate_params(simulation, as_data(simulation, uploads))
    # A step gets these as they are; the form has only seen whether they may be.
    return {**values, **{k: v for k, v in given.items() if isinstance(v, FILES)}}


def _uploaded(value: Any) -> Any:
    """Return a file as a form takes it, and any other value as it is."""
    if isinstance(value, Path):
        return Upload(value.name, value.read_bytes(), as_path=True)
    if isinstance(value, bytes):
        return Upload("file", value)
    if hasattr(value, "read"):
        return Upload(Path(value.name).name, value.read())
    return value


_plain_fork_server = server_of_children()


def _fork_server() -> ForkServer:
    """Return the one that has the project loaded, where there is a project."""
    if _has_django():
        from streaming.catalog.fork_server import fork_server

        return fork_server
    return _plain_fork_server


def _has_django() -> bool:
    """Whether Django is set up, as it is in the tests of a project."""
    django_conf = sys.modules.get("django.conf")
    return django_conf is not None and django_conf.settings.configured
