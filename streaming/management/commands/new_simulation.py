"""`manage.py new_simulation NAME`: a file to start from, which works as it is."""

import ast
import builtins
import keyword
import shlex
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from streaming.catalog.registry import registry
from streaming.engine.errors import LivestepError
from streaming.engine.simulations import NAME_PATTERN
from streaming.management.arguments import bad_input, typed
from streaming.management.base import SettingsCommand

TEMPLATE = Path(__file__).parents[2] / "simulation_template.py-tpl"


class Command(SettingsCommand):
    help = _("Write a file with a small simulation, to start your own from. It overwrites nothing.")
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.epilog = _("Exit codes: 0 written; 1 the file could not be written; 2 bad input.")
        parser.add_argument("name", metavar="NAME", help=_("its name, as of a Python function"))
        parser.add_argument(
            "--file",
            type=Path,
            metavar="PATH",
            help=_("the file (default: NAME.py in the current folder)"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        path: Path = options["file"] or Path(f"{name}.py")
        source = Template(TEMPLATE.read_text(encoding="utf-8"))
        _check(name, source)
        if path.suffix != ".py":
            raise bad_input(
                _("--file: expected a file with the ending .py, got %(path)s") % {"path": path}
            )
        title = name.replace("_", " ").capitalize()
        _write(path, source.substitute(name=name, title=title))
        file = shlex.quote(str(path))
        self.stdout.write(
            _("%(path)s is written. See it, and change it while it runs:") % {"path": path}
        )
        self.stdout.write(f"    {typed(f'serve {file} --reload')}")


def _check(name: str, source: Template) -> None:
    if not (name.isidentifier() and NAME_PATTERN.match(name)) or keyword.iskeyword(name):
        raise bad_input(
            _(
                "expected a name as of a Python function (at most 64 of the letters a to z and A "
                "to Z, digits and _, no digit first, no keyword), got %(name)r; what people see is "
                "its title, which may have any letters"
            )
            % {"name": name}
        )
    if name in _names_in(source.substitute(name="_", title="")) or hasattr(builtins, name):
        raise bad_input(
            _("%(name)r means something else in the file already: choose another name")
            % {"name": name}
        )
    try:
        known = {simulation.name for simulation in registry.all()}
    except LivestepError as error:
        raise bad_input(str(error)) from error
    if name in known:
        raise bad_input(
            _("there is a simulation %(name)r already: choose another name") % {"name": name}
        )


def _names_in(source: str) -> Iterator[str]:
    """Yield what the file calls something itself: a function of that name would hide it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                yield name


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise bad_input(
            _("%(path)s is there already, and is left as it is: choose another name or --file")
            % {"path": path}
        ) from error
    except OSError as error:
        raise CommandError(
            _("%(path)s could not be written: %(reason)s.")
            % {"path": path, "reason": error.strerror}
        ) from error
