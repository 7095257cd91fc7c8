"""The shape that a frame gives itself, read from its first tag.

Knows nothing of Django.
"""

import math
import re

from streaming.engine.frames import START_TAG

STATED = re.compile(rb"""\s(width|height|viewBox)\s*=\s*("[^"]*"|'[^']*')""")
LENGTH = re.compile(rb"\s*\+?(\d{1,9}(?:\.\d*)?|\.\d+)\s*([a-z]*)\s*", re.IGNORECASE)
USUAL_RATIO = 4 / 3
# Beyond these a picture would be a line: the player gives it some empty room instead.
LEAST_RATIO, GREATEST_RATIO = 1 / 5, 8


def box_of(svg: bytes) -> bytes:
    """Return the part of its plane that a frame shows: x, y, width and height."""
    given = _stated(svg)
    if box := _view_box(given):
        return b" ".join(box)
    sizes = [re.match(rb"[\d.]+", given.get(side, b"")) for side in (b"width", b"height")]
    width, height = (size.group() if size else b"300" for size in sizes)
    return b"0 0 %b %b" % (width, height)


def ratio_of(svg: bytes) -> float:
    """Return the ratio of width to height in which the player shows a frame."""
    given = _stated(svg)
    width, height = (LENGTH.fullmatch(given.get(side, b"")) for side in (b"width", b"height"))
    if width and height and width.group(2) == height.group(2):
        sides = [width.group(1), height.group(1)]
    else:
        sides = _view_box(given)[2:]
    try:
        across, down = map(float, sides)
        ratio = across / down
    except (ValueError, ZeroDivisionError):
        return USUAL_RATIO
    if not (math.isfinite(ratio) and ratio > 0):
        return USUAL_RATIO
    return min(max(ratio, LEAST_RATIO), GREATEST_RATIO)


def without_shape(tag: bytes) -> bytes:
    """Return the first tag of an SVG without what it says of its shape."""
    return STATED.sub(b"", tag)


def _stated(svg: bytes) -> dict[bytes, bytes]:
    tag = START_TAG.search(svg)
    return {name: value[1:-1] for name, value in STATED.findall(tag.group() if tag else b"")}


def _view_box(given: dict[bytes, bytes]) -> list[bytes]:
    """Return its four numbers; nothing where there are not four."""
    box = given.get(b"viewBox", b"").replace(b",", b" ").split()
    return box if len(box) == 4 else []
