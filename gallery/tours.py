"""Shortens a closed tour: 2-opt with neighbour lists, and random double bridges out of its optima.

Source: Bentley 1992, doi:10.1287/ijoc.4.4.387 (neighbour lists, don't-look bits);
Martin, Otto and Felten 1991, Complex Systems 5, 299-326 (double bridge).
"""

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from random import Random

from gallery.dark import dark

NEIGHBOURS = 8
Place = tuple[float, float]

# A double bridge within this many cities in a row leaves the rest of the tour as it is.
BRIDGE_SPAN = 50


def distance(one: Place, other: Place) -> int:
    """Return the distance of two points as TSPLIB's EUC_2D counts it: rounded to whole units."""
    return int(math.dist(one, other) + 0.5)


def nearest_neighbours(cities: Sequence[Place]) -> list[list[int]]:
    """Return for each city the indices of up to 8 others near it, nearest first.

    It looks only at the cells of a grid around each city, so that at their edge a slightly
    nearer city may be missed.
    """
    size = max(1, int(math.sqrt(len(cities) / 3)))
    left, low = min(x for x, _ in cities), min(y for _, y in cities)
    width = max(max(x for x, _ in cities) - left, max(y for _, y in cities) - low, 1e-9)
    cells = [(int((x - left) / width * size), int((y - low) / width * size)) for x, y in cities]
    grid = defaultdict(list)
    for city, cell in enumerate(cells):
        grid[cell].append(city)

    def near(city: int) -> list[int]:
        column, row = cells[city]
        for reach in range(1, size + 2):
            around = range(-reach, reach + 1)
            found = [
                other
                for dx in around
                for dy in around
                for other in grid.get((column + dx, row + dy), ())
            ]
            if len(found) > NEIGHBOURS:
                break
        found.remove(city)
        return sorted(found, key=lambda other: math.dist(cities[city], cities[other]))[:NEIGHBOURS]

    return [near(city) for city in range(len(cities))]


class Tour:
    """A closed tour through all cities that gets shorter.

    Args:
        cities: At least 5 points, x then y.
        random: Where its choices come from; the same seed gives the same tours.

    Attributes:
        order: The indices of the cities, in the order of the visit.
        length: The length of the tour, in the units of the coordinates.
        is_local_optimum: Whether no 2-opt move shortens it.
    """

    def __init__(self, cities: Sequence[Place], random: Random) -> None:
        self.cities, self._random = cities, random
        self.order = list(range(len(cities)))
        random.shuffle(self.order)
        self._position = [0] * len(cities)
        self._renumber(0, len(cities))
        self._neighbours = nearest_neighbours(cities)
        self.length = sum(
            self._distance(city, self.order[index - 1]) for index, city in enumerate(self.order)
        )
        # The cities whose surroundings have changed since they were looked at.
        self._to_look_at = deque(self.order)

    @property
    def is_local_optimum(self) -> bool:
        return not self._to_look_at

    def improve(self) -> bool:
        """Make one shortening move; False when there is none."""
        while self._to_look_at:
            city = self._to_look_at[0]
            if self._shorten_at(city, 1) or self._shorten_at(city, -1):
                return True
            self._to_look_at.popleft()
        return False

    def perturb(self) -> bool:
        """Try one double bridge followed by 2-opt; keep it unless it is longer.

        Returns:
            Whether the tour is shorter now.
        """
        before = self.order[:], self.length
        self._double_bridge()
        while self.improve():
            pass
        if self.length > before[1]:
            self.order, self.length = before
            self._renumber(0, len(self.order))
        return self.length < before[1]

    def _shorten_at(self, a: int, step: int) -> bool:
        """Replace the edge from `a` to its successor (step 1) or predecessor (-1)."""
        order, position = self.order, self._position
        size = len(order)
        b = order[(position[a] + step) % size]
        edge = self._distance(a, b)
        for c in self._neighbours[a]:
            gain = edge - self._distance(a, c)
            if gain <= 0:
                return False
            d = order[(position[c] + step) % size]
            gain += self._distance(c, d) - self._distance(b, d)
            if gain > 0:
                if step == 1:
                    self._reverse(position[b], position[c])
                else:
                    self._reverse(position[a], position[d])
                self.length -= gain
                self._to_look_at.extend((a, b, c, d))
                return True
        return False

    def _reverse(self, first: int, last: int) -> None:
        """Reverse the cities at the positions from `first` to `last`, around the end if need be."""
        size = len(self.order)
        inside = (last - first) % size + 1
        if inside * 2 > size:  # Reversing the other part gives the same closed tour.
            first, last = last + 1, first - 1
            inside = size - inside
        order, position = self.order, self._position
        for offset in range(inside // 2):
            i, j = (first + offset) % size, (last - offset) % size
            order[i], order[j] = order[j], order[i]
            position[order[i]], position[order[j]] = i, j

    def _double_bridge(self) -> None:
        """Swap two neighbouring stretches of the tour, which no series of 2-opt moves undoes."""
        size = len(self.order)
        span = min(size, BRIDGE_SPAN)
        start = self._random.randrange(size - span + 1)
        one, two, three = sorted(self._random.sample(range(start + 1, start + span), 3))
        order = self.order
        ends = [order[cut - side] for cut in (one, two, three) for side in (1, 0)]
        ends[-1] = order[three % size]
        a, b, c, d, e, f = ends
        self.length += self._distance(a, d) + self._distance(e, b) + self._distance(c, f)
        self.length -= self._distance(a, b) + self._distance(c, d) + self._distance(e, f)
        order[one:three] = order[two:three] + order[one:two]
        self._renumber(one, three)
        self._to_look_at.extend(ends)

    def _renumber(self, first: int, last: int) -> None:
        for index in range(first, last):
            self._position[self.order[index]] = index

    def _distance(self, one: int, other: int) -> int:
        return distance(self.cities[one], self.cities[other])


def random_cities(count: int, random: Random) -> list[Place]:
    """Return cities anywhere in a square of 1000 by 1000."""
    return [(random.uniform(0, 1000), random.uniform(0, 1000)) for _ in range(count)]


def draw_tour(places: Sequence[Place], order: Sequence[int], caption: str) -> str:
    """Draw a closed tour and words over it, y upwards, scaled to a picture 1000 units wide."""
    left, right = min(x for x, _ in places), max(x for x, _ in places)
    low, high = min(y for _, y in places), max(y for _, y in places)
    scale = 940 / max(right - left, high - low, 1e-9)
    width, height = (right - left) * scale + 60, (high - low) * scale + 110
    points = [
        (round((x - left) * scale + 30, 1), round((high - y) * scale + 80, 1)) for x, y in places
    ]
    path = " ".join(f"{x},{y}" for x, y in (points[city] for city in order))
    radius = max(2, min(8, 120 / math.sqrt(len(places))))
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="{radius:.1f}"/>' for x, y in points)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}">'
        f"{dark('#334155', '#dbeafe', '#1d4ed8', '#0f172a')}"
        f'<text x="30" y="52" font-family="sans-serif" font-size="44" fill="#334155">'
        f"{caption}</text>"
        f'<polygon points="{path}" fill="#dbeafe" fill-opacity=".5" stroke="#1d4ed8"'
        f' stroke-width="4" stroke-linejoin="round"/><g fill="#0f172a">{dots}</g></svg>'
    )
