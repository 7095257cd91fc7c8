"""Django forms for a simulation's parameters: they validate, and draw the page's controls.

A parameter that is an object has a field for each of its members, NAME.MEMBER.
"""

import json
import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import QuerySet
from django.forms.boundfield import BoundField
from django.utils.translation import gettext as _

from streaming.catalog.controls import form_field, label_of
from streaming.catalog.misfits import as_meant, misfits
from streaming.engine.errors import InvalidParams, InvalidSimulation
from streaming.engine.params import ParamSpec, Upload, reusable
from streaming.engine.simulations import Simulation

# The places of a slider whose number has no step of its own.
SLIDER_PLACES = 1000
# Parameters that begin a sequence of random numbers: one that was left open is drawn.
SEEDS = ("seed", "random_state")
LARGEST_SEED = 2**32 - 1


def params_form(simulation: Simulation) -> type[forms.Form]:
    """Return the form class of a simulation: its own, or one made from its signature."""
    if simulation.form is not None:
        return simulation.form
    fields = {spec.name: form_field(spec) for spec in _leaves(simulation.params)}
    return type("ParamsForm", (forms.Form,), fields)


def check_form(simulation: Simulation) -> None:
    """Refuse a form of an author's that the page could not show, and presets that could not start.

    Raises:
        InvalidSimulation: If a field cannot be a control, or a value is not what it should be.
    """
    # An author's form may need the database to validate them.
    if simulation.form is None:
        _check_presets(simulation)
    # As its class has them: to make one may need the database.
    for name, field in getattr(simulation.form, "base_fields", {}).items():
        if isinstance(field.widget, forms.MultiWidget):
            kind, widget = type(field).__name__, type(field.widget).__name__
            raise InvalidSimulation(
                f"{simulation.name}: the field {name!r} of its form is a {kind} with a {widget}, "
                "which is several controls; expected a field with one, such as DateTimeField, or "
                "a field for each"
            )


def _check_presets(simulation: Simulation) -> None:
    for label, values in simulation.presets.items():
        given = as_data(simulation, values)
        try:
            validate_params(simulation, given)
        except InvalidParams as error:
            # What is missing, a person adds.
            for name in (name for name in given if name in error.fields):
                raise InvalidSimulation(
                    f"{simulation.name}: the preset {label!r} sets {name} to {given[name]!r:.80}: "
                    f"{' '.join(error.fields[name])}"
                ) from error


def _leaves(specs: tuple[ParamSpec, ...]) -> Iterator[ParamSpec]:
    """Yield the parameters, and in the place of each object its members."""
    for spec in specs:
        if spec.members:
            inside = tuple(replace(one, name=f"{spec.name}.{one.name}") for one in spec.members)
            yield from _leaves(inside)
        else:
            yield spec


def live_names(simulation: Simulation) -> frozenset[str]:
    """Return the names of the parameters that may change while a session runs."""
    if simulation.form is not None:
        return frozenset(getattr(simulation.form, "live", ()))
    return frozenset(spec.name for spec in _leaves(simulation.params) if spec.live)


@dataclass(frozen=True, slots=True)
class Slider:
    """The range input beside a number's field."""

    min: float
    max: float
    step: float


@dataclass(frozen=True, slots=True)
class Control:
    """One parameter as the page shows it."""

    field: BoundField
    is_live: bool
    unit: str
    slider: Slider | None
    # The object that it is a part of, as a person reads it.
    group: str
    # As JSON, where the field may begin with another value.
    default: str
    errors: Sequence[str]


def controls(
    simulation: Simulation,
    initial: Mapping[str, Any] | None = None,
    errors: Mapping[str, Sequence[str]] | None = None,
) -> list[Control]:
    """Return the controls of a simulation's parameters, the live ones first.

    Args:
        initial: The values that the fields begin with; the defaults for the others.
        errors: What is wrong with them, by the parameters' names.
    """
    live = live_names(simulation)
    given = _flat(simulation, initial or {})
    found = [
        Control(
            field=bound,
            is_live=bound.name in live,
            unit=bound.field.widget.attrs.get("data-unit", ""),
            slider=_slider(bound.field),
            group=_group_of(bound.name),
            default=_default_of(bound.field) if bound.name in given else "",
            errors=(errors or {}).get(bound.name, ()),
        )
        for bound in params_form(simulation)(initial=given)
    ]
    return sorted(found, key=lambda control: not control.is_live)


def _default_of(field: forms.Field) -> str:
    return json.dumps(_as_shown(field, field.initial))


def _group_of(name: str) -> str:
    of, dot, _member = name.rpartition(".")
    return _(label_of(of)) if dot else ""


def presets(simulation: Simulation) -> list[tuple[str, str]]:
    """Return the names of a simulation's presets, and as JSON what their controls show."""
    if not simulation.presets:
        return []
    fields = params_form(simulation)().fields
    return [
        (
            _(name),
            json.dumps(
                {
                    one: _as_shown(fields[one], value)
                    for one, value in as_data(simulation, values).items()
                    if one in fields
                }
            ),
        )
        for name, values in simulation.presets.items()
    ]


