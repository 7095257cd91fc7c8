"""The simulation of sites that are larger than any that was measured."""

import random
from dataclasses import replace

import pytest

from benchmarks import scale, site
from streaming.cluster.bridge import MOST_ONE_BY_ONE
from streaming.conf import Conf


@pytest.fixture(scope="module")
def costs():
    random.seed(1)
    return site.measured_costs()


def test_what_it_says_of_two_processes_is_what_was_measured(costs):
    for name, measured, simulated in scale.compare(costs):
        assert simulated == pytest.approx(measured, rel=0.2), name


def test_what_it_computes_with_is_in_the_tables():
    assert scale.memory_of_session() > 0
    assert scale.memory_of_viewer() > 0


def test_it_knows_the_limits_of_what_it_simulates():
    defaults = Conf()
    assert site.MOST_ONE_BY_ONE == MOST_ONE_BY_ONE
    assert site.REMOTE_FPS == defaults.REMOTE_FPS
    assert site.REMOTE_BYTES_PER_SECOND == defaults.REMOTE_BYTES_PER_SECOND


def test_a_loop_that_has_too_much_to_do_gives_its_viewers_fewer_frames(costs):
    load = site.Load("", 1, 10, watched=10, here=10, elsewhere=0, viewers_elsewhere=0, fps=10)
    works, seen = scale.carries(load, costs)
    assert works
    assert seen.frames == pytest.approx(1000, rel=0.05)
    works, seen = scale.carries(replace(load, here=500), costs)
    assert not works
    assert seen.busiest == pytest.approx(1, rel=0.01)
    # As many as benchmarks/delivery.md measured of a loop without a pause.
    most = site.figure("delivery", "500 viewers of one session, 10 KB frames", 1)
    assert 0.5 * most < seen.frames < most


def test_the_documentation_has_what_it_says():
    told = (site.ROOT / "benchmarks" / "scale.md").read_text()
    page = (site.ROOT / "docs" / "scaling.md").read_text()
    made = page.split("<!-- made by make bench-scale -->")[1].split("<!-- end -->")[0]
    rows = [line for line in made.splitlines() if line.startswith("| ")]
    assert len(rows) > 10
    assert all(row in told for row in rows)
