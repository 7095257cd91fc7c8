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
    assert ran.stderr == 'environ is not installed: pip install "django-livestep[site]"\n'


def test_its_version_is_that_of_the_package():
    assert livestep("--version").stdout.startswith("livestep 0.")
