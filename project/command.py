"""The command `livestep` of an installed wheel: the commands of this site, under short names.

    livestep serve my_sim.py

It says what it can do before it loads Django and the site, which takes ten times as long.
"""

import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from types import MappingProxyType

# By the name that is typed: the command of Django's command line, and what it does.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("serve", "serve your simulations, and those that ship: serve my_sim.py --reload"),
    "new": ("new_simulation", "write a file to start from: new my_walk"),
    "stream": ("stream", "run one without a server, its frames into files"),
    "thumbnail": ("thumbnail", "draw the picture of its card in the gallery, and its loop"),
    "check": ("check_simulation", "see how one steps, draws and stops"),
    "simulations": ("simulations", "list what can be started, with its parameters"),
    "compute": ("compute", 'run sessions of the engine "cluster" on this machine'),
    "doctor": ("doctor", "try a site from outside, through its proxies"),
}
USAGE = """\
usage: livestep COMMAND … [--temporary]

{commands}

livestep COMMAND --help    tells more of one
livestep help              lists the commands of Django's command line, such as createsuperuser
livestep --version
--temporary                keeps nothing: what the site writes goes into a folder that is deleted at
                           the end. Else it is in VAR_DIR, by default where this system keeps the
                           data of programs.
"""
# What the site needs, as it is imported.
EXTRA = ("csp", "django", "environ", "platformdirs", "pythonjsonlogger", "servestatic")


def main() -> None:
    """Run the command that was typed, and exit with its code."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        listed = "\n".join(f"  {name:13}{what}" for name, (_command, what) in COMMANDS.items())
        sys.stdout.write(USAGE.format(commands=listed))
        return
    if words[0] == "--version":
        from streaming import __version__

        sys.stdout.write(f"livestep {__version__}\n")
        return
    # Not that of a project of the user's own, which may be set in this shell.
    os.environ["DJANGO_SETTINGS_MODULE"] = f"{__package__}.settings"
    with ExitStack() as stack:
        if "--temporary" in words:
            words.remove("--temporary")
            folder = TemporaryDirectory(prefix="livestep-", ignore_cleanup_errors=True)
            os.environ["VAR_DIR"] = stack.enter_context(folder)
            os.environ.pop("DATABASE_URL", None)
        run(["livestep", *words])


def run(argv: Sequence[str]) -> None:
    """Run a command of the site: one of ours by its short name, any other as Django has it.

    Args:
        argv: The program's name, the command's, and its arguments.
    """
    if argv[1] == "serve":
        os.environ.setdefault("STATIC_FILES", "packaged")
        argv = [*argv, "--migrate"]
    execute(argv, {short: command for short, (command, _what) in COMMANDS.items()})


def execute(argv: Sequence[str], names: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run one of Django's commands, and say in a sentence what keeps it from running at all.

    Args:
        argv: The program's name, the command's, and its arguments.
        names: What commands are called otherwise than in Django.
    """
    if argv[1:2] == ["serve"] and "--reload" in argv:
        # Somebody works on a file: nothing has to be collected for that.
        os.environ.setdefault("STATIC_FILES", "packaged")
    try:
        _execute(argv, names)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.exit(
            f"{error.name} is not installed for {sys.executable}: use .venv/bin/python in a clone "
            'after `make run`, or pip install "django-livestep[site]"'
        )
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES) and error.filename:
            sys.exit(f"{error.filename} cannot be written or read: {error.strerror}")
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT):
            raise
        # Python would write what is left once more, at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            # The reader has enough, as `head` has after ten lines.
            sys.exit(128 + signal.SIGPIPE)
        sys.exit(f"The output cannot be written: {error.strerror}")


def _execute(argv: Sequence[str], names: Mapping[str, str]) -> None:
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import BaseCommand, ManagementUtility
    from django.db import OperationalError

    class Utility(ManagementUtility):
        def fetch_command(self, subcommand: str) -> BaseCommand:
            return super().fetch_command(names.get(subcommand, subcommand))

    try:
        Utility(list(argv)).execute()
    except ImproperlyConfigured as error:
        sys.exit(f"The settings cannot be used: {error}")
    except OperationalError as error:
        if "--traceback" in argv:
            raise
        sys.exit(f"The database cannot be used: {error}")
