"""The system checks of a site as it is deployed; those of its simulations are in test_conf.py."""

import os
import re
import subprocess
import sys

import django
import pytest
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from channels.sessions import SessionMiddlewareStack
from django.urls import path

from streaming import checks
from streaming.routing import SameOriginValidator, websocket_application
from tests.servers import ROOT, clean_environment

PUBSUB = {
    "BACKEND": checks.PUBSUB_LAYER,
    "CONFIG": {"hosts": [{"address": "x", "socket_timeout": 2, "socket_connect_timeout": 2}]},
}
CORE = {**PUBSUB, "BACKEND": checks.CORE_LAYER}
HASTY = {"BACKEND": checks.PUBSUB_LAYER, "CONFIG": {"hosts": ["redis://localhost"]}}
IN_MEMORY = {"BACKEND": "channels.layers.InMemoryChannelLayer"}


def ids(found):
    return [message.id.removeprefix("livestep.") for message in found]


class TestLimits:
    @pytest.mark.parametrize(
        ("given", "found"),
        [
            ({}, []),
            ({"MAX_VIEWERS": 50}, ["W003"]),
            ({"MAX_VIEWERS": 50, "MAX_VIEWERS_PER_SESSION": 50}, []),
            ({"STOP_GRACE": 10}, ["W004"]),
            ({"STOP_GRACE": 0.1, "SHUTDOWN_GRACE": 0}, ["W004"]),
            ({"STOP_GRACE": 10, "SHUTDOWN_GRACE": 12}, []),
            ({"FPS": "fast"}, []),  # E001 has said it.
        ],
    )
    def test_that_contradict_each_other_are_warned_of(self, settings, given, found):
        settings.LIVESTEP = given
        assert ids(checks.check_limits(None)) == found

    @pytest.mark.parametrize(
        ("given", "found"),
        [
            ({}, ["W005"]),
            ({"ABANDON": "keep"}, ["W005"]),
            ({"MAX_RUN_SECONDS": 3600}, []),
            ({"LOGIN_REQUIRED": True}, []),
        ],
    )
    def test_sessions_that_anybody_may_leave_for_ever_are_warned_of(self, settings, given, found):
        settings.LIVESTEP = given
        assert ids(checks.check_endless_sessions(None)) == found


class TestChannelLayers:
    @pytest.mark.parametrize(
        ("layers", "found"),
        [
            ({}, []),
            ({"default": IN_MEMORY}, []),
            ({"default": PUBSUB, "frames": PUBSUB}, []),
            ({"default": PUBSUB}, ["W007"]),
            ({"frames": PUBSUB}, ["E008"]),
            ({"default": IN_MEMORY, "frames": PUBSUB}, ["E008"]),
            ({"default": CORE, "frames": PUBSUB}, ["E007"]),
            ({"default": PUBSUB, "frames": CORE}, ["E007"]),
            ({"default": HASTY, "frames": PUBSUB}, ["W008"]),
            ({"default": {"BACKEND": checks.PUBSUB_LAYER}, "frames": PUBSUB}, ["W008"]),
            ({"default": {"BACKEND": "somebody.elses.Layer"}, "frames": PUBSUB}, []),
        ],
    )
    def test_of_several_processes_are_looked_at(self, settings, layers, found):
        settings.CHANNEL_LAYERS = layers
        assert ids(checks.check_shared_layers(None)) == found

    @pytest.mark.parametrize("layers", [{}, {"default": IN_MEMORY}])
    def test_that_only_one_process_knows_do_not_go_with_a_name(self, settings, layers):
        settings.LIVESTEP = {"PROCESS": "a"}
        settings.CHANNEL_LAYERS = layers
        assert ids(checks.check_shared_layers(None)) == ["W006"]

    @pytest.mark.parametrize(
        ("engine", "layers", "found"),
        [
            ("django.db.backends.sqlite3", {"default": PUBSUB, "frames": PUBSUB}, ["W009"]),
            ("django.db.backends.sqlite3", {"default": IN_MEMORY}, []),
            ("django.db.backends.postgresql", {"default": PUBSUB, "frames": PUBSUB}, []),
        ],
    )
    def test_of_several_processes_go_with_a_database_server(
        self, settings, monkeypatch, engine, layers, found
    ):
        settings.CHANNEL_LAYERS = layers
        monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", engine)
        assert ids(checks.check_database(None)) == found


