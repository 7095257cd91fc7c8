"""What a query in a process of simulations says, wherever it is made."""

import pytest
from django.db import DatabaseError
from django.db.utils import ConnectionHandler

from streaming.catalog.preload import _harmless_setting
from tests.projects import WAVE, Project

IN_PROCESS = WAVE.replace("@simulation", '@simulation(engine="process")')
QUERY = "from django.contrib.contenttypes.models import ContentType; ContentType.objects.count()"
IN_READY = f"""
import sys
from django.apps import AppConfig

class WavesConfig(AppConfig):
    name = "waves"

    def ready(self):
        if "migrate" not in sys.argv:
            {QUERY}
"""


@pytest.mark.parametrize(
    "files",
    [
        {"waves/apps.py": IN_READY, "waves/simulations.py": IN_PROCESS},
        {
            "waves/simulations.py": f"import sys\nif 'migrate' not in sys.argv: {QUERY}\n"
            + IN_PROCESS
        },
        {"waves/simulations.py": IN_PROCESS.replace("():", f"():\n    {QUERY}")},
    ],
    ids=["in ready", "in a module", "in a step"],
)
def test_says_that_there_is_none_and_what_to_do(tmp_path, files):
    project = Project(tmp_path, files=files)
    assert project.manage("migrate", "-v0").returncode == 0
    result = project.manage("stream", "wave", "--steps", "2")
    assert result.returncode == 1
    assert "OperationalError: the process of a simulation has no database." in result.stderr
    assert "DATABASES" not in result.stderr


def test_each_database_has_its_name_there():
    """A router or `using()` would else be told that there is no such connection."""
    given = {name: {"ENGINE": "django.db.backends.postgresql"} for name in ("default", "replica")}
    connections = ConnectionHandler(_harmless_setting("DATABASES", given, []))
    with pytest.raises(DatabaseError, match="has no database"):
        connections["replica"].cursor()


def test_each_cache_has_its_name_there():
    caches = _harmless_setting("CACHES", {"pages": {"BACKEND": "x", "LOCATION": "secret"}}, [])
    assert set(caches) == {"default", "pages"}
    assert "secret" not in str(caches)
