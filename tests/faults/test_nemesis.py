"""The plan of the faults."""

from itertools import pairwise

import pytest

from tests.faults.nemesis import KINDS, plan

PROCESSES = ["a", "b"]


def test_a_seed_always_gives_the_same_plan():
    assert plan(7, 60, PROCESSES) == plan(7, 60, PROCESSES)
    assert plan(7, 60, PROCESSES) != plan(8, 60, PROCESSES)


@pytest.mark.parametrize("seed", range(20))
def test_every_fault_is_undone_in_time_and_none_happens_to_a_part_that_has_one(seed):
    faults = plan(seed, 60, PROCESSES)
    assert max(fault.end for fault in faults) <= 60
    for target in {fault.target for fault in faults} - {"clients"}:
        own = [fault for fault in faults if fault.target == target]
        assert all(one.end <= following.at for one, following in pairwise(own))


def test_every_kind_happens_to_every_part_that_it_can():
    faults = [fault for seed in range(20) for fault in plan(seed, 60, PROCESSES)]
    happened = {(fault.kind, fault.target) for fault in faults}
    assert {kind for kind, _ in happened} == set(KINDS)
    assert {("kill", "a"), ("kill", "b"), ("freeze long", "a"), ("freeze long", "b")} <= happened
