"""Lays out a graph by forces, and draws it.

Source: Fruchterman and Reingold 1991, doi:10.1002/spe.4380211102. Ours is a pull to the centre,
which keeps the parts of a graph that do not hang together from flying apart.
"""

import math
from html import escape

import numpy as np
from numpy.typing import NDArray

from gallery.dark import dark
from gallery.graphfiles import Graph
from streaming import Pointer

# In the units of the layout, whose area is 1: how far a node may move in the first step, how much
# less in each following one, and when that cannot be seen any more.
HOTTEST = 0.1
COOLING = 0.985
COLD = 0.0005
GRAVITY = 4.0
# How far nodes may move, at least, while one of them is dragged.
WARM = 0.03
# So near to a node, in the units of the picture, takes hold of it.
REACH = 40.0

MOST_LABELS = 18
LONGEST_LABEL = 18
FONT_SIZE = 26
# Of a sans-serif's font size, about.
LETTER_WIDTH = 0.56
WIDTH, HEIGHT, MARGIN = 1000, 760, 50

Positions = NDArray[np.float64]


class Layout:
    """Positions of a graph's nodes that come to rest.

    Attributes:
        positions: float64, shape (n, 2), around (0, 0).
        temperature: How far a node may move in a step; it is at rest below COLD.
        stress: How hard the forces pulled at a node on average, in the last step.
    """

    def __init__(self, graph: Graph, seed: int) -> None:
        self.positions: Positions = np.random.default_rng(seed).uniform(
            -0.5, 0.5, (len(graph.names), 2)
        )
        self._ends = np.array([edge[:2] for edge in graph.edges])
        weights = np.array([edge[2] for edge in graph.edges])
        # Dampened, so that a pair a hundred times as strong does not become one point.
        self._strength = (weights / weights.mean()) ** 0.25
        # The node that is held, and where.
        self._held: tuple[int, Positions] | None = None
        self.stress = 0.0
        self.heat()

    @property
    def is_at_rest(self) -> bool:
        return self.temperature < COLD

    @property
    def progress(self) -> float:
        """How much of the cooling is done, from 0 to 1."""
        return min(1.0, math.log(self.temperature / HOTTEST) / math.log(COLD / HOTTEST))

    def heat(self) -> None:
        """Let it move as at the beginning."""
        self.temperature = HOTTEST

    def step(self, attraction: float, repulsion: float) -> None:
        """Move each node by the forces on it, at most as far as the temperature allows."""
        positions = self.positions
        k = 1 / math.sqrt(len(positions))
        x, y = positions.T
        squares = np.subtract.outer(x, x) ** 2 + np.subtract.outer(y, y) ** 2
        np.fill_diagonal(squares, np.inf)
        # A push of k^2 / distance, in the direction of the difference: divided by it once more.
        push = repulsion * k**2 / np.maximum(squares, 1e-9)
        force = positions * push.sum(axis=1)[:, None] - push @ positions

        one, other = self._ends.T
        along = positions[one] - positions[other]
        pull = along * (attraction * self._strength * np.hypot(*along.T) / k)[:, None]
        np.subtract.at(force, one, pull)
        np.add.at(force, other, pull)

        force -= GRAVITY * k * positions
        size = np.maximum(np.hypot(*force.T), 1e-9)
        self.stress = float(size.mean())
        positions += force * (np.minimum(size, self.temperature) / size)[:, None]
        positions -= positions.mean(axis=0)
        self.temperature *= COOLING
        if self._held is not None:
            node, place = self._held
            positions[node] = place
            self.temperature = max(self.temperature, WARM)

    def drag(self, event: Pointer) -> None:
        """Hold the node that was pressed on where the pointer is, until it is let go."""
        if event.kind == "up":
            self._held = None
            return
        # In the picture, so that the picture does not grow under the pointer.
        at = np.clip([event.x, event.y], MARGIN, [WIDTH - MARGIN, HEIGHT - MARGIN])
        if event.kind == "down":
            distances = np.hypot(*(_fitted(self.positions) - [event.x, event.y]).T)
            node = int(distances.argmin())
            self._held = (node, _unfitted(self.positions, at)) if distances[node] < REACH else None
        elif self._held is not None:
            self._held = self._held[0], _unfitted(self.positions, at)


def draw_layout(graph: Graph, positions: Positions) -> str:
    """Draw a graph; the most joined nodes that have room for it are named."""
    places = _fitted(positions)
    degrees = np.zeros(len(places))
    for one, other, _weight in graph.edges:
        degrees[one] += 1
        degrees[other] += 1
    largest = min(20.0, 200 / math.sqrt(len(places)))
    radii = np.maximum(largest * np.sqrt(degrees / degrees.max()), largest / 3)
    edges = "".join(
        f"M{places[one, 0]} {places[one, 1]}L{places[other, 0]} {places[other, 1]}"
        for one, other, _weight in graph.edges
    )
    dots = "".join(
        f'<circle cx="{x}" cy="{y}" r="{radius:.0f}"/>'
        for (x, y), radius in zip(places, radii, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f"{dark('#64748b', '#1d4ed8', '#fff', '#0f172a')}"
        f'<path d="{edges}" fill="none" stroke="#64748b" stroke-opacity=".35" stroke-width="2"/>'
        f'<g fill="#1d4ed8" stroke="#fff" stroke-width="2">{dots}</g>'
        f'<g font-family="sans-serif" font-size="{FONT_SIZE}" fill="#0f172a" text-anchor="middle"'
        f' stroke="#fff" stroke-width="6" stroke-linejoin="round" paint-order="stroke">'
        f"{_labels(graph, places, degrees, radii)}</g></svg>"
    )


def _fitted(positions: Positions) -> NDArray[np.int64]:
    """Return the positions in the picture's units, filling it."""
    low, scale = _fit(positions)
    places: NDArray[np.int64] = np.rint((positions - low) * scale + MARGIN).astype(int)
    return places


def _unfitted(positions: Positions, at: Positions) -> Positions:
    """Return a place of the picture in the units of the layout."""
    low, scale = _fit(positions)
    place: Positions = (at - MARGIN) / scale + low
    return place


def _fit(positions: Positions) -> tuple[Positions, Positions]:
    low, high = positions.min(axis=0), positions.max(axis=0)
    room = np.array([WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN])
    return low, room / np.maximum(high - low, 1e-9)


def _labels(graph: Graph, places: NDArray[np.int64], degrees: Positions, radii: Positions) -> str:
    """Write names above their nodes, the most joined first, where no other name stands."""
    taken: list[tuple[float, float, float, float]] = []
    labels = []
    for node in np.argsort(-degrees, kind="stable"):
        name = graph.names[node]
        name = name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
        half = len(name) * FONT_SIZE * LETTER_WIDTH / 2
        x = min(max(float(places[node, 0]), half), WIDTH - half)
        y = places[node, 1] - radii[node] - 5
        box = x - half, x + half, y - FONT_SIZE, y
        if any(_overlap(box, other) for other in taken):
            continue
        taken.append(box)
        labels.append(f'<text x="{x:.0f}" y="{y:.0f}">{escape(name)}</text>')
        if len(labels) == MOST_LABELS:
            break
    return "".join(labels)


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
