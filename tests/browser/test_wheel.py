"""The wheel, built here and installed into an empty environment: its command `livestep`, and the
app in a project as `startproject` makes it."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from playwright.sync_api import expect

from tests.projects import ASGI
from tests.servers import ROOT, Server, clean_environment

# The first test builds and installs all that the others use.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

# What docs/django.md tells a project to add.
SETTINGS = """
INSTALLED_APPS = ["streaming", "daphne", *INSTALLED_APPS, "channels", "gallery", "waves"]
ASGI_APPLICATION = "mysite.asgi.application"
CHANNEL_LAYERS = {
    "local": {"BACKEND": "streaming.layer.LocalChannelLayer"},
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}
STATIC_ROOT = BASE_DIR / "collected"
DEBUG = True
"""
URLS = """
from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path
from django.views.generic import TemplateView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("ours/", TemplateView.as_view(template_name="waves/page.html")),
    path("", include("streaming.urls")),
    *staticfiles_urlpatterns(),
]
"""
PAGE = """<!DOCTYPE html>
{% load livestep %}
<title>Ours</title>
<link rel="icon" href="data:,">
<h1>Ours</h1>
{% live_step "tour" size=200 %}
{% live_step "wave" controls="bar" %}
"""
WAVE = """
from streaming import simulation

@simulation
def wave():
    for x in range(1000):
        yield f'<svg viewBox="0 0 100 100"><circle cx="{x % 100}" cy="50" r="9"/></svg>'
"""


# Which folders the distributions are made of.
PARTS = ("streaming", "gallery", "project", "templates", "development")
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
BUILD = """
import sys
from setuptools import build_meta
getattr(build_meta, sys.argv[1])(sys.argv[2])
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """A folder with the sdist, the wheel that it builds, and the repository's own in `direct`."""
    folder = tmp_path_factory.mktemp("distributions")
    sources = folder / "sources"
    for name in PARTS:
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, sources)
    build(sources, "build_sdist", folder)
    build(sources, "build_wheel", folder / "direct")
    (sdist,) = folder.glob("django_livestep-*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    build(unpacked, "build_wheel", folder)
    return folder


def build(sources, what, folder):
    run(sources, sys.executable, "-c", BUILD, what, str(folder))


@pytest.fixture(scope="module")
def environment(distributions, tmp_path_factory):
    """The programs of an environment that was empty, with the wheel and its extra `site`."""
    folder = tmp_path_factory.mktemp("environment")
    run(folder, sys.executable, "-m", "venv", str(folder))
    (wheel,) = distributions.glob("*.whl")
    pip = (
        str(folder / "bin" / "pip"),
        "install",
        "--disable-pip-version-check",
        "--quiet",
        "--no-compile",
    )
    run(folder, *pip, f"{wheel}[site]")
    return folder / "bin"


@pytest.fixture(scope="module")
def python(environment):
    return str(environment / "python")


@pytest.fixture(scope="module")
def project(python, tmp_path_factory):
    """A project as `startproject` and `startapp` make it, with the few lines that it needs."""
    root = tmp_path_factory.mktemp("project")
    run(root, python, "-m", "django", "startproject", "mysite", ".")
    run(root, python, "manage.py", "startapp", "waves")
    with open(root / "mysite" / "settings.py", "a") as settings:
        settings.write(SETTINGS)
    (root / "mysite" / "asgi.py").write_text(ASGI)
    (root / "mysite" / "urls.py").write_text(URLS)
    (root / "waves" / "simulations.py").write_text(WAVE)
    page = root / "waves" / "templates" / "waves" / "page.html"
    page.parent.mkdir(parents=True)
    page.write_text(PAGE)
    return root


@pytest.fixture(scope="module")
def server(project, python, tmp_path_factory):
    class Site(Server):
        root = project
        program = python

    site = Site(tmp_path_factory.mktemp("var"))
    yield site
    assert site.stop() == 0


def run(folder, *command, **environment):
    result = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment(settings=None, **environment),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if "RECORD" not in name}


class TestDistributions:
    def test_the_sdist_builds_the_same_wheel(self, distributions):
        (from_sdist,), (direct,) = distributions.glob("*.whl"), distributions.glob("direct/*.whl")
        assert names_in(from_sdist) == names_in(direct)

    def test_have_two_apps_and_the_site_and_nothing_of_the_development(self, distributions):
        (wheel,) = distributions.glob("*.whl")
        names = names_in(wheel)
        folders = {name.partition("/")[0] for name in names}
        assert {name for name in folders if "dist-info" not in name} == {
            "streaming", "gallery", "livestep",
        }  # fmt: skip
        assert "livestep/templates/404.html" in names
        assert not [name for name in names if "cards.py" in name or "tests/" in name]

    def test_say_what_an_index_shows(self, distributions):
        (wheel,) = distributions.glob("*.whl")
        (metadata,) = (text for name, text in names_in(wheel).items() if name.endswith("METADATA"))
        said = metadata.decode()
        assert "License-Expression: BSD-3-Clause" in said
        assert "Classifier: Framework :: Django :: 5.2" in said
        assert "Author: The Livestep maintainers" in said


