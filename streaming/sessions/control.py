"""What may be done to a session of this process, and by whom. Every stop comes this way."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from channels.db import database_sync_to_async
from django.utils.translation import gettext as _

from streaming.catalog.forms import validate_live_params
from streaming.delivery import protocol
from streaming.delivery.protocol import Verb
from streaming.engine.errors import Forbidden, Unavailable
from streaming.engine.events import Pointer
from streaming.engine.session import Session
from streaming.engine.simulations import Simulation
from streaming.engine.snapshot import StopReason
from streaming.engine.traces import Place
from streaming.identity import Identity, is_same_owner

# How many forms of one simulation are validated at once, and for how long each is waited for.
FORM_THREADS = 4
FORM_S = 10.0

Valid = TypeVar("Valid")


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a command.

    Args:
        identity: The user or browser.
        token: The session's token, if the caller has shown one.
        by: The name used in the receipt of a stop.
    """

    identity: Identity = field(default_factory=Identity)
    token: str | None = None
    by: StopReason = StopReason.CLIENT


class Controlled(Protocol):
    """A session of this process, as far as it can be controlled."""

    session: Session
    # Where its file has a mistake since it was saved, if it has one.
    broken_at: Place | None

    @property
    def owner(self) -> Identity: ...

    def shows_token(self, token: str | None) -> bool: ...

    def request_stop(self, by: StopReason) -> None: ...

    def pause(self) -> None: ...


# Somebody whose permission to control every session was checked already.
STAFF = Identity(controls_all=True)


def may_control(live: Controlled, caller: Caller) -> bool:
    return (
        live.shows_token(caller.token)
        or is_same_owner(caller.identity, live.owner)
        or caller.identity.controls_all
    )


def check_may_control(live: Controlled, caller: Caller) -> None:
    """Refuse a caller that may only watch.

    Raises:
        Forbidden: If the session is not theirs.
    """
    if not may_control(live, caller):
        raise Forbidden(_("you are watching this session; only its owner may control it"))


def confided(live: Controlled, what: Collection[str], caller: Caller) -> dict[str, Any]:
    """Return the parts of the `session` message that only those are told who may control it.

    Args:
        what: `params` for all of them, with long texts; `output` for what it printed last, and
            where it failed; `line` for the latter only.

    Raises:
        Forbidden: If the session is not theirs.
    """
    check_may_control(live, caller)
    told: dict[str, Any] = {}
    if "params" in what:
        told |= protocol.told_params(live.session.snapshot().params, whole=True)
    place = live.session.place or live.broken_at
    if "output" in what:
        told |= protocol.told_output(live.session.output.read())
    if "output" in what or ("line" in what and place):
        told |= protocol.told_line(place)
    return told


async def obey(live: Controlled, command: protocol.Command, caller: Caller) -> None:
    """Do what a caller asks for.

    Raises:
        Forbidden: If the session is not theirs.
        WrongState: If it makes no sense now.
        InvalidParams: If parameters do not validate, or are not live.
    """
    if isinstance(command, Pointer):
        point(live, command, caller)
        return
    check_may_control(live, caller)
    session = live.session
    match command:
        case Verb.STOP:
            live.request_stop(caller.by)
        case Verb.PAUSE:
            live.pause()
        case Verb.RESUME:
            session.resume()
        case protocol.Step(count):
            session.take_steps(count)
        case protocol.SetParams(params):
            current = session.snapshot().params
            session.set_params(
                await validated(validate_live_params, session.simulation, current, params)
            )
        case protocol.Rate(fps, changes_step_rate, steps_per_second):
            if fps is not None:
                session.set_fps(fps)
            if changes_step_rate:
                session.set_step_rate(steps_per_second)


def point(live: Controlled, event: Pointer, caller: Caller) -> None:
    """Give the simulation what a caller did on the picture. From any other than the driver it is
    ignored: a viewer's page may not know yet that it no longer is one."""
    if may_control(live, caller):
        live.session.point(event)


async def validated(
    validate: Callable[..., Valid], simulation: Simulation, *given: Mapping[str, Any]
) -> Valid:
    """Validate parameters on a thread of the simulation's own: an author's form may ask the
    database, or a service that never answers. Then only this simulation cannot be started.

    Raises:
        InvalidParams: If they do not validate.
        Unavailable: If the form takes too long.
    """
    validate_there = database_sync_to_async(
        validate, thread_sensitive=False, executor=_form_threads(simulation)
    )
    try:
        async with asyncio.timeout(FORM_S) as limit:
            return await validate_there(simulation, *given)
    except TimeoutError as error:
        if not limit.expired():
            raise  # The form's own.
        raise Unavailable(
            _("the check of the parameters of %(name)s takes too long: try again in a moment")
            % {"name": simulation.name}
        ) from error


# With `--reload` a file's simulations are others after each change: the oldest are let go, and
# their threads end.
@lru_cache(maxsize=64)
def _form_threads(simulation: Simulation) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(FORM_THREADS, thread_name_prefix=f"form of {simulation.name}")
