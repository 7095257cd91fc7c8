"""The site without the simulations that need NumPy, as `make run` serves it: it starts sooner."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS = [name for name in INSTALLED_APPS if name != "gallery.numerical"]
