import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from gallery.planets import INNER, OUTER, SolarSystem, Trails, draw_system

ALL = INNER + OUTER


def degrees(place):
    return math.degrees(math.atan2(place[1], place[0])) % 360


class TestBeginning:
    @pytest.mark.parametrize(
        ("name", "longitude", "distance"),
        [
            ("Mercury", 253.8, 0.467),
            ("Venus", 182.6, 0.720),
            ("Earth", 100.4, 0.983),
            ("Mars", 359.4, 1.391),
            ("Jupiter", 36.3, 4.966),
            ("Saturn", 45.7, 9.184),
            ("Uranus", 316.4, 19.92),
            ("Neptune", 303.9, 30.12),
        ],
    )
    def test_planets_are_where_they_were(self, name, longitude, distance):
        """Heliocentric ecliptic longitudes and distances of 1 January 2000, 12:00."""
        index = [planet.name for planet in ALL].index(name)
        place = SolarSystem(ALL).places[index]
        assert degrees(place) == pytest.approx(longitude, abs=0.3)
        assert np.linalg.norm(place) == pytest.approx(distance, rel=0.002)

    def test_the_common_centre_rests(self):
        system = SolarSystem(ALL)
        masses = np.array([1.0, *(planet.mass for planet in ALL)])
        assert np.allclose(masses @ system.positions, 0, atol=1e-12)
        assert np.allclose(masses @ system.velocities, 0, atol=1e-14)

    def test_an_ellipse_has_the_sun_in_its_focus(self):
        mercury = INNER[0]
        distances = np.linalg.norm(mercury.orbit(), axis=1)
        assert distances.min() == pytest.approx(mercury.axis * (1 - mercury.eccentricity))
        assert distances.max() == pytest.approx(mercury.axis * (1 + mercury.eccentricity))


class TestMotion:
    def test_a_year_of_the_earth_has_its_days(self):
        """From one passage of the direction of J2000's to the next: the sidereal year."""
        system = SolarSystem(INNER)
        beginning, before = degrees(system.places[2]), 0.0
        while True:
            system.step(0.5)
            turned = (degrees(system.places[2]) - beginning) % 360
            if turned < before:
                break
            before = turned
        year = system.day - 0.5 * turned / (turned + 360 - before)
        assert year == pytest.approx(365.256, abs=0.02)

    @pytest.mark.parametrize(
        ("planets", "days", "years", "bound"),
        [(INNER, 0.5, 10, 5e-5), (OUTER, 10, 400, 5e-5), (ALL, 0.5, 10, 5e-6)],
    )
    def test_energy_is_kept_over_years(self, planets, days, years, bound):
        system = SolarSystem(planets)
        beginning, worst = system.energy, 0.0
        for step in range(int(years * 365.25 / days)):
            system.step(days)
            if step % 50 == 0:
                worst = max(worst, abs(system.energy / beginning - 1))
        assert worst < bound

    def test_running_backwards_leads_back(self):
        system = SolarSystem(ALL)
        beginning = system.positions.copy()
        for days in [0.5] * 400 + [-0.5] * 400:
            system.step(days)
        assert np.allclose(system.positions, beginning, atol=1e-10)

    def test_light_planets_leave_kepler_his_ellipses(self):
        """After one period Mars is where it was, but for what the others pull."""
        mars = INNER[3]
        system = SolarSystem(INNER)
        beginning = system.places[3].copy()
        steps = round(mars.period / 0.5)
        for _ in range(steps):
            system.step(mars.period / steps)
        assert np.linalg.norm(system.places[3] - beginning) < 0.002


class TestPicture:
    @pytest.mark.parametrize(("planets", "by_root"), [(INNER, False), (OUTER, False), (ALL, True)])
    def test_planets_are_inside_and_four_are_named(self, planets, by_root):
        system, trails = SolarSystem(planets), Trails(planets)
        for _ in range(50):
            system.step(5)
            trails.add(system.day, system.places)
        svg = ET.fromstring(draw_system(planets, system, trails, by_root=by_root))
        texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
        assert texts == ["2000.7", *(planet.name for planet in planets[-4:])]
        for dot in svg.iter("{http://www.w3.org/2000/svg}circle"):
            assert abs(float(dot.get("cx", 0))) <= 460
            assert abs(float(dot.get("cy", 0))) <= 460

    def test_a_trail_is_half_an_orbit_long(self):
        """Of each planet, however many steps it takes."""
        system, trails = SolarSystem(INNER), Trails(INNER)
        for _ in range(1500):
            system.step(0.5)
            trails.add(system.day, system.places)
        assert {len(points) for points in trails.points} == {36}
        assert np.dot(trails.points[2][0], trails.points[2][-1]) < -0.8
