"""`manage.py simulations`: what can be started, and with which parameters."""

from typing import Any

from django import forms
from django.core.management.base import CommandError

from streaming.catalog.engines import engine_of
from streaming.catalog.forms import live_names, params_form
from streaming.catalog.registry import registry
from streaming.engine.errors import LivestepError
from streaming.engine.simulations import Simulation
from streaming.management.base import SettingsCommand


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
        said = [_kind(field), _default(form.get_initial_for_field(field, name))]
        if name in live:
            said.append("live")
        if field.help_text:
            said.append(str(field.help_text))
        lines.append(f"{name}: {', '.join(filter(None, said))}")
    return lines


def _kind(field: forms.Field) -> str:
    if isinstance(field, forms.TypedChoiceField):
        choices: Any = field.choices
        return "one of " + ", ".join(str(key) for key, _ in choices)
    kind = type(field).__name__.removesuffix("Field").lower()
    kind = {"char": "text", "integer": "whole number", "float": "number"}.get(kind, kind)
    low, high = getattr(field, "min_value", None), getattr(field, "max_value", None)
    if low is not None and high is not None:
        return f"{kind} from {low} to {high}"
    return kind


def _default(initial: Any) -> str:
    if initial is None:
        return ""
    text = str(initial)
    lines = text.splitlines()
    return f"default {lines[0]} … ({len(lines)} lines)" if len(lines) > 1 else f"default {text}"
