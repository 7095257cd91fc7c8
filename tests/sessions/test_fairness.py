"""Whose turn it is among those who wait."""

import time
from collections import Counter
from random import Random

from streaming.sessions.fairness import in_turn


def turns(waiting, places=()):
    """Of applicants that are called by their owner and a number."""
    return in_turn(waiting.split(), lambda one: one[0], Counter(places))


def test_of_one_owner_who_came_first_is_first():
    assert turns("a1 a2 a3") == ["a1", "a2", "a3"]


def test_owners_take_turns():
    assert turns("a1 a2 a3 b1 b2") == ["a1", "b1", "a2", "b2", "a3"]


def test_an_owner_with_places_waits_for_those_with_fewer():
    assert turns("a1 a2 b1 c1", {"a": 1, "c": 2}) == ["b1", "a1", "a2", "c1"]


def test_nobody_waits():
    assert turns("") == []


def test_it_is_as_if_each_place_were_given_to_whose_owner_has_fewest():
    random = Random(1)
    waiting = [f"{random.choice('abcde')}{number}" for number in range(200)]
    places = Counter(random.choices("abcde", k=20))
    expected, left, having = [], list(waiting), Counter(places)
    while left:
        following = min(left, key=lambda one: having[one[0]])
        left.remove(following)
        having[following[0]] += 1
        expected.append(following)
    assert in_turn(waiting, lambda one: one[0], places) == expected


def test_ten_thousand_take_no_time():
    began = time.process_time()
    in_turn(range(10_000), lambda number: number % 3000, Counter())
    assert time.process_time() - began < 0.5
