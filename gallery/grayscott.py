"""Two substances that react and spread: the Gray-Scott model, and contours of what it makes.

Source: Pearson 1993, doi:10.1126/science.261.5118.189: the model, its rates and its beginning.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray

from gallery.dark import dark

# Pearson's diffusion 2e-5 and 1e-5, in cells of his grid (2.5 / 256) and steps of time 1.
SPREAD_U = 2e-5 / (2.5 / 256) ** 2
SPREAD_V = 1e-5 / (2.5 / 256) ** 2

# From the concentration of V on, in which colour.
LEVELS = ((0.08, "#dbeafe"), (0.16, "#7ea6f4"), (0.24, "#1d4ed8"), (0.36, "#0f172a"))
# A cell's width in the picture, whose coordinates are whole numbers.
SCALE = 5
# Points of a contour that are closer than this to the line without them are left out.
TOLERANCE = 0.6

Field = NDArray[np.float32]


class Reaction:
    """A square in which U is fed in, V eats U and V decays; its edges are joined.

    Attributes:
        u, v: The concentrations, float32, shape (size, size), from 0 to 1.
        time: The units of time that have gone by.
    """

    def __init__(self, size: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.time = 0
        # One cell more on each side, which repeats the opposite edge.
        self._padded = np.zeros((2, size + 2, size + 2), np.float32)
        self.u, self.v = self._padded[:, 1:-1, 1:-1]
        self.u[:] = 1
        side = max(4, size // 12)
        for row, column in random.integers(0, size - side, (size // 10, 2)):
            self.u[row : row + side, column : column + side] = 0.5
            self.v[row : row + side, column : column + side] = 0.25
        # Without a little noise what is symmetric would stay it.
        self.u *= 1 - random.uniform(0, 0.02, self.u.shape).astype(np.float32)

    @property
    def share(self) -> float:
        """The part of the square where V can be seen."""
        return float(np.mean(self.v > LEVELS[0][0]))

    def step(self, feed: float, kill: float) -> None:
        """Go on by one unit of time, with the explicit Euler method."""
        padded = self._padded
        padded[:, 0], padded[:, -1] = padded[:, -2], padded[:, 1]
        padded[:, :, 0], padded[:, :, -1] = padded[:, :, -2], padded[:, :, 1]
        around = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]
        around += padded[:, 1:-1, :-2]
        around += padded[:, 1:-1, 2:]
        u, v = self.u, self.v
        eaten = u * v
        eaten *= v
        # What flows in from the four neighbours, less what flows out to them.
        u *= 1 - 4 * SPREAD_U - feed
        u += SPREAD_U * around[0]
        u += feed
        u -= eaten
        v *= 1 - 4 * SPREAD_V - feed - kill
        v += SPREAD_V * around[1]
        v += eaten
        self.time += 1


def draw_field(v: Field, levels: tuple[tuple[float, str], ...] = LEVELS) -> str:
    """Draw a concentration as filled contours."""
    size = len(v)
    # The first row and column once more, so that the picture's edges fit to each other.
    contours = contour_generator(
        z=np.pad(v, ((0, 1), (0, 1)), mode="wrap"), fill_type=FillType.OuterOffset
    )
    paths = "".join(
        f'<path fill="{colour}" d="{_filled(contours.filled(level, np.inf))}"/>'
        for level, colour in levels
    )
    side = size * SCALE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">'
        f"{dark('#fff', *(colour for _, colour in levels))}"
        f'<path fill="#fff" d="M0 0h{side}v{side}H0z"/><g fill-rule="evenodd">{paths}</g></svg>'
    )


def _filled(contours: Any) -> str:
    """Write polygons with their holes as the data of an SVG path, in whole numbers.

    Args:
        contours: As FillType.OuterOffset gives them: the points of each polygon, and where in
            them its outer boundary and its holes begin and end.
    """
    pieces = []
    for points, offsets in zip(*contours, strict=True):
        for start, end in pairwise(offsets):
            ring = np.rint(_thinned(_thinned(points[start:end] * SCALE))).astype(int)
            moves = np.diff(ring[:-1], axis=0)
            x, y = ring[0]
            data = " ".join(map(str, moves.ravel().tolist())).replace(" -", "-")
            pieces.append(f"M{x} {y}l{data}z")
    return "".join(pieces)


def _thinned(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave out every other point of a closed line where that changes it less than TOLERANCE."""
    before, middle, after = ring[:-2:2], ring[1:-1:2], ring[2::2]
    (dx, dy), (px, py) = (after - before).T, (middle - before).T
    bends = np.abs(dx * py - dy * px) > TOLERANCE * np.hypot(dx, dy)
    kept = np.ones(len(ring), bool)
    kept[1:-1:2] = bends
    return ring[kept]
