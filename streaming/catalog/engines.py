"""Which engine a simulation runs in: its own choice, what it needs, or the site's."""

import os
from functools import cache
from importlib.util import find_spec

from django.utils.translation import gettext as _

from streaming.conf import conf
from streaming.engine.errors import Forbidden, InvalidSimulation, Unavailable
from streaming.engine.isolation.reference import Reference
from streaming.engine.pyplot import uses_pyplot
from streaming.engine.simulations import Engine, Simulation
from streaming.process import process


def engine_of(simulation: Simulation) -> Engine:
    """Return where the steps of a simulation are taken when nobody asks for something else."""
    if simulation.engine is not None:
        return simulation.engine
    if uses_pyplot(simulation) and not conf().ENGINE.has_process and _can_have_one(simulation):
        return Engine.PROCESS
    return conf().ENGINE


def local_engine_of(simulation: Simulation) -> Engine:
    """Return the engine for a session that has to run in this process."""
    engine = engine_of(simulation)
    return Engine.PROCESS if engine is Engine.CLUSTER else engine


def chosen_engine(simulation: Simulation, asked: Engine | None) -> Engine:
    """Return where a session's steps are taken.

    Args:
        asked: The client's wish.

    Raises:
        Forbidden: If that would isolate less than the simulation asks for.
        Unavailable: If it needs a compute machine, which this site cannot have.
    """
    declared = engine_of(simulation)
    if asked is not None and asked.isolates_less_than(declared):
        raise Forbidden(
            _(
                "%(name)s runs in a process of its own; a client may ask for more isolation than "
                "that, never for less"
            )
            % {"name": simulation.name}
        )
    engine = asked or declared
    if engine is Engine.CLUSTER and why_no_cluster():
        raise Unavailable(
            _("%(name)s would run on a compute machine, and this site has none")
            % {"name": simulation.name}
        )
    return engine


def why_no_cluster() -> str:
    """Say what is missing for sessions on compute machines; "" if nothing is."""
    if not conf().BROKER_URL:
        return "there is no broker: set REDIS_URL, or LIVESTEP_BROKER_URL as well"
    if not process.has_others:
        return 'there is no channel layer "frames" that processes could share: set REDIS_URL'
    if not _has_celery():
        return 'Celery is not installed: pip install "django-livestep[cluster]"'
    return ""


@cache
def _has_celery() -> bool:
    return find_spec("celery") is not None


def _can_have_one(simulation: Simulation) -> bool:
    try:
        Reference.to(simulation)
    except InvalidSimulation:
        return False
    return hasattr(os, "fork")
