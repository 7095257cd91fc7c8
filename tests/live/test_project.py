"""The app in a project of somebody's own, set up as docs/django.md says."""

import re
import urllib.request

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.projects import ASGI, Project
from tests.servers import ROOT


@pytest.fixture
def serve():
    servers = []

    def serve(project, *arguments):
        servers.append(project.serve(*arguments))
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()


SERVESTATIC = """
DEBUG = False
MIDDLEWARE.insert(1, "servestatic.middleware.ServeStaticMiddleware")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
}
"""


def block(first):
    """Return the block of docs/django.md that begins so."""
    text = (ROOT / "docs" / "django.md").read_text()
    (found,) = [one for one in re.findall(r"```python\n(.*?)```", text, re.S) if first in one]
    return found


def get(address):
    with urllib.request.urlopen(address, timeout=20) as answer:
        return answer.read().decode()


class TestStaticFiles:
    @pytest.mark.parametrize("settings", ["DEBUG = True", SERVESTATIC])
    def test_are_served_while_debugging_and_by_a_middleware(self, tmp_path, serve, settings):
        project = Project(tmp_path, settings)
        assert project.manage("collectstatic", "--noinput").returncode == 0
        server = serve(project)
        assert "static files" not in server.read_log()
        page = get(f"{server.url}/simulations/wave/")
        script = re.search(r'src="(/static/[^"]+/live-step\.[\w.]*js)"', page)[1]
        assert "customElements" in get(server.url + script)

    def test_that_nothing_serves_are_said_and_do_not_keep_it_from_serving(self, tmp_path, serve):
        server = serve(Project(tmp_path))
        assert server.read_log().count("Nothing in MIDDLEWARE serves static files") == 1
        assert "<live-step" in get(f"{server.url}/simulations/wave/")


LAB = """
from django.urls import include, path

urlpatterns = [path("lab/", include("streaming.urls"))]
"""
NO_PAGES = """
from django.contrib import admin
from django.urls import path

urlpatterns = [path("manage/", admin.site.urls)]
"""
OWN = """
from streaming import simulation

@simulation
def own():
    yield "<svg xmlns='http://www.w3.org/2000/svg'/>"
"""


class TestAddresses:
    def said(self, server):
        return re.findall(r"http://\S+", server.output)

    def test_are_those_of_the_pages_and_of_no_admin_that_is_not_there(self, tmp_path, serve):
        (tmp_path / "own.py").write_text(OWN)
        project = Project(tmp_path, files={"mysite/urls.py": LAB})
        server = serve(project, "own.py")
        root = f"{server.url}/lab/"
        assert self.said(server) == [f"{root}simulations/own/", root]
        assert "createsuperuser" not in server.output
        for address in self.said(server):
            assert "<title>" in get(address)

    def test_are_under_the_prefix_of_the_site(self, tmp_path, serve):
        settings = "FORCE_SCRIPT_NAME = '/site'"
        server = serve(Project(tmp_path, settings, files={"mysite/urls.py": LAB}))
        assert self.said(server) == [f"{server.url}/site/lab/"]

    def test_without_our_pages_are_those_that_there_are(self, tmp_path, serve):
        (tmp_path / "own.py").write_text(OWN)
        server = serve(Project(tmp_path, files={"mysite/urls.py": NO_PAGES}), "own.py")
        assert self.said(server) == [f"{server.url}/", f"{server.url}/manage/"]


DJANGOS_OWN = """
from django.core.asgi import get_asgi_application

application = get_asgi_application()
"""
WITHOUT_WEBSOCKET = """
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

application = ProtocolTypeRouter({"http": get_asgi_application()})
"""


@pytest.mark.parametrize("asgi", [DJANGOS_OWN, WITHOUT_WEBSOCKET])
def test_doctor_knows_an_application_without_websockets(tmp_path, serve, asgi):
    project = Project(tmp_path, "DEBUG = True", files={"mysite/asgi.py": asgi})
    server = serve(project)
    said = project.manage("doctor", server.url)
    assert said.returncode == 1
    assert "the scripts: good" in said.stdout
    assert "the WebSocket: expected 101, got 500" in said.stdout
    assert "put websocket_application under" in said.stdout
    assert "proxy_set_header" not in said.stdout


@pytest.mark.parametrize("command", [("check",), ("serve", "--migrate"), ("simulations",)])
def test_a_wrong_setting_is_a_sentence_to_every_command(tmp_path, command):
    """Django's own `manage.py` would write the whole traceback."""
    said = Project(tmp_path, "LIVESTEP = {'ALLOWED_ORIGINS': ['hub.example']}").manage(*command)
    assert said.returncode == 1
    assert "ALLOWED_ORIGINS=['hub.example']; expected a list of origins" in said.stderr
    assert "Traceback" not in said.stderr


class TestAnAppsSimulations:
    """Which cannot be imported: a sentence with the file and the line, from every command."""

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("def x(:\n", "waves/simulations.py:1: SyntaxError: "),
            ("\nimport nowhere\n", "waves/simulations.py:2: ModuleNotFoundError: No module named"),
            ("from waves import rest\n", "waves/rest.py:2: ZeroDivisionError: "),
        ],
    )
    def test_that_cannot_be_imported_are_said_with_file_and_line(self, tmp_path, text, said):
        project = Project(
            tmp_path, files={"waves/simulations.py": text, "waves/rest.py": "\n1 / 0\n"}
        )
        for command in (("check",), ("migrate",), ("simulations",), ("serve", "--migrate")):
            result = project.manage(*command)
            assert result.returncode != 0
            assert f"{tmp_path}/{said}" in result.stderr, command
            assert "Traceback" not in result.stderr, command
            assert ("livestep.E003" in result.stderr) is (command[0] in ("check", "migrate"))


CHAT = """
from channels.generic.websocket import WebsocketConsumer

class ChatConsumer(WebsocketConsumer):
    def connect(self):
        self.accept()
        self.send("hello " + self.scope["user"].get_username())
"""


def test_websockets_of_ones_own_stand_beside_livesteps(tmp_path, serve):
    project = Project(tmp_path, files={"mysite/asgi.py": ASGI + CHAT + block("ChatConsumer")})
    assert "W010" not in project.manage("check").stderr
    server = serve(project)
    with connect(f"{server.socket_url}/chat/", origin=server.url) as chat:
        assert chat.recv(10) == "hello "
    with pytest.raises(InvalidStatus):
        connect(f"{server.socket_url}/chat/", origin="https://evil.example")
    with connect(server.socket_url, subprotocols=["livestep.v1"], origin=server.url) as player:
        assert '"hello"' in player.recv(10)


def test_the_settings_for_several_processes_are_all_that_the_checks_ask_for(tmp_path):
    project = Project(tmp_path, block("mysite.frames"))
    project.environment["PROCESS"] = "a"
    said = project.manage("check", "--deploy").stderr
    found = set(re.findall(r"livestep\.[EW]\d+", said))
    # A site in public needs a limit; the database of these tests is a file.
    assert found == {"livestep.W005", "livestep.W009"}, said
