"""The app in somebody else's project: a fresh `startproject`, and a wheel that is built here."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tests.servers import ROOT, Server, clean_environment

pytestmark = pytest.mark.browser

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
ASGI = """
import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
http_application = get_asgi_application()

from streaming.routing import websocket_application

application = ProtocolTypeRouter({"http": http_application, "websocket": websocket_application})
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


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    for name in ("streaming", "gallery", "project", "development"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, sources)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run(folder, *pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(sources))
    (wheel,) = folder.glob("django_livestep-*.whl")
    site = folder / "site"
    run(folder, *pip, "install", "--no-deps", "--target", str(site), str(wheel))
    return site


@pytest.fixture(scope="module")
def project(installed, tmp_path_factory):
    """A project as `startproject` and `startapp` make it, with the few lines that it needs."""
    root = tmp_path_factory.mktemp("project")
    environment = clean_environment(PYTHONPATH=str(installed))
    run(root, sys.executable, "-m", "django", "startproject", "mysite", ".", env=environment)
    run(root, sys.executable, "manage.py", "startapp", "waves", env=environment)
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
def server(project, installed, tmp_path_factory):
    class Site(Server):
        root = project

    site = Site(tmp_path_factory.mktemp("var"), PYTHONPATH=str(installed))
    yield site
    assert site.stop() == 0


def run(folder, *command, env=None):
    result = subprocess.run(
        command, cwd=folder, env=env or os.environ, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_app_comes_from_the_wheel(project, installed):
    where = run(
        project,
        *(sys.executable, "manage.py", "shell", "-v0", "-c"),
        "import streaming; print(streaming.__file__)",
        env=clean_environment(PYTHONPATH=str(installed)),
    )
    assert where.strip() == str(installed / "streaming" / "__init__.py")


def test_has_the_two_apps_and_nothing_of_the_site_or_its_development(installed):
    modules = {path.relative_to(installed) for path in installed.rglob("*.py")}
    assert {module.parts[0] for module in modules} == {"streaming", "gallery"}
    assert "cards.py" not in {module.name for module in modules}


def test_check_finds_nothing(project, installed):
    environment = clean_environment(PYTHONPATH=str(installed))
    out = run(project, sys.executable, "manage.py", "check", env=environment)
    assert "no issues" in out


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
