import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from gallery.grayscott import SPREAD_U, Reaction, draw_field


class TestReaction:
    @pytest.mark.parametrize(
        ("feed", "kill"), [(0.01, 0.04), (0.01, 0.07), (0.08, 0.04), (0.08, 0.07)]
    )
    def test_stays_between_nothing_and_one(self, feed, kill):
        """At each corner of what may be asked for."""
        reaction = Reaction(32, seed=1)
        for _ in range(3000):
            reaction.step(feed, kill)
        for field in (reaction.u, reaction.v):
            assert field.min() >= 0
            assert field.max() <= 1

    def test_grows_a_pattern_and_starves_without_food(self):
        fed, starved = Reaction(64, seed=1), Reaction(64, seed=1)
        beginning = fed.share
        for _ in range(3000):
            fed.step(0.037, 0.06)
            starved.step(0.01, 0.07)
        assert fed.share > max(0.4, beginning)
        assert starved.share == 0

    def test_only_spreads_where_nothing_reacts(self):
        """By five points, and over the edge; what is there is neither more nor less afterwards."""
        reaction = Reaction(32, seed=1)
        reaction.u[:], reaction.v[:] = 0, 0
        reaction.u[0, 5] = 1
        reaction.step(0, 0)
        assert reaction.u.sum() == pytest.approx(1)
        around = reaction.u[-1, 5], reaction.u[1, 5], reaction.u[0, 4], reaction.u[0, 6]
        assert around == pytest.approx([SPREAD_U] * 4)

    def test_the_same_seed_gives_the_same_beginning(self):
        assert np.array_equal(Reaction(32, seed=3).u, Reaction(32, seed=3).u)
        assert not np.array_equal(Reaction(32, seed=3).u, Reaction(32, seed=4).u)


class TestPicture:
    def test_a_disk_is_drawn_as_large_as_it_is(self):
        """Within a quarter of a cell, though most of its points have been left out."""
        y, x = np.mgrid[:64, :64]
        field = (20 - np.hypot(x - 32, y - 32)).astype(np.float32)
        *_, path = ET.fromstring(draw_field(field, ((0, "red"),))).iter()
        ring = corners(path.get("d"))
        radii = np.hypot(*(ring / 5 - 32).T)
        assert np.abs(radii - 20).max() < 0.25
        assert len(ring) < 60

    def test_nothing_gives_an_empty_picture(self):
        svg = draw_field(np.zeros((32, 32), np.float32))
        assert 'd=""' in svg

    def test_the_largest_frame_is_small(self):
        reaction = Reaction(192, seed=1)
        for _ in range(3000):
            reaction.step(0.0545, 0.062)
        assert len(draw_field(reaction.v)) < 60_000


def corners(path):
    """Return the points of a path's only polygon."""
    start, moves = re.fullmatch(r"M([\d ]+)l([-\d ]+)z", path).groups()
    numbers = [int(number) for number in re.findall(r"-?\d+", moves)]
    return np.cumsum([[int(n) for n in start.split()], *np.reshape(numbers, (-1, 2))], axis=0)
