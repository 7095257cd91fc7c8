"""The description that `@simulation` makes: one stepping shape for every form an author writes."""

import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, overload

from streaming.engine.context import Context
from streaming.engine.errors import InvalidSimulation
from streaming.engine.frames import Drawable
from streaming.engine.params import ParamSpec, read_params

MARK = "__livestep__"
NAME_PATTERN = re.compile(r"\w[\w-]{0,63}\Z", re.ASCII)

Target = TypeVar("Target", bound=Callable[..., Any])


class Engine(StrEnum):
    """Where the steps of a session run."""

    THREAD = "thread"
    PROCESS = "process"


class Abandon(StrEnum):
    """What becomes of a session whose last viewer has left."""

    STOP = "stop"
    PAUSE = "pause"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Simulation:
    """One simulation, as its author declared it. What is None is left to the settings."""

    name: str
    title: str
    description: str
    target: Callable[..., Any]
    params: tuple[ParamSpec, ...]
    wants_context: bool
    form: type | None = None
    engine: Engine | None = None
    fps: float | None = None
    abandon: Abandon | None = None
    warm_up: Callable[[], Any] | None = None
    # Not compared: a description is looked up by its hash, which a dict has none of.
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)

    @property
    def folder(self) -> Path:
        """Where the file lies in which it is written."""
        module = sys.modules.get(getattr(self.target, "__module__", None) or "")
        return Path(getattr(module, "__file__", None) or "x").resolve().parent

    def steps(self, context: Context) -> Iterator[Drawable]:
        """Iterate over the simulation: each `next()` takes one step and gives its picture.

        Author code runs in `next()` and in `close()`, on the thread that calls them.
        """
        if inspect.isclass(self.target):
            return self._step_object(context)
        return self._call_function(context)

    def _step_object(self, context: Context) -> Iterator[Drawable]:
        stepping = self._call(context)
        while True:
            try:
                stepping.step()
            except StopIteration:
                return
            yield stepping.render

    def _call_function(self, context: Context) -> Iterator[Drawable]:
        # A decorator may hide that a function is a generator, so its first value decides.
        value = self._call(context)
        if isinstance(value, types.GeneratorType):
            yield from value
            return
        while value is not None:
            yield value
            value = self._call(context)

    def _call(self, context: Context) -> Any:
        arguments = dict(vars(context.params))
        if self.wants_context:
            arguments["ctx"] = context
        return self.target(**arguments)


@overload
def simulation(target: Target, /) -> Target: ...
@overload
def simulation(
    *,
    title: str | None = None,
    name: str | None = None,
    engine: str | None = None,
    fps: float | None = None,
    abandon: str | None = None,
    form: type | None = None,
    warm_up: Callable[[], Any] | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[Target], Target]: ...
def simulation(target: Any = None, /, **options: Any) -> Any:
    """Declare a simulation; the decorated object comes back unchanged.

    Args:
        title: What people see. By default made from the name.
        name: What addresses it. By default the function's name, or the class's in snake_case.
        engine: "thread" or "process"; by default the setting `LIVESTEP_ENGINE`.
        fps: Frames per second at most, 0 for no clock; by default the setting `LIVESTEP_FPS`.
        abandon: "stop", "pause" or "keep", when the last viewer has left.
        form: A Django Form class that validates the parameters, instead of the signature.
            Its optional attribute `live` names the fields that may change while running.
        warm_up: A function without arguments that does once, before the first process is made, what
            each would else do again: compiling, importing, reading.
        presets: Named values of some parameters, which the page offers as buttons:
            `{"corals": {"feed": 0.0545, "kill": 0.062}}`.

    Raises:
        InvalidSimulation: If the declaration cannot work; the message says why.
    """

    def mark(target: Target) -> Target:
        setattr(target, MARK, describe(target, **options))
        return target

    return mark if target is None else mark(target)