class TestCommand:
    """`livestep`, from an environment that was empty, with no project and no settings."""

    @pytest.fixture
    def livestep(self, environment, tmp_path):
        def livestep(*words):
            data = str(tmp_path / "data")
            return run(tmp_path, str(environment / "livestep"), *words, XDG_DATA_HOME=data)

        return livestep

    def test_help_is_there_before_anything_is_loaded(self, livestep, environment, tmp_path):
        assert "serve my_sim.py" in livestep("--help")
        watched = "import sys; import livestep.command as c; c.main(); print(sorted(sys.modules))"
        modules = run(tmp_path, str(environment / "python"), "-c", watched)
        assert "livestep.command" in modules
        assert "django" not in modules
        assert "'streaming" not in modules

    def test_a_first_file_is_written_and_listed_under_the_short_names(self, livestep, tmp_path):
        assert "serve my_walk.py --reload" in livestep("new", "my_walk")
        said = livestep("stream", "my_walk", "--file", "my_walk.py", "--steps=2", "--out", "out")
        assert "took 2 steps" in said
        assert (tmp_path / "out" / "my_walk-000002.svg").exists()
        listed = livestep("simulations")
        assert "countdown: Countdown" in listed
        assert "scikit" not in listed  # Which is not installed.
        assert "usage: livestep check " in livestep("check", "--help")

    def test_serves_a_file_and_keeps_what_it_knows_where_the_system_does(
        self, environment, tmp_path, chromium
    ):
        """In a folder with files called as Python's own, and under a prefix."""
        (tmp_path / "my_sim.py").write_text(WAVE)
        for name in ("queue.py", "signal.py"):
            (tmp_path / name).write_text("raise SystemExit('the wrong module')\n")
        opened = tmp_path / "opened"
        browser = tmp_path / "browser"
        browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
        browser.chmod(0o755)

        class Installed(Server):
            root = tmp_path
            command = (str(environment / "livestep"),)

            def prepare(self):
                """Nothing: that is the point."""

        site = Installed(
            tmp_path,
            "my_sim.py",
            "--open",
            BROWSER=f"{browser} %s",
            XDG_DATA_HOME=str(tmp_path / "data"),
            LIVESTEP_ENGINE="process",
            FORCE_SCRIPT_NAME="/lab",
            VAR_DIR="",
        )
        try:
            assert (tmp_path / "data" / "livestep" / "db.sqlite3").exists()
            page = chromium.new_page()
            page.goto(f"{site.url}/lab/simulations/wave/")
            page.get_by_role("button", name="Start", exact=True).click()
            expect(page.locator("[data-field=state]")).to_have_text("Finished after 1,000 steps")
            expect(page).to_have_url(re.compile(r"/lab/sessions/[\w-]{20,}/$"))
            assert page.goto(f"{site.url}/lab/nowhere/").status == 404
            expect(page.get_by_role("heading")).to_have_text("Not found")
            page.close()
            assert opened.read_text() == f"{site.url}/lab/simulations/wave/\n"
        finally:
            assert site.stop() == 0

    def test_temporary_leaves_nothing(self, environment, tmp_path):
        folder = tmp_path / "tmp"
        folder.mkdir()
        places = {"TMPDIR": str(folder), "XDG_DATA_HOME": str(tmp_path / "data")}
        run(tmp_path, str(environment / "livestep"), "simulations", "--temporary", **places)
        assert list(folder.iterdir()) == []
        assert not (tmp_path / "data").exists()


class TestInAProject:
    def test_the_app_comes_from_the_wheel(self, project, python, environment):
        where = "import streaming; print(streaming.__file__)"
        said = run(project, python, "manage.py", "shell", "-v0", "-c", where)
        assert said.startswith(str(environment.parent))

    def test_check_finds_nothing(self, project, python):
        assert "no issues" in run(project, python, "manage.py", "check")


def test_the_template_tag_shows_a_player(open_page):
    page = open_page("/ours/")
    tour = page.locator("live-step").first
    tour.get_by_role("button", name="Start", exact=True).click()
    expect(tour.locator("[data-field=state]")).to_have_text("Running")
    expect(tour.locator(".picture [role=img]")).to_have_attribute(
        "aria-label", re.compile("through 200 cities")
    )
    wave = page.locator("live-step").last
    wave.get_by_role("button", name="Start", exact=True).click()
    expect(wave.locator("[data-field=state]")).to_have_text("Finished after 1,000 steps")
    tour.get_by_role("button", name="Stop", exact=True).click()
    expect(tour.locator("[data-field=state]")).to_have_text(re.compile("^Stopped in"))


def test_the_pages_that_come_with_it_work(open_page):
    page = open_page("/simulations/wave/")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page).to_have_url(re.compile(r"/sessions/[\w-]{20,}/$"))
    expect(page.locator("[data-field=state]")).to_have_text("Finished after 1,000 steps")
