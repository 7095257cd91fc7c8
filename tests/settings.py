"""The site's settings, with what tests need otherwise: a database file that threads share, and
no collected static files."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS, VAR_DIR

INSTALLED_APPS = [*INSTALLED_APPS, "tests.samples"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": VAR_DIR / "tests.sqlite3",
        # A writer thread has a connection of its own: an in-memory database would be another.
        "TEST": {"NAME": VAR_DIR / "tests.sqlite3"},
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
