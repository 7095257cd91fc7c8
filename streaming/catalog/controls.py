"""The form field of each parameter in a simulation's signature."""

from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from streaming.catalog.fields import PlainDateTimeField, SeveralChoices, SeveralField, UploadField
from streaming.engine.params import DATES, FILES, ParamSpec, plain


def form_field(spec: ParamSpec) -> forms.Field:
    """Return a field that validates a parameter and draws its control."""
    param = spec.param
    options: dict[str, Any] = {
        "label": _(label_of(spec.name)),
        "help_text": param.help and _(param.help),  # Of nothing, gettext gives its own header.
        "initial": plain(spec.default),
        "required": not spec.is_optional,
    }
    if spec.choices:
        return _choice_field(spec, options)
    if spec.container is not None:
        item = form_field(replace(spec, container=None, default=None, is_optional=False))
        del options["required"]  # No value at all is a list, too.
        return SeveralField(
            item, spec.container, length=spec.length, is_optional=spec.is_optional, **options
        )
    if spec.kind is bool:
        return _bool_field(spec, options)
    if spec.kind is str:
        return _text_field(spec, options)
    if spec.kind in FILES:
        return UploadField(as_path=spec.kind is not bytes, **options)
    if spec.kind in DATES:
        return _date_field(spec, options)
    return _number_field(spec, options)


def _number_field(spec: ParamSpec, options: dict[str, Any]) -> forms.Field:
    param = spec.param
    options |= {"min_value": param.min, "max_value": param.max}
    step = param.step or (1 if spec.kind is int else "any")
    widget = forms.NumberInput({"step": step} | ({"data-unit": param.unit} if param.unit else {}))
    fields: dict[type, Any] = {int: forms.IntegerField, Decimal: forms.DecimalField}
    return fields.get(spec.kind, forms.FloatField)(**options, widget=widget)  # type: ignore[no-any-return]


def _bool_field(spec: ParamSpec, options: dict[str, Any]) -> forms.Field:
    # A checkbox that is not there means no.
    field = forms.NullBooleanField if spec.is_optional else forms.BooleanField
    return field(**options | {"required": False})


def _date_field(spec: ParamSpec, options: dict[str, Any]) -> forms.Field:
    # As a browser's controls have them, in every language.
    if spec.kind is date:
        return forms.DateField(**options, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"))
    if spec.kind is time:
        return forms.TimeField(
            **options, widget=forms.TimeInput({"type": "time", "step": 1}, "%H:%M:%S")
        )
    widget = forms.DateTimeInput({"type": "datetime-local", "step": 1}, "%Y-%m-%dT%H:%M:%S")
    return PlainDateTimeField(**options, widget=widget)


def _choice_field(spec: ParamSpec, options: dict[str, Any]) -> forms.Field:
    by_key = {str(plain(choice)): choice for choice in spec.choices}
    labels = [(key, _label(choice)) for key, choice in by_key.items()]
    options |= {"coerce": by_key.__getitem__}
    if spec.container is not None:
        options["required"] = False  # None of them may be chosen.
        return SeveralChoices(spec.container, choices=labels, **options)
    if spec.is_optional:
        labels, options = [("", "-"), *labels], options | {"empty_value": None}
    return forms.TypedChoiceField(choices=labels, **options)


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
    if spec.is_optional:
        options["empty_value"] = None
    return forms.CharField(**options, strip=False, widget=widget)


def label_of(name: str) -> str:
    """Return the name of a parameter as a person reads it."""
    return name.rpartition(".")[2].replace("_", " ").capitalize()
