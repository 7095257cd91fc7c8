"""`manage.py simulations`: what can be started, and with which parameters."""

from typing import Any

from django import forms
from django.core.management.base import CommandError

from streaming.catalog.engines import engine_of
from streaming.catalog.fields import SeveralField
from streaming.catalog.forms import live_names, params_form
from streaming.catalog.registry import registry
from streaming.engine.errors import LivestepError
from streaming.engine.simulations import Simulation
from streaming.management.base import SettingsCommand

# Of each kind of field, those that are others' before these.
WORDS: dict[type[forms.Field], str] = {
    forms.NullBooleanField: "bool or None",
    forms.BooleanField: "bool",
    forms.DecimalField: "decimal number",
    forms.FloatField: "number",
    forms.IntegerField: "whole number",
    forms.ImageField: "picture file",
    forms.FileField: "file",
    forms.DateTimeField: "datetime",
    forms.JSONField: "JSON",
    forms.CharField: "text",
}


class Command(SettingsCommand):
    help = "List the simulations with their parameters."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            simulations = registry.all()
        except LivestepError as error:
            raise CommandError(str(error), returncode=2) from error
        for simulation in simulations:
            engine = engine_of(simulation)
            self.stdout.write(f"{simulation.name}: {simulation.title} ({engine})")
            if simulation.description:
                self.stdout.write(f"    {simulation.description}")
            for line in _parameters(simulation):
                self.stdout.write(f"    {line}")


def _parameters(simulation: Simulation) -> list[str]:
    live = live_names(simulation)
    form = params_form(simulation)()
    lines = []
    for name, field in form.fields.items():
        initial = form.get_initial_for_field(field, name)
        said = [_kind(field), _default(field.prepare_value(initial))]
        if field.required and initial is None:
            said.append("required")
        if name in live:
            said.append("live")
        if field.help_text:
            said.append(str(field.help_text))
        lines.append(f"{name}: {', '.join(filter(None, said))}")
    return lines


def _kind(field: forms.Field) -> str:
    """Return what a field takes, in the words of its simulation's author."""
    if isinstance(field, SeveralField):
        count = "several" if field.length is None else f"{field.length} values"
        return f"{count}, each a {_kind(field.item)}"
    if isinstance(field, forms.ModelChoiceField):
        rows: Any = field.queryset
        of = "several" if isinstance(field, forms.ModelMultipleChoiceField) else "one"
        return f"{of} of the {rows.model._meta.verbose_name_plural}"
    if isinstance(field, forms.ChoiceField):
        of = "several" if isinstance(field, forms.MultipleChoiceField) else "one"
        choices: Any = field.choices
        return f"{of} of " + ", ".join(str(key) for key, _ in choices if key != "")
    kind = next((word for kind, word in WORDS.items() if isinstance(field, kind)), None)
    kind = kind or type(field).__name__.removesuffix("Field").lower()
    low, high = getattr(field, "min_value", None), getattr(field, "max_value", None)
    if low is not None and high is not None:
        return f"{kind} from {low} to {high}"
    return kind


def _default(initial: Any) -> str:
    if initial is None:
        return ""
    text = ", ".join(map(str, initial)) if isinstance(initial, list | tuple) else str(initial)
    lines = text.splitlines()
    return f"default {lines[0]} … ({len(lines)} lines)" if len(lines) > 1 else f"default {text}"
