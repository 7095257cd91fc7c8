"""What clients send that Django's form fields would take for something else, or would not take:
they were made for the text of HTML forms."""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from streaming.catalog.fields import SeveralField
from streaming.engine.errors import MOST_NAMED
from streaming.engine.params import MAX_FILE_BYTES, Upload

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
# And where they need not say it: as the page's control has it, and as Python and JSON have it.
UNKNOWN = ("unknown", "none", "null")
# Fields that take a list.
OF_SEVERAL = (forms.MultipleChoiceField, forms.ModelMultipleChoiceField, SeveralField)
# What Django's fields would turn into a float that does not exist.
LARGEST_NUMBER = 10**300


def misfits(fields: Mapping[str, forms.Field], given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Find what Django's fields would take for something else: they were made for HTML's text."""
    misfits = {
        name: [misfit]
        for name, value in given.items()
        if name in fields and (misfit := _misfit(fields[name], value))
    }
    unknown = [name for name in given if name not in fields]
    if unknown:
        # Translated once, since there may be thousands of them.
        no_such = _("There is no such parameter.")
        misfits |= {name: [no_such] for name in unknown}
        # The first says what there is.
        names = ", ".join(islice(fields, MOST_NAMED)) or _("none")
        said = _("There is no such parameter. There are: %(names)s.") % {"names": names}
        misfits[unknown[0]] = [said]
    return misfits


def _misfit(field: forms.Field, value: Any) -> str:
    """Say what is wrong with one value, or nothing."""
    if isinstance(field, forms.FileField):
        return _misfit_of_file(field, value)
    if isinstance(value, Upload):
        return _("Expected a value, got a file.")
    if value is None:
        return _("Expected a value, got null.") if field.required else ""
    if isinstance(field, forms.JSONField):
        return ""
    if isinstance(value, list | dict):
        is_several = isinstance(field, OF_SEVERAL) and isinstance(value, list)
        got = {"kind": type(value).__name__}
        return "" if is_several else _("Expected a single value, got a %(kind)s.") % got
    shown = {"value": f"{value!r:.80}"}
    if isinstance(field, forms.NullBooleanField):
        known = str(value).lower() in (*BOOLEANS, *UNKNOWN)
        return "" if known else _("Expected true, false or unknown, got %(value)s.") % shown
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


def _misfit_of_file(field: forms.FileField, value: Any) -> str:
    if isinstance(value, Upload):
        return too_large(len(value.content)) if len(value.content) > MAX_FILE_BYTES else ""
    if value in (None, ""):
        return ""
    return _("Choose the file %(name)s again: it is no longer here.") % {"name": f"{value!s:.80}"}


def too_large(size: int) -> str:
    """Say that a file of so many bytes is above the limit."""
    said = _("This file has %(size)s bytes; at most %(most)s can be taken.")
    return said % {"size": f"{size:,}", "most": f"{MAX_FILE_BYTES:,}"}


def as_meant(field: forms.Field, value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(field, forms.NullBooleanField):
        return BOOLEANS.get(str(value).lower()) if value != "" else None
    if isinstance(field, forms.BooleanField):
        return BOOLEANS.get(str(value).lower(), value)
    if isinstance(field, forms.JSONField):
        return value if isinstance(value, str) else json.dumps(value)
    if isinstance(field, OF_SEVERAL[:2]) and not isinstance(value, list):
        return [part for part in str(value).split(",") if part]
    return value
