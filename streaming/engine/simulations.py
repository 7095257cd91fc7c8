"""The description that `@simulation` makes: one stepping shape for every form an author writes."""

import functools
import inspect
import re
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, overload

from streaming.engine.asynchronous import async_steps, is_async
from streaming.engine.context import Context
from streaming.engine.errors import InvalidFrame, InvalidSimulation
from streaming.engine.frames import Drawable
from streaming.engine.params import ParamSpec
from streaming.engine.signature import read_params

MARK = "__livestep__"
MOST_STEPS_PER_SECOND = 1_000_000
NAME_PATTERN = re.compile(r"\w[\w-]{0,63}\Z", re.ASCII)
QUEUE_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z", re.ASCII)

Target = TypeVar("Target", bound=Callable[..., Any])


class Engine(StrEnum):
    """Where the steps of a session run. Each isolates more than the one before."""

    THREAD = "thread"
    PROCESS = "process"
    # In a process of its own, too, on a compute machine.
    CLUSTER = "cluster"

    @property
    def has_process(self) -> bool:
        """Whether a session has a process of its own."""
        return self is not Engine.THREAD

    def isolates_less_than(self, other: "Engine") -> bool:
        return ENGINES.index(self) < ENGINES.index(other)


ENGINES = tuple(Engine)
# Those whose sessions run where they were started, if that is a process which serves pages.
LOCAL_ENGINES = (Engine.THREAD, Engine.PROCESS)


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
    queue: str | None = None
    fps: float | None = None
    abandon: Abandon | None = None
    warm_up: Callable[[], Any] | None = None
    steps_per_second: float | None = None
    every_frame: bool = False
    # The module that declares it, and the lines in which it declares one of this name.
    module: str = ""
    lines: tuple[int, ...] = field(default=(), compare=False)
    # Not compared: a description is looked up by its hash, which a dict has none of.
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False)

    @property
    def folder(self) -> Path:
        """Where the file lies in which it is written."""
        module = sys.modules.get(self.module)
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
        if inspect.iscoroutinefunction(stepping.step):
            yield from async_steps(_object_steps(stepping), lambda: None, context)
            return
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
        if is_async(value):
            yield from async_steps(value, lambda: self._call(context), context)
            return
        if value is None:
            raise InvalidFrame(
                f"{self.name} returned None at its first call: `return` the picture, or `yield` "
                "it; what a step prints is not shown as a picture"
            )
        while value is not None:
            yield value
            value = self._call(context)

    def _call(self, context: Context) -> Any:
        arguments = dict(vars(context.params))
        if self.wants_context:
            arguments["ctx"] = context
        return self.target(**arguments)


async def _object_steps(stepping: Any) -> AsyncIterator[Drawable]:
    while True:
        try:
            await stepping.step()
        except StopAsyncIteration:
            return
        yield stepping.render


@overload
def simulation(target: Target, /) -> Target: ...
@overload
def simulation(
    *,
    title: str | None = None,
    name: str | None = None,
    engine: str | None = None,
    queue: str | None = None,
    fps: float | None = None,
    abandon: str | None = None,
    form: type | None = None,
    warm_up: Callable[[], Any] | None = None,
    steps_per_second: float | None = None,
    every_frame: bool = False,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[Target], Target]: ...
def simulation(target: Any = None, /, **options: Any) -> Any:
    """Declare a simulation; the decorated object comes back unchanged. One that can hold no mark,
    such as a bound method, comes back in a `functools.partial`.

    Args:
        title: What people see. By default made from the name.
        name: What addresses it. By default the function's name, or the class's in snake_case.
        engine: "thread", "process" or "cluster"; by default the setting `LIVESTEP_ENGINE`.
        queue: In which queue its sessions of the engine "cluster" wait, for compute machines that
            take from it; by default the setting `LIVESTEP_QUEUE`.
        fps: Frames per second at most, 0 for no clock; by default the setting `LIVESTEP_FPS`.
        abandon: "stop", "pause" or "keep", when the last viewer has left.
        form: A Django Form class that validates the parameters, instead of the signature.
            Its optional attribute `live` names the fields that may change while running.
        warm_up: A function without arguments that does once, before the first process is made, what
            each would else do again: compiling, importing, reading.
        steps_per_second: How many steps a second it takes at most, until the page says otherwise.
        every_frame: Whether it waits for the page, so that the picture of each step is shown.
        presets: Named values of some parameters, which the page offers as buttons:
            `{"corals": {"feed": 0.0545, "kill": 0.062}}`.

    Raises:
        InvalidSimulation: If the declaration cannot work; the message says why.
    """

    unknown = [name for name in options if name not in OPTIONS]
    if unknown:
        raise InvalidSimulation(
            f"@simulation has no option {unknown[0]!r}; there are: {', '.join(OPTIONS)}"
        )
    frame = sys._getframe(1)
    module, line = frame.f_globals.get("__name__", ""), frame.f_lineno
    # The lines by the names, also of those that something else replaces in the module.
    declared = frame.f_globals.setdefault(MARK, {})

    def mark(target: Any) -> Any:
        found = describe(target, **options)
        lines = declared.setdefault(found.name, {})
        lines[line] = None
        found = replace(found, module=module, lines=tuple(lines))
        try:
            setattr(target, MARK, found)
        except (AttributeError, TypeError):
            target = functools.partial(target)
            setattr(target, MARK, replace(found, target=target))
        return target

    return mark if target is None else mark(target)