def router(websocket):
    return ProtocolTypeRouter({"http": None, "websocket": websocket})


URLS = URLRouter([path("ws", lambda: None)])


class TestOrigins:
    @pytest.mark.parametrize(
        ("application", "found"),
        [
            (router(websocket_application), []),
            (router(URLRouter([path("live/", websocket_application)])), []),
            (router(SessionMiddlewareStack(SameOriginValidator(URLS))), []),
            (router(SessionMiddlewareStack(URLS)), ["W010"]),
            (router(AllowedHostsOriginValidator(URLS)), ["W010"]),
            (ProtocolTypeRouter({"http": None}), []),
            (lambda scope, receive, send: None, []),
        ],
    )
    def test_that_nobody_checks_are_warned_of(self, settings, monkeypatch, application, found):
        monkeypatch.setattr("project.asgi.application", application)
        assert ids(checks.check_origins(None)) == found

    @pytest.mark.parametrize("name", [None, "", "nowhere.asgi.application", "project.asgi.nothing"])
    def test_an_application_that_is_not_there_is_for_others_to_report(self, settings, name):
        settings.ASGI_APPLICATION = name
        assert checks.check_origins(None) == []

    @pytest.mark.parametrize(("hosts", "found"), [(["*"], ["W011"]), (["lab.example"], [])])
    def test_are_nothing_to_compare_with_where_every_host_is_allowed(self, settings, hosts, found):
        settings.ALLOWED_HOSTS = hosts
        assert ids(checks.check_hosts(None)) == found


def test_a_site_that_is_all_wrong_is_told_so_without_connecting_to_anything(tmp_path):
    """Neither Redis nor the database is there; the command only reads settings."""
    result = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        cwd=ROOT,
        env=clean_environment(
            VAR_DIR=str(tmp_path),
            REDIS_URL="redis://192.0.2.1",
            ALLOWED_HOSTS="*",
            LIVESTEP_MAX_VIEWERS="1",
            LIVESTEP_STOP_GRACE="60",
        ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    found = re.findall(r"livestep\.(W\d+)", result.stderr)
    assert sorted(found) == ["W003", "W004", "W005", "W009", "W011"]
    # Django's own checks look at SQLite from 6.1 on.
    djangos = ["db.sqlite3"] if django.VERSION >= (6, 1) else []
    assert sorted(os.listdir(tmp_path)) == sorted(["secret_key", *djangos])


def test_each_is_in_the_table_of_the_documentation():
    files = (ROOT / "streaming").glob("*checks.py")
    source = "".join(file.read_text() for file in files)
    table = (ROOT / "docs" / "operating.md").read_text()
    listed = re.findall(r"^\| ([EW]\d{3}) ", table, re.MULTILINE)
    assert sorted(listed) == sorted(re.findall(r'id="livestep\.(\w+)"', source))


class TestPolicy:
    """A Content-Security-Policy of somebody else's project."""

    OURS = "csp.middleware.CSPMiddleware"
    DJANGOS = "django.middleware.csp.ContentSecurityPolicyMiddleware"
    FULL = {
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:"],
    }

    @pytest.mark.parametrize("middleware", [OURS, DJANGOS])
    @pytest.mark.parametrize(
        ("changed", "missing"),
        [
            ({}, None),
            ({"frame-src": ["'none'"]}, "frame-src 'self' is"),
            ({"child-src": "'none'"}, "frame-src 'self' is"),
            ({"frame-src": ["https://us.example"]}, None),
            ({"frame-src": ["*"]}, None),
            ({"img-src": ("'self'", "data:")}, "img-src blob: is"),
            (
                {"default-src": ["'none'"]},
                "script-src 'self', style-src 'self', connect-src 'self'",
            ),
        ],
    )
    def test_that_lacks_what_the_player_needs_is_warned_of(
        self, settings, middleware, changed, missing
    ):
        settings.MIDDLEWARE = [middleware]
        directives = {**self.FULL, **changed}
        settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": directives}
        settings.SECURE_CSP = directives
        found = checks.check_policy(None)
        assert [missing in one.msg for one in found] == ([] if missing is None else [True])

    def test_that_is_not_there_forbids_nothing(self, settings):
        settings.MIDDLEWARE = []
        settings.CONTENT_SECURITY_POLICY = {"DIRECTIVES": {"default-src": ["'none'"]}}
        assert checks.check_policy(None) == []

    def test_of_this_site_is_enough(self):
        assert checks.check_policy(None) == []
