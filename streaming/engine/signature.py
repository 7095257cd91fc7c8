"""Reads the parameters of a simulation from its signature, and refuses what no form can offer."""

import dataclasses
import enum
import inspect
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from streaming.engine.errors import InvalidSimulation
from streaming.engine.params import DATES, FILES, NUMBERS, SCALARS, Param, ParamSpec, plain

KINDS = (*SCALARS, *NUMBERS, *DATES, *FILES)
POSSIBLE = (
    "expected int, float, bool, str, Decimal, date, datetime, time, a Literal or an Enum, a list "
    "or tuple of one of these such as list[int], Path or bytes for a file, a dataclass or a "
    "pydantic model, each perhaps `| None`; or say with @simulation(form=...), a Django form, how "
    "it is validated (a Context is asked for by the name ctx)"
)


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
    if "self" in given:
        raise InvalidSimulation(
            f"{name} is a method, which needs an object: at the top level of the file, write "
            f"{name} = simulation(YourClass().{name})"
        )
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
    annotation, is_optional = _without_none(annotation)
    # Annotated may stand inside of the union, too.
    annotation, inner = _unwrap(annotation)
    param = param if inner == Param() else inner
    if param.min is not None and param.max is not None and param.min > param.max:
        raise InvalidSimulation(f"{where} has a min of {param.min}, above its max of {param.max}")
    if annotation is parameter.empty:
        if required or default is None:
            raise InvalidSimulation(
                f"{where} needs a type or a default value, so that the page can offer it"
            )
        annotation = _type_of(default)
    spec = ParamSpec(parameter.name, object, default, required, param, is_optional=is_optional)
    spec = _with_kind(where, spec, annotation)
    if spec.members:
        if spec.is_optional:
            raise InvalidSimulation(f"{where} is an object of several fields: it cannot be None")
        required = required and any(member.required for member in spec.members)
    spec = dataclasses.replace(spec, required=required and not is_optional)
    if default is not None:
        _check_default(where, spec)
    elif parameter.default is None and not is_optional:
        raise InvalidSimulation(
            f"{where} has the default None; expected a value of type {spec.kind.__name__}, or the "
            f"type `{spec.kind.__name__} | None`"
        )
    return spec


def _type_of(default: Any) -> Any:
    if isinstance(default, list | tuple) and default:
        items = [type(default[0])] * len(default)
        return tuple[*items] if isinstance(default, tuple) else list[items[0]]  # type: ignore[valid-type]
    return type(default)


def _unwrap(annotation: Any) -> tuple[Any, Param]:
    if get_origin(annotation) is not Annotated:
        return annotation, Param()
    inner, *notes = get_args(annotation)
    return inner, next((note for note in notes if isinstance(note, Param)), Param())


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Return the X of `X | None`, and whether it was one."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    others = [one for one in get_args(annotation) if one is not types.NoneType]
    if len(others) == 1 and len(get_args(annotation)) == 2:
        return others[0], True
    return annotation, False


def _with_kind(where: str, spec: ParamSpec, annotation: Any) -> ParamSpec:
    """Return a spec with its kind, choices and members, as an annotation says."""
    replace = dataclasses.replace
    if get_origin(annotation) is Literal:
        values = get_args(annotation)
        return replace(spec, kind=type(values[0]), choices=values)
    if get_origin(annotation) in (list, tuple):
        return _with_items(where, spec, annotation)
    if not isinstance(annotation, type):
        raise _impossible(where, annotation)
    if issubclass(annotation, enum.Enum):
        return replace(spec, kind=annotation, choices=tuple(annotation))
    if annotation in KINDS:
        if annotation in FILES:
            _check_file(where, spec)
        return replace(spec, kind=annotation, choices=tuple(spec.param.choices))
    if dataclasses.is_dataclass(annotation) or _is_model(annotation):
        return replace(spec, kind=annotation, members=_members(where, spec, annotation))
    raise _impossible(where, annotation)


def _with_items(where: str, spec: ParamSpec, annotation: Any) -> ParamSpec:
    container, items = get_origin(annotation), list(get_args(annotation))
    length = None if container is list or items[-1:] == [...] else len(items)
    kinds = [item for item in items if item is not ...]
    one = _with_kind(where, spec, kinds[0])
    is_plain = one.container is None and not one.members and one.kind not in FILES
    if len(set(kinds)) > 1 or not is_plain:
        raise InvalidSimulation(
            f"{where} has the type {_shown(annotation)}; the items of a list or tuple need one "
            "type that a single control can offer"
        )
    return dataclasses.replace(one, container=container, length=length)


