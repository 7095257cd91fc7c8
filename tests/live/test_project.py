"""`serve` in a project of somebody's own."""

import re
import urllib.request

import pytest

from tests.projects import Project


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
