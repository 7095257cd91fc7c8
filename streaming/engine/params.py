"""What a simulation's signature says about its parameters.

This reads and describes; the Django forms built from it (streaming/catalog/forms.py) validate.
"""

import enum
import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from streaming.engine.errors import InvalidSimulation

SCALARS = (bool, int, float, str)


@dataclass(frozen=True, slots=True)
class Param:
    """What an author may say about a parameter, inside `Annotated[type, Param(...)]`.

    Args:
        min: Smallest value; of a `str`, the smallest length.
        max: Largest value; of a `str`, the largest length.
        step: Distance between the values of a number's control on the page.
        help: A sentence shown beside the control.
        unit: What a number counts or measures, such as "K" or "days".
        choices: The only values allowed.
        live: Whether the value may change while the session runs.
    """

    min: float | None = None
    max: float | None = None
    step: float | None = None
    help: str = ""
    unit: str = ""
    choices: Sequence[Any] = ()
    live: bool = False


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One parameter of one simulation. `default` is None when the parameter is required."""

    name: str
    kind: type
    default: Any
    required: bool
    param: Param
    choices: tuple[Any, ...]

    @property
    def live(self) -> bool:
        return self.param.live


class Params(types.SimpleNamespace):
    """The values of a session's parameters, as attributes. A snapshot: it never changes."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"ctx.params is a snapshot: keep {name!r} in a variable of your own instead"
        )


def plain(value: Any) -> Any:
    """Return a parameter's value as JSON has it: an Enum's member by its value or its name."""
    if not isinstance(value, enum.Enum):
        return value
    return value.value if isinstance(value.value, SCALARS) else value.name


def read_params(target: Callable[..., Any], name: str) -> tuple[tuple[ParamSpec, ...], bool]:
    """Describe the parameters in a simulation's signature.

    Returns:
        The parameters in their order, and whether the target asks for `ctx`.

    Raises:
        InvalidSimulation: If a parameter has no type that a form can offer.
    """
    try:
        signature = inspect.signature(target, eval_str=True)
    except (NameError, TypeError, ValueError) as error:
        raise InvalidSimulation(f"{name}: its signature cannot be read: {error}") from error
    given = {
        key: parameter
        for key, parameter in signature.parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    for key, parameter in given.items():
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise InvalidSimulation(
                f"{name}: parameter {key!r} is positional-only, but parameters are passed by name"
            )
    specs = tuple(_read(f"{name}: parameter {key!r}", given[key]) for key in given if key != "ctx")
    return specs, "ctx" in given


def _read(where: str, parameter: inspect.Parameter) -> ParamSpec:
    required = parameter.default is parameter.empty
    default = None if required else parameter.default
    annotation, param = _unwrap(parameter.annotation)
    if annotation is parameter.empty:
        if required:
            raise InvalidSimulation(
                f"{where} needs a type or a default value, so that the page can offer it"
            )
        annotation = type(default)
    kind, choices = _kind_and_choices(where, annotation, param)
    spec = ParamSpec(parameter.name, kind, default, required, param, choices)
    if not required:
        _check_default(where, spec)
    return spec


def _unwrap(annotation: Any) -> tuple[Any, Param]:
    if get_origin(annotation) is not Annotated:
        return annotation, Param()
    inner, *notes = get_args(annotation)
    return inner, next((note for note in notes if isinstance(note, Param)), Param())


def _kind_and_choices(where: str, annotation: Any, param: Param) -> tuple[type, tuple[Any, ...]]:
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
        return type(values[0]), values
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return annotation, tuple(annotation)
    if annotation in SCALARS:
        return annotation, tuple(param.choices)
    raise InvalidSimulation(
        f"{where} has the type {getattr(annotation, '__name__', annotation)}; expected int, float, "
        "bool, str, a Literal or an Enum (a Context is asked for by the name ctx)"
    )


def _check_default(where: str, spec: ParamSpec) -> None:
    default, param = spec.default, spec.param
    if spec.choices:
        if default not in spec.choices:
            options = ", ".join(repr(plain(choice)) for choice in spec.choices)
            raise InvalidSimulation(
                f"{where} has the default {default!r}; expected one of {options}"
            )
        return
    expected = (int, float) if spec.kind is float else spec.kind
    if not isinstance(default, expected) or (isinstance(default, bool) and spec.kind is not bool):
        raise InvalidSimulation(
            f"{where} has the default {default!r}; expected a value of type {spec.kind.__name__}"
        )
    if spec.kind is bool:
        return
    measure = len(spec.default) if spec.kind is str else spec.default
    if (param.min is not None and measure < param.min) or (
        param.max is not None and measure > param.max
    ):
        raise InvalidSimulation(
            f"{where} has the default {default!r}, outside of {param.min} to {param.max}"
        )
