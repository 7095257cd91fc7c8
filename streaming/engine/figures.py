"""matplotlib's figures as frames. Nothing here imports matplotlib: the author's file has done it.

matplotlib is not made for threads: its font cache and its parser of mathtext are shared by the
whole process. So figures are drawn one at a time.
"""

import io
import sys
import threading
from collections.abc import Iterator
from typing import Any

# An SVG of a figure that is larger has its heaviest parts drawn as pixels.
MOST_VECTOR_BYTES = 500_000
# A part that takes less is left as it is.
LIGHT_PART_BYTES = 20_000
# What the SVG of a part takes, about: only to find the heaviest ones.
CELL_BYTES, MARK_BYTES, VERTEX_BYTES, PATCH_BYTES = 140, 100, 20, 200

# The attribute of a figure that says which thread has drawn it last. Not a set of weak references:
# an interrupt that comes while one of them is removed would be lost.
DRAWN_BY = "_livestep_drawn_by"

_lock = threading.Lock()


class _OfThread(threading.local):
    """How large the last figure with pixels of a thread would have been."""

    vector_bytes = 0


_of_thread = _OfThread()


def figure_of(drawable: Any) -> Any | None:
    """Return the Figure that an object is, or stands on: an Axes, a grid of seaborn, an artist."""
    module = sys.modules.get("matplotlib.figure")
    if module is None or isinstance(drawable, type | str | bytes):
        return None
    if getattr(getattr(drawable, "dtype", None), "hasobject", False) and drawable.size:
        drawable = drawable.flat[0]  # The array of Axes that `subplots` makes.
    figure = drawable
    if not isinstance(drawable, module.FigureBase):
        figure = getattr(drawable, "figure", None)
    if isinstance(figure, module.SubFigure):
        figure = figure.figure
    return figure if isinstance(figure, module.Figure) else None


def draw(figure: Any) -> bytes:
    """Draw a Figure as SVG; parts that would make it too large as pixels in it."""
    with _lock:
        setattr(figure, DRAWN_BY, threading.get_ident())
        # One like that before is not drawn in vain first.
        if _of_thread.vector_bytes and _weight_of(figure) > MOST_VECTOR_BYTES:
            return _save(figure, heavy_parts(figure))
        svg = _save(figure, [])
        if len(svg) <= MOST_VECTOR_BYTES or not (parts := heavy_parts(figure)):
            return svg
        _of_thread.vector_bytes = len(svg)
        return _save(figure, parts)


def warm_up() -> None:
    """Draw a figure with text, if matplotlib is imported: the first one loads the fonts and the
    parser of mathtext, which takes a tenth of a second."""
    module = sys.modules.get("matplotlib.figure")
    if module is not None:
        figure = module.Figure(figsize=(2, 2))
        figure.subplots().set_title("$x$")
        draw(figure)


def has_drawn(figure: Any) -> bool:
    """Whether this thread has drawn a figure."""
    return getattr(figure, DRAWN_BY, None) == threading.get_ident()


def vector_bytes() -> int:
    """Return how large a figure of this thread would have been without pixels; 0: none had any."""
    return _of_thread.vector_bytes


def heavy_parts(figure: Any) -> list[Any]:
    """Return the artists of a figure that take most of its SVG."""
    return [
        artist
        for artists, weight in _groups(figure)
        if weight > LIGHT_PART_BYTES
        for artist in artists
    ]


def _weight_of(figure: Any) -> int:
    return sum(weight for _, weight in _groups(figure))


def _groups(figure: Any) -> Iterator[tuple[list[Any], int]]:
    """Yield artists that are drawn one after the other, with the bytes that they take, about."""
    for axes in figure.axes:
        yield from (
            ([collection], _collection_bytes(collection)) for collection in axes.collections
        )
        lines, patches = list(axes.lines), list(axes.patches)
        yield lines, sum(_line_bytes(line) for line in lines)
        yield patches, PATCH_BYTES * len(patches)


def _collection_bytes(collection: Any) -> int:
    if hasattr(collection, "get_coordinates"):  # A mesh.
        rows, columns = collection.get_coordinates().shape[:2]
        return CELL_BYTES * int(rows * columns)
    vertices = sum(len(path.vertices) for path in collection.get_paths())
    return MARK_BYTES * len(collection.get_offsets()) + VERTEX_BYTES * vertices


def _line_bytes(line: Any) -> int:
    has_marks = line.get_marker() not in (None, "", " ", "None", "none")
    return (MARK_BYTES if has_marks else VERTEX_BYTES) * len(line.get_xdata(orig=False))


def _save(figure: Any, as_pixels: list[Any]) -> bytes:
    before = [(artist, artist.get_rasterized()) for artist in as_pixels]
    buffer = io.BytesIO()
    try:
        for artist in as_pixels:
            artist.set_rasterized(True)
        figure.savefig(buffer, format="svg")
    finally:
        for artist, was_rasterized in before:
            artist.set_rasterized(was_rasterized)
    return buffer.getvalue()
