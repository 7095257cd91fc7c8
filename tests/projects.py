"""A project of somebody's own with the app in it, as docs/django.md has it."""

import os
import subprocess
import sys

from tests.servers import ROOT, START_TIMEOUT_S, Server, clean_environment

MANAGE = """
import os, sys
from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
execute_from_command_line(sys.argv)
"""
SETTINGS = """
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "a-key-of-a-project-for-tests-with-so-many-characters-that-no-check-minds"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
USE_TZ = True
ROOT_URLCONF = "mysite.urls"
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "collected"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3"}}
INSTALLED_APPS = [
    "streaming", "daphne", "django.contrib.admin", "django.contrib.auth",
    "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
    "django.contrib.staticfiles", "channels", "waves",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [BASE_DIR / "templates"],
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
ASGI_APPLICATION = "mysite.asgi.application"
CHANNEL_LAYERS = {
    "local": {"BACKEND": "streaming.layer.LocalChannelLayer"},
    "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
}
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
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("streaming.urls")),
]
"""
WAVE = """
from streaming import simulation

@simulation
def wave():
    for x in range(1000):
        yield f'<svg viewBox="0 0 100 100"><circle cx="{x % 100}" cy="50" r="9"/></svg>'
"""
FILES = {
    "manage.py": MANAGE,
    "mysite/__init__.py": "",
    "mysite/settings.py": SETTINGS,
    "mysite/asgi.py": ASGI,
    "mysite/urls.py": URLS,
    "waves/__init__.py": "",
    "waves/simulations.py": WAVE,
}


class Project:
    """A folder with the project's files.

    Args:
        settings: Lines for the end of its settings.
        files: The text of each file, by its path, that is another than usual, or one more.
    """

    def __init__(self, folder, settings="", files=()):
        self.folder = folder
        for name, text in {**FILES, **dict(files)}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        with open(folder / "mysite" / "settings.py", "a") as file:
            file.write(settings)
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.environment = clean_environment(None, PYTHONPATH=path)

    def manage(self, *command):
        """Run one of its commands to its end, however that is."""
        return subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
        )

    def serve(self, *arguments):
        """Return a server of it, with a database that is up to date."""
        project = self

        class Site(Server):
            root = project.folder

            def prepare(self):
                """`--migrate` does it."""

        return Site(self.folder, "--migrate", *arguments, **self.environment)
