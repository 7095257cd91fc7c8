"""Django forms for a simulation's parameters: they validate, and draw the page's controls."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils.translation import gettext as _

from streaming.engine.errors import MOST_NAMED, InvalidParams
from streaming.engine.params import ParamSpec, plain
from streaming.engine.simulations import Simulation

# A checkbox knows only whether it is there; clients say what they mean.
BOOLEANS = {
    "true": True,
    "on": True,
    "1": True,
    "false": False,
    "off": False,
    "0": False,
    "": False,
}
# A slider with more places than this cannot be set to one of them.
MOST_SLIDER_PLACES = 1000
# What Django's fields would turn into a float that does not exist.
LARGEST_NUMBER = 10**300


def params_form(simulation: Simulation) -> type[forms.Form]:
    """Return the form class of a simulation: its own, or one made from its signature."""
    if simulation.form is not None:
        return simulation.form
    return type(
        "ParamsForm", (forms.Form,), {spec.name: _field(spec) for spec in simulation.params}
    )


def live_names(simulation: Simulation) -> frozenset[str]:
    """Return the names of the parameters that may change while a session runs."""
    if simulation.form is not None:
        return frozenset(getattr(simulation.form, "live", ()))
    return frozenset(spec.name for spec in simulation.params if spec.live)


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
    # As JSON, where the field begins with another value.
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
    given = initial or {}
    found = [
        Control(
            field=bound,
            is_live=bound.name in live,
            unit=bound.field.widget.attrs.get("data-unit", ""),
            slider=_slider(bound.field),
            default=_as_json(bound.field.initial) if bound.name in given else "",
            errors=(errors or {}).get(bound.name, ()),
        )
        for bound in params_form(simulation)(initial=dict(given))
    ]
    return sorted(found, key=lambda control: not control.is_live)


def presets(simulation: Simulation) -> list[tuple[str, str]]:
    """Return the names of a simulation's presets, and their parameters as JSON."""
    return [(_(name), _as_json(dict(values))) for name, values in simulation.presets.items()]


