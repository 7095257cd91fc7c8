"""What `manage.py simulations` says of parameters."""

import io
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import pytest
from django import forms
from django.contrib.auth.models import User
from django.core.management import call_command

from streaming.catalog.registry import registry
from streaming.engine.params import Param
from streaming.engine.simulations import describe
from tests.samples.simulations import Colour


@pytest.fixture
def listed(monkeypatch):
    """Return what is said of each parameter of a simulation."""

    def listed(target, form=None):
        monkeypatch.setattr(registry, "all", lambda: [describe(target, form=form)])
        out = io.StringIO()
        call_command("simulations", stdout=out)
        lines = out.getvalue().splitlines()[1:]
        return dict(line.strip().split(": ", 1) for line in lines)

    return listed


def of_every_type(
    needed: str,
    file: Path,
    number: Annotated[float, Param(0, 1)] = 0.5,
    price: Decimal = Decimal("1.10"),
    sure: bool | None = None,
    flag: bool = True,
    rule: Literal["life", "seeds"] | None = None,
    colours: list[Colour] = [Colour.RED, Colour.DARK_BLUE],  # noqa: B006
    some: list[int] = [1, 2],  # noqa: B006
    pair: tuple[float, float] = (0.5, 1),
    day: date = date(2026, 1, 2),
    moment: datetime | None = None,
    hour: time = time(12, 30),
    data: bytes | None = None,
): ...


class RichForm(forms.Form):
    picture = forms.ImageField()
    email = forms.EmailField(required=False)
    kinds = forms.MultipleChoiceField(choices=[("a", "A"), ("b", "B")])
    extra = forms.JSONField(initial=list)
    user = forms.ModelChoiceField(User.objects.all(), required=False)
    users = forms.ModelMultipleChoiceField(User.objects.all(), required=False)


def of_a_form(**given): ...


def test_each_type_has_its_authors_words(listed):
    assert listed(of_every_type) == {
        "needed": "text, required",
        "file": "file, required",
        "number": "number from 0 to 1, default 0.5",
        "price": "decimal number, default 1.10",
        "sure": "bool or None",
        "flag": "bool, default True",
        "rule": "one of life, seeds",
        "colours": "several of 1, 2, default 1, 2",
        "some": "several, each a whole number, default 1, 2",
        "pair": "2 values, each a number, default 0.5, 1.0",
        "day": "date, default 2026-01-02",
        "moment": "datetime",
        "hour": "time, default 12:30:00",
        "data": "file",
    }


def test_so_has_each_field_of_a_form(listed):
    assert listed(of_a_form, RichForm) == {
        "picture": "picture file, required",
        "email": "text",
        "kinds": "several of a, b, required",
        "extra": "JSON, default []",
        "user": "one of the users",
        "users": "several of the users",
    }