def declared_in(module: types.ModuleType) -> list[str]:
    """Return the names of the simulations that a module has declared, also of those that another
    decorator has hidden since."""
    return list(vars(module).get(MARK, ()))


def described(candidate: Any) -> Simulation | None:
    """Return the description that `@simulation` left on this very object, not on a base of it."""
    try:
        found = vars(candidate).get(MARK)
    except TypeError:  # It has no attributes of its own.
        return None
    if not isinstance(found, Simulation):
        return None
    # `functools.wraps` copies the mark: what stands above @simulation is to be called, too.
    return found if found.target is candidate else replace(found, target=candidate)


def describe(
    target: Callable[..., Any],
    *,
    title: str | None = None,
    name: str | None = None,
    engine: str | None = None,
    queue: str | None = None,
    fps: float | None = None,
    abandon: str | None = None,
    form: type | None = None,
    warm_up: Callable[[], Any] | None = None,
    steps_per_second: float | None = None,
    every_frame: bool = False,
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
            f"{name!r} cannot be a simulation's name: expected at most 64 of the letters a to z "
            "and A to Z, digits, _ and -; @simulation(name=...) gives it another"
        )
    if inspect.isclass(target) and inspect.iscoroutinefunction(getattr(target, "render", None)):
        raise InvalidSimulation(f"{name}: its method render() cannot be async; step() may be")
    _refuse_hidden(target, name)
    if inspect.isclass(target):
        for method in ("step", "render"):
            if not callable(getattr(target, method, None)):
                raise InvalidSimulation(f"{name}: its class needs a method {method}()")
    if queue is not None and not QUEUE_PATTERN.match(str(queue)):
        raise InvalidSimulation(
            f"{name}: queue={queue!r:.80}; expected at most 32 of the characters a to z, 0 to 9, "
            "_ and -"
        )
    if fps is not None and not 0 <= fps <= 60:
        raise InvalidSimulation(f"{name}: fps={fps!r}; expected 0 (no clock) to 60")
    if warm_up is not None and not callable(warm_up):
        raise InvalidSimulation(
            f"{name}: warm_up={warm_up!r:.80}; expected a function without arguments"
        )
    if steps_per_second is not None and not 0 < steps_per_second <= MOST_STEPS_PER_SECOND:
        raise InvalidSimulation(
            f"{name}: steps_per_second={steps_per_second!r}; expected a number above 0 and up to "
            f"{MOST_STEPS_PER_SECOND:,}, or None for no limit"
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
        queue=queue,
        fps=fps,
        abandon=_option(name, "abandon", Abandon, abandon),
        warm_up=warm_up,
        steps_per_second=steps_per_second,
        every_frame=every_frame,
        module=getattr(target, "__module__", None) or "",
        presets=presets or {},
    )


# What may stand in the parentheses of @simulation.
OPTIONS = tuple(name for name in inspect.signature(describe).parameters if name != "target")


def _refuse_hidden(target: Any, name: str) -> None:
    """Refuse what names no parameters, such as what a decorator made of a function with some."""
    parameters = [] if inspect.isclass(target) else _parameters(target)
    kinds = {parameter.kind for parameter in parameters}
    if kinds == {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        raise InvalidSimulation(
            f"{name} takes *args and **kwargs, which name no parameters: name each; or, if a "
            "decorator made it of a function that names them, write @functools.wraps(function) in "
            "the decorator, or put @simulation below it"
        )


def _parameters(target: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # That is said where they are read.
        return []


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
    while isinstance(target, functools.partial):
        target = target.func
    name: str = getattr(target, "__name__", type(target).__name__)
    if hasattr(target, "__name__") and not inspect.isclass(target):
        return name
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _description(target: Callable[..., Any]) -> str:
    """Return the first paragraph of the docstring, in one line."""
    text = inspect.getdoc(target) or ""
    if text.startswith(f"{getattr(target, '__name__', '')}("):
        return ""  # The signature that a dataclass writes for itself.
    return " ".join(text.split("\n\n")[0].split())