def _check_file(where: str, spec: ParamSpec) -> None:
    if spec.default is not None:
        raise InvalidSimulation(
            f"{where} is a file that a person chooses, and cannot have the default "
            f"{spec.default!r}: give it none, or the type `| None` and the default None"
        )
    if spec.live:
        raise InvalidSimulation(f"{where} is a file: it cannot be live")


def _is_model(annotation: type) -> bool:
    # Of pydantic, which only its users have.
    return isinstance(getattr(annotation, "model_fields", None), dict)


def _members(where: str, spec: ParamSpec, annotation: Any) -> tuple[ParamSpec, ...]:
    parameters = (_model_fields if _is_model(annotation) else _dataclass_fields)(annotation)
    members = []
    for one in parameters:
        if spec.default is not None:
            one = one.replace(default=getattr(spec.default, one.name))
        inside = f"{where[:-1]}.{one.name}'"
        member = _read(inside, one)
        if member.kind in FILES:
            raise InvalidSimulation(f"{inside} is a file; a file needs a parameter of its own")
        if spec.live:
            member = dataclasses.replace(member, param=dataclasses.replace(member.param, live=True))
        members.append(member)
    return tuple(members)


def _dataclass_fields(annotation: Any) -> Iterator[inspect.Parameter]:
    fields = {one.name: one for one in dataclasses.fields(annotation)}
    for parameter in inspect.signature(annotation, eval_str=True).parameters.values():
        made = fields.get(parameter.name)
        if made is not None and made.default_factory is not dataclasses.MISSING:
            parameter = parameter.replace(default=made.default_factory())
        yield parameter


def _model_fields(annotation: Any) -> Iterator[inspect.Parameter]:
    """Yield the fields of a pydantic model as parameters, with their bounds."""
    for name, info in annotation.model_fields.items():
        given = next((note for note in info.metadata if isinstance(note, Param)), None)
        param = given or Param(
            min=_bound(info.metadata, "ge", "gt", "min_length"),
            max=_bound(info.metadata, "le", "lt", "max_length"),
            help=info.description or "",
        )
        required = info.is_required()
        yield inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty
            if required
            else info.get_default(call_default_factory=True),
            annotation=Annotated[info.annotation, param],
        )


def _bound(notes: Iterable[Any], *names: str) -> Any:
    found = (getattr(note, name, None) for note in notes for name in names)
    return next((value for value in found if value is not None), None)


def _impossible(where: str, annotation: Any) -> InvalidSimulation:
    return InvalidSimulation(f"{where} has the type {_shown(annotation)}; {POSSIBLE}")


def _shown(annotation: Any) -> str:
    if get_origin(annotation) is None:
        return str(getattr(annotation, "__name__", annotation))
    return str(annotation)


def _check_default(where: str, spec: ParamSpec) -> None:
    if spec.members:
        if not isinstance(spec.default, spec.kind):
            raise _wrong_default(where, spec, spec.kind.__name__)
        return
    if spec.container is None:
        _check_value(where, spec, spec.default)
        return
    is_several = isinstance(spec.default, list | tuple)
    if not is_several or (spec.length is not None and len(spec.default) != spec.length):
        count = "values" if spec.length is None else f"{spec.length} values"
        raise _wrong_default(where, spec, f"{spec.container.__name__}, of {count}")
    for value in spec.default:
        _check_value(where, spec, value)


def _check_value(where: str, spec: ParamSpec, value: Any) -> None:
    param = spec.param
    if spec.choices:
        if value not in spec.choices:
            options = ", ".join(repr(plain(choice)) for choice in spec.choices)
            raise InvalidSimulation(f"{where} has the default {value!r}; expected one of {options}")
        return
    expected = (int, float) if spec.kind is float else spec.kind
    is_bool = isinstance(value, bool) and spec.kind is not bool
    if not isinstance(value, expected) or is_bool:
        raise _wrong_default(where, spec, spec.kind.__name__)
    if spec.kind is not str and spec.kind not in NUMBERS:
        return
    measure: Any = len(value) if isinstance(value, str) else value
    if (param.min is not None and measure < param.min) or (
        param.max is not None and measure > param.max
    ):
        raise InvalidSimulation(
            f"{where} has the default {value!r}, outside of {param.min} to {param.max}"
        )


def _wrong_default(where: str, spec: ParamSpec, expected: str) -> InvalidSimulation:
    return InvalidSimulation(
        f"{where} has the default {spec.default!r}; expected a value of type {expected}"
    )
