"""The small pictures of simulations: NAME.svg and NAME.loop.svg, drawn by `manage.py thumbnail` or
by hand. Those of an app are among its static files; those of a file stand in a folder beside it."""

import sys
from functools import cache, lru_cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.urls import reverse

from streaming.engine import sources
from streaming.engine.simulations import Simulation

FOLDER = "thumbnails"
STILL, LOOP = ".svg", ".loop.svg"


def folder_for(simulation: Simulation) -> Path:
    """Return where the pictures of a simulation belong."""
    source = sources.loaded.get(simulation.module)
    if source is not None:
        return source.folder / FOLDER
    app = simulation.module.partition(".")[0]
    return Path(sys.modules[app].__file__ or "").parent / "static" / app


def address_of(simulation: Simulation, kind: str = STILL) -> str:
    """Return where a browser finds a picture of a simulation; "" if there is none."""
    name = f"{simulation.name}{kind}"
    if simulation.module in sources.loaded:
        if not (folder_for(simulation) / name).is_file():
            return ""
        return reverse("streaming:thumbnail", args=[simulation.name, kind])
    path = f"{simulation.module.partition('.')[0]}/{name}"
    return static(path) if _static_file(path) else ""


def still_of(simulation: Simulation) -> bytes:
    """Return the picture of a simulation; b"" if there is none."""
    if simulation.module in sources.loaded:
        return read(simulation, STILL) or b""
    found = _static_file(f"{simulation.module.partition('.')[0]}/{simulation.name}{STILL}")
    return _read(found) if found else b""


def read(simulation: Simulation, kind: str) -> bytes | None:
    """Return a picture that stands beside the file of a simulation, if there is one."""
    file = folder_for(simulation) / f"{simulation.name}{kind}"
    try:
        return file.read_bytes() if kind in (STILL, LOOP) else None
    except OSError:
        return None


@cache
def _static_file(path: str) -> Path | None:
    found = finders.find(path)
    return Path(found) if isinstance(found, str) else None


@lru_cache(maxsize=256)
def _read(path: Path) -> bytes:
    return path.read_bytes()


def adapts(svg: bytes) -> bool:
    """Return whether a picture says that it is drawn for light and for dark."""
    return b"color-scheme" in svg