def params_in_address(
    simulation: Simulation, query: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return the parameters that a page's address gives, as the fields show them, and their errors.

    What is no parameter of the simulation has a meaning for somebody else.
    """
    fields = params_form(simulation)().fields
    given = {name: _as_meant(fields[name], query[name]) for name in fields if name in query}
    try:
        validate_params(simulation, given)
    except InvalidParams as error:
        return given, {name: error.fields[name] for name in given if name in error.fields}
    return given, {}


def _as_json(value: Any) -> str:
    initial = value() if callable(value) else value
    return json.dumps(initial, default=lambda one: str(plain(one)))


def _slider(field: forms.Field) -> Slider | None:
    if not isinstance(field, forms.IntegerField):  # FloatField and DecimalField are, too.
        return None
    low, high = _limit(field.min_value), _limit(field.max_value)
    if low is None or high is None or low >= high:
        return None
    step = field.widget.attrs.get("step", 1 if type(field) is forms.IntegerField else "any")
    if step == "any":
        step = (high - low) / MOST_SLIDER_PLACES
    fits = (high - low) / float(step) <= MOST_SLIDER_PLACES
    return Slider(low, high, step) if fits else None


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
    errors = _misfits(unbound.fields, given)
    meant = {
        name: _as_meant(unbound.fields[name], value)
        for name, value in given.items()
        if name not in errors
    }
    form = form_class(data={**_defaults(unbound), **meant})
    for name, messages in form.errors.items():
        errors.setdefault(name, [str(message) for message in messages])
    if errors:
        raise InvalidParams(errors)
    return dict(form.cleaned_data)


def validate_live_params(
    simulation: Simulation, current: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of live parameters that a running session is to take.

    Raises:
        InvalidParams: If one is not live, unknown, or not what it should be.
    """
    live = live_names(simulation)
    known = params_form(simulation)().fields
    fixed = {
        name: [_("This parameter cannot change while the session runs: start a new one with it.")]
        for name in given
        if name in known and name not in live
    }
    if fixed:
        raise InvalidParams(fixed)
    as_data = {name: plain(value) for name, value in current.items()}
    values = validate_params(simulation, {**as_data, **given})
    return {name: values[name] for name in given}


def _defaults(form: forms.Form) -> dict[str, Any]:
    """Return the data of the parameters that have defaults."""
    initial = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    return {name: value for name, value in initial.items() if value is not None}


def _misfits(fields: Mapping[str, forms.Field], given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Find what Django's fields would take for something else: they were made for HTML's text."""
    misfits = {
        name: [misfit]
        for name, value in given.items()
        if name in fields and (misfit := _misfit(fields[name], value))
    }
    unknown = [name for name in given if name not in fields]
    if unknown:
        misfits |= {name: [_("There is no such parameter.")] for name in unknown}
        # Once is enough.
        names = ", ".join(islice(fields, MOST_NAMED)) or _("none")
        said = _("There is no such parameter. There are: %(names)s.") % {"names": names}
        misfits[unknown[0]] = [said]
    return misfits


def _misfit(field: forms.Field, value: Any) -> str:
    """Say what is wrong with one value, or nothing."""
    if value is None:
        return _("Expected a value, got null.")
    if isinstance(value, list | dict):
        is_several = isinstance(field, forms.MultipleChoiceField) and isinstance(value, list)
        got = {"kind": type(value).__name__}
        return "" if is_several else _("Expected a single value, got a %(kind)s.") % got
    shown = {"value": f"{value!r:.80}"}
    if isinstance(field, forms.BooleanField):
        known = str(value).lower() in BOOLEANS
        return "" if known else _("Expected true or false, got %(value)s.") % shown
    if type(field) is forms.CharField:
        return "" if isinstance(value, str) else _("Expected text, got %(value)s.") % shown
    if isinstance(field, forms.IntegerField):  # FloatField and DecimalField are, too.
        if isinstance(value, bool):
            return _("Expected a number, got %(value)s.") % shown
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            return _("Expected a smaller number.")
    return ""


def _as_meant(field: forms.Field, value: Any) -> Any:
    if isinstance(field, forms.BooleanField):
        return BOOLEANS.get(str(value).lower(), value)
    return value


def _field(spec: ParamSpec) -> forms.Field:
    param = spec.param
    options: dict[str, Any] = {
        "label": _(spec.name.replace("_", " ").capitalize()),
        "help_text": param.help and _(param.help),  # Of nothing, gettext gives its own header.
        "initial": plain(spec.default),
        "required": True,
    }
    if spec.choices:
        return _choice_field(spec, options)
    if spec.kind is bool:
        return forms.BooleanField(**options | {"required": False})
    if spec.kind is str:
        return _text_field(spec, options)
    options |= {"min_value": param.min, "max_value": param.max}
    step = param.step or (1 if spec.kind is int else "any")
    widget = forms.NumberInput({"step": step} | ({"data-unit": param.unit} if param.unit else {}))
    field = forms.IntegerField if spec.kind is int else forms.FloatField
    return field(**options, widget=widget)


def _choice_field(spec: ParamSpec, options: dict[str, Any]) -> forms.Field:
    by_key = {str(plain(choice)): choice for choice in spec.choices}
    labels = [(key, _label(choice)) for key, choice in by_key.items()]
    return forms.TypedChoiceField(choices=labels, coerce=by_key.__getitem__, **options)


def _label(choice: Any) -> str:
    name = getattr(choice, "name", None)
    return str(choice) if name is None else _(str(name).replace("_", " ").capitalize())


def _text_field(spec: ParamSpec, options: dict[str, Any]) -> forms.Field:
    options["min_length"] = None if spec.param.min is None else int(spec.param.min)
    options["max_length"] = None if spec.param.max is None else int(spec.param.max)
    # Text of several lines is data: the page lets a file be chosen for it.
    several_lines = "\n" in (spec.default or "")
    widget = (
        forms.Textarea({"rows": 6, "spellcheck": "false"}) if several_lines else forms.TextInput
    )
    options["required"] = spec.required
    return forms.CharField(**options, strip=False, widget=widget)
