"""The app of `celery -A project worker`, which is what `manage.py compute` starts."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", f"{__package__}.settings")
django.setup()

from streaming.server.compute import celery_app  # noqa: E402

app = celery_app()
