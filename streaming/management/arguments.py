"""What commands that run one simulation are told: which, and with which parameters."""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from django import forms
from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from streaming.catalog.forms import params_form, validate_params
from streaming.catalog.misfits import too_large
from streaming.catalog.registry import registry
from streaming.engine.errors import LivestepError
from streaming.engine.params import MAX_FILE_BYTES, Upload
from streaming.engine.simulations import Simulation

BAD_INPUT = 2
# As a shell has it: 128 and the number of the signal.
BY_SIGNAL = 128


def add_simulation_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "name", metavar="NAME", help=_("a simulation, as `manage.py simulations` lists it")
    )
    parser.add_argument(
        "--file", type=Path, metavar="FILE.py", help=_("a file with simulations of your own")
    )
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=_("a parameter's value, or the path of its file; may be given several times"),
    )


def find_simulation(options: dict[str, Any]) -> tuple[Simulation, dict[str, Any]]:
    """Return the simulation that was asked for, and the value of each of its parameters.

    Raises:
        CommandError: If there is none, or a value is not what it should be.
    """
    given: dict[str, Any] = {}
    for text in options["param"]:
        name, equals, value = text.partition("=")
        if not equals:
            raise bad_input(_("--param: expected NAME=VALUE, got %(text)r") % {"text": text})
        given[name] = value
    try:
        if options["file"] is not None:
            registry.add_file(options["file"])
        simulation = registry.get(options["name"])
        return simulation, validate_params(simulation, _with_files(simulation, given))
    except LivestepError as error:
        raise bad_input(str(error)) from error


def _with_files(simulation: Simulation, given: dict[str, Any]) -> dict[str, Any]:
    """Return the given values, with the file for each path that stands for one."""
    fields = params_form(simulation)().fields
    return {
        name: _read(name, value)
        if value and isinstance(fields.get(name), forms.FileField)
        else value
        for name, value in given.items()
    }


def _read(name: str, path: str) -> Upload:
    file = Path(os.path.expanduser(path))
    try:
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:  # It may not fit into the memory.
            raise bad_input(f"{name}: {too_large(size)}")
        return Upload(file.name, file.read_bytes())
    except OSError as error:
        raise bad_input(
            _("%(name)s: %(path)s cannot be read: %(reason)s.")
            % {"name": name, "path": path, "reason": error.strerror}
        ) from error


def number_of_steps(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**15:
        raise argparse.ArgumentTypeError(
            _("expected a whole number above 0, got %(text)r") % {"text": text}
        )
    return int(text)


def bad_input(sentence: str) -> CommandError:
    return CommandError(sentence, returncode=BAD_INPUT)


def typed(command: str) -> str:
    """Return what a person types to run another of these commands: `livestep …`, or `manage.py …`
    with this Python."""
    program = sys.argv[0]
    if program.endswith(".py"):
        return f"{sys.executable} {program} {command}"
    name = Path(program).name
    is_on_path = shutil.which(name) == str(Path(program).absolute())
    return f"{name if is_on_path else program} {command}"
