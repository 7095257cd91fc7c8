"""Django forms for a simulation's parameters: they validate, and draw the page's controls."""

from collections.abc import Mapping
from typing import Any

from django import forms

from streaming.engine.errors import InvalidParams
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
        name: ["This parameter cannot change while the session runs: start a new one with it."]
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
    return {
        name: [misfit]
        for name, value in given.items()
        if (misfit := _misfit(fields.get(name), value, fields))
    }


def _misfit(field: forms.Field | None, value: Any, fields: Mapping[str, forms.Field]) -> str:
    """Say what is wrong with one value, or nothing."""
    if field is None:
        return f"There is no such parameter. There are: {', '.join(fields) or 'none'}."
    if value is None:
        return "Expected a value, got null."
    if isinstance(value, list | dict):
        is_several = isinstance(field, forms.MultipleChoiceField) and isinstance(value, list)
        return "" if is_several else f"Expected a single value, got a {type(value).__name__}."
    if isinstance(field, forms.BooleanField):
        known = str(value).lower() in BOOLEANS
        return "" if known else f"Expected true or false, got {value!r:.80}."
    if type(field) is forms.CharField:
        return "" if isinstance(value, str) else f"Expected text, got {value!r:.80}."
    if isinstance(field, forms.IntegerField):  # FloatField and DecimalField are, too.
        if isinstance(value, bool):
            return f"Expected a number, got {value!r}."
        if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
            return "Expected a smaller number."
    return ""


def _as_meant(field: forms.Field, value: Any) -> Any:
    if isinstance(field, forms.BooleanField):
        return BOOLEANS.get(str(value).lower(), value)
    return value


def _field(spec: ParamSpec) -> forms.Field:
    param = spec.param
    options: dict[str, Any] = {
        "label": spec.name.replace("_", " ").capitalize(),
        "help_text": param.help,
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
    if spec.kind is int:
        return forms.IntegerField(**options, widget=forms.NumberInput({"step": param.step or 1}))
    return forms.FloatField(**options, widget=forms.NumberInput({"step": param.step or "any"}))


def _choice_field(spec: ParamSpec, options: dict[str, Any]) -> forms.Field:
    by_key = {str(plain(choice)): choice for choice in spec.choices}
    labels = [(key, _label(choice)) for key, choice in by_key.items()]
    return forms.TypedChoiceField(choices=labels, coerce=by_key.__getitem__, **options)


def _label(choice: Any) -> str:
    return (
        str(choice.name).replace("_", " ").capitalize() if hasattr(choice, "name") else str(choice)
    )


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
