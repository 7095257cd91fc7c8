"""The solar system as bodies that all attract each other, and a picture of their ways.

Units: astronomical units, days, and masses of the Sun. The axes are those of the ecliptic of
J2000: x to the vernal equinox, z to the north.

Sources: the orbits at J2000 from Standish, "Approximate Positions of the Planets", JPL, table 1,
https://ssd.jpl.nasa.gov/planets/approx_pos.html; the masses from the system of constants
IAU 2009, Luzum et al. 2011, doi:10.1007/s10569-011-9352-4.
"""

import math
from collections import deque
from dataclasses import dataclass
from html import escape

import numpy as np
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from numpy.typing import NDArray

from gallery.dark import dark

Vectors = NDArray[np.float64]

# Of the Sun: the square of Gauss's constant.
GM = 0.01720209895**2

RADIUS, MARGIN, FONT_SIZE = 450, 50, 30
MOST_NAMES = 4
# A trail is half of an orbit long.
POINTS_PER_ORBIT, TRAIL_POINTS = 72, 36


@dataclass(frozen=True, slots=True)
class Planet:
    """One planet at J2000.

    Args:
        name: Its English name.
        colour: Of its dot.
        sun_masses: How many of it weigh as much as the Sun, its moons included.
        axis: Semi-major axis, in astronomical units.
        eccentricity: Of its ellipse.
        inclination, longitude, perihelion, node: Of its orbit, the mean longitude, that of the
            perihelion and that of the ascending node, in degrees.
    """

    name: str
    colour: str
    sun_masses: float
    axis: float
    eccentricity: float
    inclination: float
    longitude: float
    perihelion: float
    node: float

    @property
    def mass(self) -> float:
        return 1 / self.sun_masses

    @property
    def period(self) -> float:
        """The days of a revolution, by Kepler's third law."""
        return math.tau * math.sqrt(self.axis**3 / (GM * (1 + self.mass)))

    def state(self) -> tuple[Vectors, Vectors]:
        """Return its position and velocity relative to the Sun."""
        e = self.eccentricity
        anomaly = _eccentric_anomaly(math.radians(self.longitude - self.perihelion), e)
        pace = math.tau * self.axis / self.period / (1 - e * math.cos(anomaly))
        width = math.sqrt(1 - e * e)
        velocity = np.array([-math.sin(anomaly), width * math.cos(anomaly)]) * pace
        return self._places(np.array([anomaly]))[0], velocity @ self._axes()

    def orbit(self) -> Vectors:
        """Return points all around its ellipse, float64, shape (n, 3)."""
        return self._places(np.linspace(0, math.tau, POINTS_PER_ORBIT, endpoint=False))

    def _places(self, anomalies: Vectors) -> Vectors:
        """Return the positions at eccentric anomalies."""
        width = math.sqrt(1 - self.eccentricity**2)
        flat = np.stack([np.cos(anomalies) - self.eccentricity, width * np.sin(anomalies)], axis=1)
        return self.axis * flat @ self._axes()

    def _axes(self) -> Vectors:
        """Return the two axes of its ellipse, one in each row, the first to the perihelion."""
        node, tilt = math.radians(self.node), math.radians(self.inclination)
        argument = math.radians(self.perihelion - self.node)
        to_node = np.array([math.cos(node), math.sin(node), 0])
        beyond = np.array(
            [-math.sin(node) * math.cos(tilt), math.cos(node) * math.cos(tilt), math.sin(tilt)]
        )
        sine, cosine = math.sin(argument), math.cos(argument)
        return np.array([cosine * to_node + sine * beyond, cosine * beyond - sine * to_node])


def _eccentric_anomaly(mean: float, eccentricity: float) -> float:
    """Solve Kepler's equation by Newton's method."""
    anomaly = mean
    for _round in range(10):  # The planets need four at most.
        miss = anomaly - eccentricity * math.sin(anomaly) - mean
        anomaly -= miss / (1 - eccentricity * math.cos(anomaly))
    return anomaly


# Earth's values are those of the common centre of Earth and Moon.
INNER = (
    Planet(gettext_noop("Mercury"), "#64748b", 6.0236e6,
           0.38709927, 0.20563593, 7.00497902, 252.25032350, 77.45779628, 48.33076593),
    Planet(gettext_noop("Venus"), "#f59e0b", 4.08523719e5,
           0.72333566, 0.00677672, 3.39467605, 181.97909950, 131.60246718, 76.67984255),
    Planet(gettext_noop("Earth"), "#1d4ed8", 328900.56,
           1.00000261, 0.01671123, -0.00001531, 100.46457166, 102.93768193, 0.0),
    Planet(gettext_noop("Mars"), "#b45309", 3.09870359e6,
           1.52371034, 0.09339410, 1.84969142, -4.55343205, -23.94362959, 49.55953891),
)  # fmt: skip
OUTER = (
    Planet(gettext_noop("Jupiter"), "#b45309", 1.047348644e3,
           5.20288700, 0.04838624, 1.30439695, 34.39644051, 14.72847983, 100.47390909),
    Planet(gettext_noop("Saturn"), "#f59e0b", 3.4979018e3,
           9.53667594, 0.05386179, 2.48599187, 49.95424423, 92.59887831, 113.66242448),
    Planet(gettext_noop("Uranus"), "#64748b", 2.290298e4,
           19.18916464, 0.04725744, 0.77263783, 313.23810451, 170.95427630, 74.01692503),
    Planet(gettext_noop("Neptune"), "#1d4ed8", 1.941226e4,
           30.06992276, 0.00859048, 1.77004347, -55.12002969, 44.96476227, 131.78422574),
)  # fmt: skip