def params_in_address(
    simulation: Simulation, query: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the parameters that a page's address gives, as the fields show them, and their errors.

    What is no parameter of the simulation has a meaning for somebody else.
    """
    fields = params_form(simulation)().fields
    given = {
        name: as_meant(field, query[name])
        for name, field in fields.items()
        if name in query and not isinstance(field, forms.FileField)
    }
    try:
        validate_params(simulation, given)
    except InvalidParams as error:
        return given, {name: error.fields[name] for name in given if name in error.fields}
    return given, {}


def _as_shown(field: forms.Field, value: Any) -> Any:
    """Return what a field's control has when it shows a value."""
    initial = value() if callable(value) else value
    if isinstance(field.widget, forms.CheckboxInput):
        return bool(initial)
    return field.widget.format_value(field.prepare_value(initial))


def _slider(field: forms.Field) -> Slider | None:
    if not isinstance(field, forms.IntegerField):  # FloatField and DecimalField are, too.
        return None
    low, high = _limit(field.min_value), _limit(field.max_value)
    if low is None or high is None or low >= high or math.isinf(high - low):
        return None
    step = field.widget.attrs.get("step", 1 if type(field) is forms.IntegerField else "any")
    # It may have more places than pixels: the field beside it is for the exact value.
    return Slider(low, high, (high - low) / SLIDER_PLACES if step == "any" else step)


def _limit(value: Any) -> float | None:
    """Return a field's limit, which Django lets be a function."""
    limit: float | None = value() if callable(value) else value
    return limit


def validate_params(simulation: Simulation, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of every parameter: the given ones, defaults for the rest.

    Raises:
        InvalidParams: If one is unknown, or not what it should be.
    """
    form_class = params_form(simulation)
    # An instance knows its fields better than its class: a form may add some as it is made.
    unbound = form_class()
    given = _flat(simulation, given)
    errors = misfits(unbound.fields, given)
    meant = {
        name: as_meant(unbound.fields[name], value)
        for name, value in given.items()
        if name not in errors
    }
    files = {
        name: SimpleUploadedFile(value.name, value.content)
        for name, value in meant.items()
        if isinstance(value, Upload)
    }
    form = form_class(data={**_defaults(unbound), **meant}, files=files)  # type: ignore[arg-type]
    for name, messages in form.errors.items():
        errors.setdefault(name, [str(message) for message in messages])
    if errors:
        raise InvalidParams(errors)
    values = {
        name: _as_given(form.fields.get(name), name, value)
        for name, value in form.cleaned_data.items()
    }
    return _assembled(simulation.params, values) if simulation.form is None else values


def _as_given(field: forms.Field | None, name: str, value: Any) -> Any:
    """Return a cleaned value as the step gets it. A seed that was left open is drawn here, so that
    it is among the parameters, and the run can be had again."""
    if isinstance(value, QuerySet):
        return list(value)
    last = name.rpartition(".")[2]
    if value is None and isinstance(field, forms.IntegerField) and last.endswith(SEEDS):
        low, high = _limit(field.min_value) or 0, _limit(field.max_value)
        most = LARGEST_SEED if high is None else high
        return int(low) + secrets.randbelow(int(most) - int(low) + 1)
    return value


def _assembled(
    specs: tuple[ParamSpec, ...], values: Mapping[str, Any], prefix: str = ""
) -> dict[str, Any]:
    """Return a value for each parameter, with the objects made of their members.

    Raises:
        InvalidParams: If an object cannot be made of them.
    """
    made = {}
    for spec in specs:
        name = f"{prefix}{spec.name}"
        if not spec.members:
            made[spec.name] = values[name]
            continue
        try:
            made[spec.name] = spec.kind(**_assembled(spec.members, values, f"{name}."))
        except ValueError as error:  # Of pydantic, too.
            first = f"{name}.{spec.members[0].name}"
            raise InvalidParams(dict(_faults(error, name)) or {first: [str(error)]}) from error
    return made


def _faults(error: ValueError, name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield what pydantic says of each field, where it is pydantic that says it."""
    said = getattr(error, "errors", None)
    for fault in said() if callable(said) else ():
        if fault["loc"]:
            yield f"{name}.{fault['loc'][0]}", [str(fault["msg"])]


def as_data(simulation: Simulation, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a session's values from which its parameters may be validated again."""
    return _flat(simulation, {name: reusable(value) for name, value in values.items()})


def _flat(simulation: Simulation, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with a name for each member of an object, as the form has them."""
    return dict(_flattened(simulation.params, given, ""))


def _flattened(
    specs: tuple[ParamSpec, ...], given: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, Any]]:
    objects = {spec.name: spec for spec in specs if spec.members}
    for name, value in given.items():
        if name in objects and isinstance(value, Mapping):
            yield from _flattened(objects[name].members, value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def validate_live_params(
    simulation: Simulation, current: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of live parameters that a running session is to take.

    Raises:
        InvalidParams: If one is not live, unknown, or not what it should be.
    """
    live = live_names(simulation)
    given = _flat(simulation, given)
    known = params_form(simulation)().fields
    fixed = {
        name: [_("This parameter cannot change while the session runs: start a new one with it.")]
        for name in given
        if name in known and name not in live
    }
    if fixed:
        raise InvalidParams(fixed)
    values = validate_params(simulation, {**as_data(simulation, current), **given})
    return {name: values[name] for name in {name.partition(".")[0] for name in given}}


def _defaults(form: forms.Form) -> dict[str, Any]:
    """Return the data of the parameters that have defaults."""
    initial = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    return {name: value for name, value in initial.items() if value is not None}
