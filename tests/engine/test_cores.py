"""Which processors count: in containers of both kinds of control groups, and outside of any."""

import os

import pytest

from streaming.engine.cores import usable_cores


@pytest.fixture
def bound_to(monkeypatch):
    """Bind this process to so many processors."""
    return lambda number: monkeypatch.setattr(
        os, "sched_getaffinity", lambda pid: set(range(number)), raising=False
    )


def cores(tmp_path, group, **files):
    (tmp_path / "cgroup").write_text(group)
    for path, text in files.items():
        file = tmp_path / "sys" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return usable_cores(tmp_path / "cgroup", tmp_path / "sys")


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        ("max 100000", 16),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("20000 100000", 1),
        ("?", 16),
    ],
)
def test_a_containers_quota_counts(tmp_path, bound_to, most, expected):
    bound_to(16)
    assert cores(tmp_path, "0::/\n", **{"cpu.max": most}) == expected


def test_the_least_of_the_groups_around_counts(tmp_path, bound_to):
    bound_to(16)
    files = {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000", "cpu.max": "800000 100000"}
    assert cores(tmp_path, "0::/a/b\n", **files) == 3


def test_those_of_the_first_kind_count(tmp_path, bound_to):
    bound_to(16)
    files = {
        "cpu,cpuacct/a/cpu.cfs_quota_us": "400000",
        "cpu,cpuacct/a/cpu.cfs_period_us": "100000",
    }
    assert cores(tmp_path, "5:cpu,cpuacct:/a\n3:memory:/a\n", **files) == 4
    files["cpu,cpuacct/a/cpu.cfs_quota_us"] = "-1"
    assert cores(tmp_path, "5:cpu,cpuacct:/a\n", **files) == 16


def test_processors_that_it_is_not_bound_to_do_not(tmp_path, bound_to):
    bound_to(2)
    assert cores(tmp_path, "0::/\n", **{"cpu.max": "800000 100000"}) == 2


def test_without_control_groups_all_do(tmp_path, bound_to):
    bound_to(5)
    assert usable_cores(tmp_path / "nowhere", tmp_path) == 5
