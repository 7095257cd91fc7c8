"""What a process has more of than before."""

from dataclasses import replace

import pytest

from tests.faults.remains import Remains, what_is_more

POOLS = ("asyncio",)
BEFORE = Remains(
    threads=("MainThread", "asyncio"),
    tasks=("cluster", "leases"),
    places={},
    all_threads=3,
    children=1,
    files={"socket": 5, "pipe": 2},
    memory=0,
)


def test_as_much_as_before_and_less_is_well():
    assert what_is_more(BEFORE, BEFORE, POOLS) == []
    less = replace(BEFORE, tasks=("cluster",), children=0, files={"socket": 4}, all_threads=2)
    assert what_is_more(BEFORE, less, POOLS) == []


def test_a_pool_may_have_grown():
    more = replace(BEFORE, threads=("MainThread", "asyncio", "asyncio", "asyncio"), all_threads=5)
    assert what_is_more(BEFORE, more, POOLS) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"threads": ("MainThread", "asyncio", "step"), "all_threads": 4}, "threads: step"),
        ({"tasks": ("cluster", "cluster", "leases")}, "tasks: cluster"),
        ({"all_threads": 4}, "threads unknown to Python: 3 → 4"),
        ({"children": 2}, "children: 1 → 2"),
        ({"files": {"socket": 6}}, "socket: 5 → 6"),
        ({"files": {"memfd": 1}}, "memfd: 0 → 1"),
    ],
)
def test_what_is_left_is_found(more, said):
    assert said in what_is_more(BEFORE, replace(BEFORE, **more), POOLS)


def test_sockets_that_are_kept_for_the_next_work_are_not_more():
    after = replace(BEFORE, files={"socket": 7, "pipe": 2})
    assert what_is_more(BEFORE, after, POOLS, kept=2) == []
    assert what_is_more(BEFORE, after, POOLS, kept=1) == ["socket: 5 → 7"]
