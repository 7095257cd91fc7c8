"""The site's settings, with what tests need otherwise: a database file that threads share, and
no collected static files."""

import os

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS, VAR_DIR

INSTALLED_APPS = [*INSTALLED_APPS, "tests.samples"]
# A file for each run: two at once would take each other's tables away.
DATABASE = VAR_DIR / f"tests-{os.getpid()}.sqlite3"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE,
        # A writer thread has a connection of its own: an in-memory database would be another.
        "TEST": {"NAME": DATABASE},
        "OPTIONS": {"timeout": 10, "transaction_mode": "IMMEDIATE"},
    }
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
MIDDLEWARE = [  # There is no folder of collected files for it to serve.
    name
    for name in MIDDLEWARE  # noqa: F405
    if "servestatic" not in name
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LIVESTEP = {}
