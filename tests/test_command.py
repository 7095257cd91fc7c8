"""`livestep` before it is installed; tests/browser/test_wheel.py has what it does where it is."""

import subprocess
import sys

from tests.servers import ROOT, clean_environment


def livestep(*words, before=""):
    program = f"""
import sys
{before}
sys.argv[0] = "livestep"
from project.command import main
main()
print(*(name for name in ("django", "streaming") if name in sys.modules))
"""
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        env=clean_environment(settings=None),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_its_help_loads_neither_django_nor_the_site():
    for words in ((), ("--help",)):
        said = livestep(*words).stdout
        assert "serve my_sim.py" in said
        assert said.endswith("\n\n"), said


def test_without_the_extra_it_says_how_to_get_it():
    ran = livestep("simulations", before="sys.modules['environ'] = None")
    assert ran.returncode == 1
    assert ran.stderr.startswith("environ is not installed for ")
    assert ran.stderr.endswith('or pip install "django-livestep[site]"\n')


def test_a_python_without_django_is_told_which_one_to_take():
    before = "sys.path[:] = [path for path in sys.path if 'site-packages' not in path]"
    ran = livestep("simulations", before=before)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"django is not installed for {sys.executable}: use .venv/bin/")


def test_a_folder_that_cannot_be_written_is_a_sentence():
    ran = livestep(
        "simulations",
        before="""
import project.command
def refuse(*_):
    raise PermissionError(13, "Permission denied", "/srv/state")
project.command._execute = refuse
""",
    )
    assert ran.returncode == 1
    assert ran.stderr == "/srv/state cannot be written or read: Permission denied\n"


def test_its_version_is_that_of_the_package():
    assert livestep("--version").stdout.startswith("livestep 0.")
