import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.exceptions import ImproperlyConfigured

from project.settings import read
from streaming.checks import (
    check_channel_layer,
    check_server,
    check_settings,
    check_simulations,
)
from streaming.conf import CORES, KINDS, Conf, conf
from streaming.engine.simulations import Abandon, described, simulation
from tests.servers import ROOT, clean_environment


class TestConf:
    def test_has_defaults_for_everything(self):
        assert conf().FPS == 30
        assert conf().STOP_GRACE == 2
        assert conf().MAX_FRAME_BYTES == 900_000
        assert conf().ABANDON is Abandon.STOP

    def test_is_read_lazily(self, settings):
        settings.LIVESTEP = {"FPS": 0, "ABANDON": "keep"}
        assert (conf().FPS, conf().ABANDON) == (0, Abandon.KEEP)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"FPZ": 3}, "unknown setting 'FPZ'; known are ABANDON"),
            ({"FPS": 61}, "FPS=61; expected a number from 0 to 60"),
            ({"FPS": "30"}, "expected a number"),
            ({"FPS": True}, "FPS=True; expected a number"),
            ({"FPS": float("nan")}, "FPS=nan; expected a number"),
            ({"MAX_FRAME_BYTES": 2_000_000}, "expected a number from 1000 to 1044480"),
            ({"PROCESS": "web-1"}, "PROCESS='web-1'; expected at most 16 of the characters"),
            ({"LOGIN_REQUIRED": "no"}, "LOGIN_REQUIRED='no'; expected True or False"),
            ({"PROCESS_ENVIRONMENT": "HOME"}, "PROCESS_ENVIRONMENT='HOME'; expected a list"),
            ({"ENGINE": "gpu"}, "expected one of thread, process"),
            ({"ABANDON": "never"}, "expected one of stop, pause, keep"),
            (None, "LIVESTEP=None; expected a dictionary"),
            ([("FPS", 3)], "expected a dictionary"),
            ({5: 1, "FPZ": 3}, "unknown setting 5"),
            ({"DEFAULT_SIMULATION": 5}, "DEFAULT_SIMULATION=5; expected a text"),
            ({"FILES_DIR": 5}, "FILES_DIR=5; expected a text"),
            ({"METRICS_TOKEN": b"hush"}, "a value of the type bytes; expected a text"),
            ({"BROKER_URL": 6379}, "a value of the type int; expected an address such as redis"),
            ({"BROKER_URL": "localhost:6379"}, "expected an address such as redis"),
            ({"PROCESS_ENVIRONMENT": [5]}, r"PROCESS_ENVIRONMENT=\[5\]; expected a list of texts"),
            ({"SIMULATIONS": "mine.py"}, "^SIMULATIONS='mine.py'; expected a list"),
            ({"ALLOWED_ORIGINS": "https://hub.example"}, "expected a list of origins such as"),
            ({"ALLOWED_ORIGINS": ["hub.example"]}, "^ALLOWED_ORIGINS=.*hub.*; expected a list of"),
            ({"ALLOWED_ORIGINS": ["https://hub.example/"]}, "without a path"),
            ({"ALLOWED_ORIGINS": ["https://*.hub.example"]}, "without a path"),
            ({"ALLOWED_ORIGINS": ["https://hub.example:no"]}, "without a path"),
            ({"ALLOWED_ORIGINS": [5]}, "expected a list of origins"),
        ],
    )
    def test_a_wrong_one_is_named(self, settings, given, said):
        settings.LIVESTEP = given
        with pytest.raises(ImproperlyConfigured, match=said) as caught:
            conf()
        assert "hush" not in str(caught.value)
        assert [error.id for error in check_settings(None)] == ["livestep.E001"]

    def test_good_ones_of_every_kind_are_taken(self, settings):
        """Paths, too, which stand for their text."""
        origins = ["https://hub.example", "http://[::1]:8000", "HTTPS://Hub.example:8443"]
        settings.LIVESTEP = {
            "ALLOWED_ORIGINS": origins,
            "FILES_DIR": Path("/srv/files"),
            "SIMULATIONS": (Path("mine.py"), "other.py"),
            "BROKER_URL": "sentinel://one:26379;sentinel://two:26379",
        }
        assert tuple(origins) == conf().ALLOWED_ORIGINS
        assert conf().FILES_DIR == "/srv/files"
        assert conf().SIMULATIONS == ("mine.py", "other.py")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("FPS", "12.5", 12.5),
        ("MAX_QUEUED", "3", 3),
        ("LOGIN_REQUIRED", "Yes", True),
        ("LOGIN_REQUIRED", "off", False),
        ("PROCESS_ENVIRONMENT", "HOME, PATH,", ["HOME", "PATH"]),
        ("ENGINE", "process", "process"),
        ("METRICS_TOKEN", "$x,1", "$x,1"),
    ],
)
def test_a_variable_is_read_as_the_kind_of_its_setting(monkeypatch, name, text, value):
    monkeypatch.setenv(f"LIVESTEP_{name}", text)
    found = read(f"LIVESTEP_{name}", KINDS[name].type)
    assert (found, type(found)) == (value, type(value))