def described(candidate: Any) -> Simulation | None:
    """Return the description that `@simulation` left on this very object, not on a base of it."""
    try:
        found = vars(candidate).get(MARK)
    except TypeError:  # It has no attributes of its own.
        return None
    return found if isinstance(found, Simulation) else None


def describe(
    target: Callable[..., Any],
    *,
    title: str | None = None,
    name: str | None = None,
    engine: str | None = None,
    fps: float | None = None,
    abandon: str | None = None,
    form: type | None = None,
    warm_up: Callable[[], Any] | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> Simulation:
    """Describe a function, generator function or class as a simulation."""
    if not callable(target):
        raise InvalidSimulation(
            "@simulation: expected a function, a generator function or a class, "
            f"got {type(target).__name__}"
        )
    name = name or _default_name(target)
    if not NAME_PATTERN.match(name):
        raise InvalidSimulation(
            f"{name!r} cannot be a simulation's name: expected at most 64 letters, digits, _ and -"
        )
    if inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target):
        raise InvalidSimulation(
            f"{name}: a simulation is blocking code; write `def` instead of `async def`"
        )
    if inspect.isclass(target):
        for method in ("step", "render"):
            if not callable(getattr(target, method, None)):
                raise InvalidSimulation(f"{name}: its class needs a method {method}()")
    if fps is not None and not 0 <= fps <= 60:
        raise InvalidSimulation(f"{name}: fps={fps!r}; expected 0 (no clock) to 60")
    if warm_up is not None and not callable(warm_up):
        raise InvalidSimulation(
            f"{name}: warm_up={warm_up!r:.80}; expected a function without arguments"
        )
    if form is None:
        params, wants_context = read_params(target, name)
    else:
        params, wants_context = (), "ctx" in inspect.signature(target).parameters
    _check_presets(name, presets or {}, None if form else {spec.name for spec in params})
    return Simulation(
        name=name,
        title=title or name.replace("_", " ").replace("-", " ").capitalize(),
        description=_description(target),
        target=target,
        params=params,
        wants_context=wants_context,
        form=form,
        engine=_option(name, "engine", Engine, engine),
        fps=fps,
        abandon=_option(name, "abandon", Abandon, abandon),
        warm_up=warm_up,
        presets=presets or {},
    )


def _check_presets(name: str, presets: Any, known: set[str] | None) -> None:
    """Check the shape of presets, and their parameters' names where the signature has them."""
    if not isinstance(presets, Mapping):
        raise InvalidSimulation(
            f"{name}: presets={presets!r:.80}; expected a dict of names and their parameters"
        )
    for label, values in presets.items():
        if not isinstance(label, str) or not isinstance(values, Mapping):
            raise InvalidSimulation(
                f"{name}: the preset {label!r} is {values!r:.80}; expected a name, and a dict of "
                "parameters"
            )
        unknown = [key for key in values if known is not None and key not in known]
        if unknown:
            raise InvalidSimulation(
                f"{name}: the preset {label!r} sets {unknown[0]!r}; there are "
                f"{', '.join(sorted(known or ())) or 'no parameters'}"
            )


Choice = TypeVar("Choice", bound=StrEnum)


def _option(name: str, option: str, choices: type[Choice], value: str | None) -> Choice | None:
    if value is None:
        return None
    try:
        return choices(value)
    except ValueError:
        expected = ", ".join(repr(str(choice)) for choice in choices)
        raise InvalidSimulation(f"{name}: {option}={value!r}; expected one of {expected}") from None


def _default_name(target: Callable[..., Any]) -> str:
    name: str = getattr(target, "__name__", type(target).__name__)
    if not inspect.isclass(target):
        return name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _description(target: Callable[..., Any]) -> str:
    """Return the first paragraph of the docstring, in one line."""
    text = inspect.getdoc(target) or ""
    if text.startswith(f"{getattr(target, '__name__', '')}("):
        return ""  # The signature that a dataclass writes for itself.
    return " ".join(text.split("\n\n")[0].split())