class SolarSystem:
    """The Sun and planets, moving by each other's gravity.

    Args:
        planets: Those that are there.

    Attributes:
        positions, velocities: Of the Sun and of the planets in their order, float64, shape
            (n + 1, 3), relative to the common centre of mass.
        day: Days since J2000, which is 1 January 2000, 12:00 TT.
    """

    def __init__(self, planets: tuple[Planet, ...]) -> None:
        self._masses = np.array([1.0, *(planet.mass for planet in planets)])
        states = np.array([np.zeros((2, 3)), *(planet.state() for planet in planets)])
        states -= np.average(states, axis=0, weights=self._masses)
        self.positions, self.velocities = states[:, 0], states[:, 1]
        self.day = 0.0
        self._pull = self._accelerations()

    @property
    def year(self) -> float:
        """The date as a year, in Julian years of 365.25 days."""
        return 2000 + self.day / 365.25

    @property
    def places(self) -> Vectors:
        """Where the planets are relative to the Sun, float64, shape (n, 3)."""
        places: Vectors = self.positions[1:] - self.positions[0]
        return places

    @property
    def energy(self) -> float:
        """Kinetic and potential, in masses of the Sun times GM."""
        kinetic = float(self._masses @ (self.velocities**2).sum(axis=1)) / 2
        one, other = np.triu_indices(len(self._masses), 1)
        distances = np.linalg.norm(self.positions[one] - self.positions[other], axis=1)
        return kinetic - GM * float((self._masses[one] * self._masses[other] / distances).sum())

    def step(self, days: float) -> None:
        """Go on by one step of the velocity form of Verlet's method, which is symplectic.

        Source: Verlet 1967, doi:10.1103/PhysRev.159.98; its velocity form: Swope et al. 1982,
        doi:10.1063/1.442716.
        """
        self.velocities += self._pull * (days / 2)
        self.positions += self.velocities * days
        self._pull = self._accelerations()
        self.velocities += self._pull * (days / 2)
        self.day += days

    def _accelerations(self) -> Vectors:
        between = self.positions - self.positions[:, None]
        cubes = (between**2).sum(axis=2) ** 1.5
        np.fill_diagonal(cubes, 1)  # Nothing pulls itself: there the difference is 0.
        pull: Vectors = GM * np.einsum("ijk,ij,j->ik", between, 1 / cubes, self._masses)
        return pull


class Trails:
    """Where planets have been lately: the same part of its orbit for each."""

    def __init__(self, planets: tuple[Planet, ...]) -> None:
        self._every = [planet.period / POINTS_PER_ORBIT for planet in planets]
        self._due = [0.0] * len(planets)
        self.points: list[deque[Vectors]] = [deque(maxlen=TRAIL_POINTS) for _ in planets]

    def add(self, day: float, places: Vectors) -> None:
        for index, place in enumerate(places):
            if day >= self._due[index]:
                self._due[index] = day + self._every[index]
                self.points[index].append(place)


def draw_system(
    planets: tuple[Planet, ...], system: SolarSystem, trails: Trails, *, by_root: bool
) -> str:
    """Draw planets around the Sun as seen from the north; the four outermost are named.

    Args:
        planets: Those of the system.
        system: Where they are now.
        trails: Where they have been.
        by_root: Whether distances are drawn by their square root, so that planets near and far
            have room in one picture.
    """
    far = max(planet.axis * (1 + planet.eccentricity) for planet in planets)

    def drawn(vectors: Vectors) -> Vectors:
        flat = vectors[..., :2] / far * [1, -1]
        if by_root:
            flat = flat / np.sqrt(np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-9))
        return (flat * RADIUS).round(1)

    def path(vectors: Vectors) -> str:
        return " ".join(f"{x:g},{y:g}" for x, y in drawn(vectors).tolist())

    orbits = "".join(f'<polygon points="{path(planet.orbit())}"/>' for planet in planets)
    moving = []
    for planet, place, trail in zip(planets, system.places, trails.points, strict=True):
        x, y = drawn(place)
        moving.append(
            f'<polyline points="{path(np.array([*trail, place]))}" fill="none"'
            f' stroke="{planet.colour}"/><circle cx="{x:g}" cy="{y:g}" r="11"'
            f' fill="{planet.colour}"/>'
        )
        if planet in planets[-MOST_NAMES:]:
            anchor, shift = ("end", -20) if x > RADIUS / 2 else ("start", 20)
            moving.append(
                f'<text x="{x + shift:g}" y="{y + 11:g}" text-anchor="{anchor}">'
                f"{escape(_(planet.name))}</text>"
            )
    side = RADIUS + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-side} {-side} {2 * side} {2 * side}"'
        f' font-family="sans-serif" font-size="{FONT_SIZE}" fill="#0f172a">'
        f"{dark('#0f172a', '#e2e8f0', '#64748b', '#1d4ed8', '#b45309')}"
        f'<g fill="none" stroke="#e2e8f0" stroke-width="2">{orbits}</g>'
        f'<text x="{30 - side}" y="{60 - side}" fill="#64748b">{system.year:.1f}</text>'
        f'<circle r="16" fill="#f59e0b"/>'
        f'<g stroke-width="4" stroke-linejoin="round">{"".join(moving)}</g></svg>'
    )
