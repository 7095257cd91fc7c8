"""For the tests of a simulation's author. It needs no Django, but uses it where it is set up."""

import sys
from collections.abc import Callable
from typing import Any

from streaming.engine.headless import HeadlessSession
from streaming.engine.isolation.forkserver import ForkServer
from streaming.engine.simulations import Engine, Simulation, describe, described
from streaming.engine.snapshot import Rung, Snapshot, State

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
        params: Values for the parameters that have no default, or another one.
        after_steps: How many steps to take before the stop.
        stop_grace: As the setting `LIVESTEP_STOP_GRACE`.

    Raises:
        AssertionError: If it takes longer, with the place where the step was; or if it fails, or
            ends, before it could be stopped.
    """
    found = described(simulation) or describe(simulation)
    with HeadlessSession(
        found,
        {**_defaults(found), **(params or {})},
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


def _not_stopped(end: Snapshot) -> AssertionError:
    return AssertionError(
        f"{end.simulation} could not be stopped: it is {end.state} after {end.step} steps. "
        f"{end.error or ''}\n{end.traceback or ''}".rstrip()
    )


def _defaults(simulation: Simulation) -> dict[str, Any]:
    if simulation.form is not None:
        from streaming.catalog.forms import validate_params

        return validate_params(simulation, {})
    return {spec.name: spec.default for spec in simulation.params if not spec.required}


_plain_fork_server = ForkServer()


def _fork_server() -> ForkServer:
    """Return the one that has the project loaded, where there is a project."""
    django_conf = sys.modules.get("django.conf")
    if django_conf is not None and django_conf.settings.configured:
        from streaming.catalog.fork_server import fork_server

        return fork_server
    return _plain_fork_server
