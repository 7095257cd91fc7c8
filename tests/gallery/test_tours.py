from random import Random

import pytest

from gallery.tours import Tour, distance, nearest_neighbours
from gallery.tsplib import read_cities

BERLIN52_OPTIMUM = 7542


def length_of(tour):
    return sum(
        distance(tour.cities[city], tour.cities[tour.order[index - 1]])
        for index, city in enumerate(tour.order)
    )


def assert_is_a_tour(tour):
    assert sorted(tour.order) == list(range(len(tour.cities)))
    assert tour.length == length_of(tour)


def test_distances_are_rounded_as_tsplib_does():
    assert distance((0, 0), (1, 1)) == 1
    assert distance((0, 0), (1.5, 0)) == 2


@pytest.mark.parametrize("seed", range(5))
def test_berlin52_comes_within_two_percent(berlin52, seed):
    """The published optimum is 7542; nothing may be shorter than it."""
    tour = Tour(read_cities(berlin52), Random(seed))
    while tour.improve():
        pass
    assert tour.is_local_optimum
    assert_is_a_tour(tour)
    for _ in range(200):
        tour.perturb()
        assert_is_a_tour(tour)
    assert BERLIN52_OPTIMUM <= tour.length <= BERLIN52_OPTIMUM * 1.02


@pytest.mark.parametrize("count", [5, 6, 7, 8, 60, 500])
def test_any_number_of_cities_stays_a_tour(count):
    random = Random(count)
    tour = Tour([(random.random() * 100, random.random() * 100) for _ in range(count)], random)
    for _ in range(50):
        tour.improve()
        assert_is_a_tour(tour)
    for _ in range(20):
        before = tour.length
        tour.perturb()
        assert tour.length <= before
        assert_is_a_tour(tour)


@pytest.mark.parametrize(
    "cities", [[(1, 1)] * 9, [(n, 0) for n in range(9)], [(0, 0)] * 4 + [(9, 9)] * 5]
)
def test_degenerate_maps_are_no_problem(cities):
    tour = Tour(cities, Random(1))
    for _ in range(20):
        tour.improve()
        tour.perturb()
    assert_is_a_tour(tour)


def test_neighbours_are_the_nearest_on_a_random_map():
    random = Random(1)
    cities = [(random.random(), random.random()) for _ in range(300)]
    near = nearest_neighbours(cities)
    for city, found in enumerate(near):
        assert city not in found
        assert len(set(found)) == 8
        others = sorted((distance_sq(cities[city], cities[o]), o) for o in range(300) if o != city)
        assert found[0] == others[0][1]


def distance_sq(one, other):
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2
