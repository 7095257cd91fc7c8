"""A short loop for the card of a simulation: some of its frames in one SVG, one after the other.

Knows nothing of Django.
"""

from collections.abc import Sequence

from streaming.delivery.shape import box_of, without_shape
from streaming.engine.frames import START_TAG, SVG_NAMESPACE

FRAMES = 8
FRAME_S = 0.25
# Not by `visibility`: frames of matplotlib have the same ids, and what the clip path of a hidden
# frame clips is hidden, too.
STYLE = (
    ":root>svg{{opacity:0;animation:f {seconds}s step-end infinite}}"
    "@keyframes f{{0%{{opacity:1}}{share:.4g}%{{opacity:0}}}}{delays}"
)


class FewFrames:
    """Keeps a few frames of a run of any length, about equally far from each other."""

    def __init__(self) -> None:
        self._kept: list[bytes] = []
        self._newest: bytes | None = None
        self._seen, self._every = 0, 1

    def add(self, svg: bytes) -> None:
        self._newest = svg
        if self._seen % self._every == 0:
            self._kept.append(svg)
            if len(self._kept) == 2 * FRAMES:
                del self._kept[1::2]
                self._every *= 2
        self._seen += 1

    @property
    def frames(self) -> list[bytes]:
        """At most FRAMES of them; the last is the newest."""
        if self._newest is None:
            return []
        last = len(self._kept) - 1
        chosen = [self._kept[last * number // (FRAMES - 1)] for number in range(FRAMES - 1)]
        return list(dict.fromkeys([*chosen, self._newest]))


def loop_of(frames: Sequence[bytes]) -> bytes:
    """Return one SVG that shows frames one after the other, again and again. It has the shape of
    the first.

    Args:
        frames: At least one, as `to_svg` returns them.
    """
    seconds = FRAME_S * len(frames)
    delays = "".join(
        f":root>svg:nth-of-type({number}){{animation-delay:{(number - 1) * FRAME_S - seconds}s}}"
        for number in range(1, len(frames) + 1)
    )
    style = STYLE.format(seconds=seconds, share=100 / len(frames), delays=delays)
    # From 0, where the frames inside of it stand.
    _x, _y, width, height = box_of(frames[0]).decode().split()
    head = f'<svg xmlns="{SVG_NAMESPACE}" viewBox="0 0 {width} {height}"><style>{style}</style>'
    return head.encode() + b"".join(map(_inside, frames)) + b"</svg>\n"


def _inside(svg: bytes) -> bytes:
    """Return a frame that fills the place which another SVG has for it."""
    x, y, width, height = box_of(svg).split()
    tag = START_TAG.match(svg)
    assert tag is not None  # As `to_svg` returns it.
    rest = without_shape(tag.group())[len(b"<svg") :]
    shape = b' width="100%%" height="100%%" viewBox="%b %b %b %b"' % (x, y, width, height)
    return b"<svg" + shape + rest + svg[tag.end() :].rstrip()