class TestDocumentation:
    """The table of docs/settings.md."""

    # What a default is that stands there in words.
    WORDS = {
        "4 for each core": 4 * CORES,
        "2 for each core": 2 * CORES,
        "4 GB": 4 * 1024**3,
        "the first in `SIMULATIONS`, else `ising`": "",
    }

    def rows(self):
        _, _, table = (ROOT / "docs" / "settings.md").read_text().partition("## Livestep")
        return dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| .+ \|$", table, re.MULTILINE))

    def test_has_every_setting_and_no_other(self):
        # Those two have a variable of the site, without the prefix.
        assert set(self.rows()) == set(KINDS) - {"SIMULATIONS", "ALLOWED_ORIGINS"}

    def test_has_each_default_as_it_is(self):
        for name, said in self.rows().items():
            default = Conf.__dataclass_fields__[name].default
            if said in self.WORDS:
                assert default == self.WORDS[said], name
            elif isinstance(default, bool):
                assert said == ("`yes`" if default else "`no`"), name
            elif isinstance(default, int | float):
                assert float(said) == default, name
            else:
                assert said == (f"`{default}`" if default else "none"), name


class TestChecks:
    def test_a_good_site_passes(self):
        assert [*check_settings(None), *check_channel_layer(None), *check_simulations(None)] == []

    def test_the_local_layer_must_be_in_memory(self, settings):
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
        assert [error.id for error in check_channel_layer(None)] == ["livestep.E002"]

    def test_two_simulations_with_one_name_are_an_error(self, monkeypatch):
        monkeypatch.setattr(
            "streaming.catalog.registry.Registry.clashes", lambda self: [("a", ["x", "y"])]
        )
        (error,) = check_simulations(None)
        assert error.id == "livestep.E004"
        assert "'a': in x and in y" in error.msg

    def test_what_a_process_could_not_find_is_an_error(self, monkeypatch):
        @simulation(engine="process")
        def made_here():
            yield "<svg/>"

        monkeypatch.setattr(
            "streaming.catalog.registry.Registry.all", lambda self: [described(made_here)]
        )
        (error,) = check_simulations(None)
        assert error.id == "livestep.E005"
        assert "made_here cannot run in a process of its own" in error.msg

    def test_a_file_that_cannot_be_loaded_is_an_error(self, settings, monkeypatch):
        from streaming.catalog.registry import Registry

        monkeypatch.setattr("streaming.checks.registry", Registry())
        settings.LIVESTEP = {"SIMULATIONS": ["nowhere.py"]}
        (error,) = check_simulations(None)
        assert error.id == "livestep.E003"


class TestTheServer:
    APPS = SimpleNamespace(INSTALLED_APPS=["streaming", "daphne"])

    def test_as_it_is_nothing_is_to_be_said(self):
        assert check_server(None) == []

    def test_a_daphne_that_is_not_known_is_a_warning(self, monkeypatch):
        monkeypatch.setattr("streaming.checks.settings", self.APPS)
        monkeypatch.setattr("streaming.server.daphne.what_is_unknown", lambda: "daphne has no y")
        (warning,) = check_server(None)
        assert (warning.id, "daphne has no y" in warning.msg) == ("livestep.W001", True)

    @pytest.mark.parametrize(
        ("apps", "ids"),
        [
            (["daphne", "streaming"], ["livestep.W002"]),
            (["streaming", "daphne"], []),
            (["streaming"], []),
        ],
    )
    def test_an_order_in_which_runserver_is_daphnes_own_is_a_warning(self, monkeypatch, apps, ids):
        monkeypatch.setattr("streaming.checks.settings", SimpleNamespace(INSTALLED_APPS=apps))
        assert [warning.id for warning in check_server(None)] == ids


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"REDIS_URL": "nonsense"}, "REDIS_URL='nonsense'…; expected an address such as redis://"),
        ({"REDIS_URL": "redis://127.0.0.1:no/0"}, "expected an address such as redis://"),
        ({"DATABASE_URL": "postgres://u:hush@db:no/x"}, "expected an address such as sqlite:///"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL='nonsense'…; expected an address such as"),
        ({"VAR_DIR": "/proc/nope"}, "VAR_DIR='/proc/nope' cannot be made"),
        ({"LANGUAGE_CODE": "xx"}, "LANGUAGE_CODE='xx'; expected en or de"),
        ({"FORCE_SCRIPT_NAME": "lab"}, "FORCE_SCRIPT_NAME='lab'; expected a path such as /lab"),
        ({"ALLOWED_HOSTS": "a.example, http://lab.example"}, "'http://lab.example'; expected a"),
        ({"ALLOWED_HOSTS": "lab.example:8000"}, "ALLOWED_HOSTS: 'lab.example:8000'; expected a"),
        ({"ALLOWED_ORIGINS": "https://lab.example/"}, "expected a list of origins such as"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(variables, said):
    complaint = complaint_of("check", **variables)
    assert said in complaint
    assert "hush" not in complaint


def test_words_may_have_spaces_around_them():
    environment = {"ALLOWED_HOSTS": "a.example, .b.example,[::1],*, 127.0.0.1"}
    program = "from project import settings; print(settings.ALLOWED_HOSTS)"
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.stdout == "['a.example', '.b.example', '[::1]', '*', '127.0.0.1']\n"


def test_a_database_that_is_away_is_said(tmp_path):
    complaint = complaint_of(
        "migrate", VAR_DIR=str(tmp_path), DATABASE_URL="postgres://u:hush@127.0.0.1:1/livestep"
    )
    assert complaint.startswith("The database cannot be used: ")
    assert "refused" in complaint
    assert "hush" not in complaint


def complaint_of(command, **variables):
    """Return what a command says that cannot do its work."""
    result = subprocess.run(
        [sys.executable, "manage.py", command],
        cwd=ROOT,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    return result.stderr
