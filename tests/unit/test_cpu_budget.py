"""backends/onnxruntime/cpu_budget.py."""

import os
from pathlib import Path

import pytest
from cpu_budget import cpu_budget

MACHINE = 8


@pytest.fixture(autouse=True)
def eight_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may run on eight CPUs, whatever the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(MACHINE)))


def cgroup_v2(root: Path, content: str) -> Path:
    """A unified hierarchy."""
    (root / "cpu.max").write_text(content)
    return root


def cgroup_v1(root: Path, quota: str, period: str) -> Path:
    """A hierarchy with a cpu controller."""
    (root / "cpu").mkdir()
    (root / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (root / "cpu" / "cpu.cfs_period_us").write_text(period)
    return root


@pytest.mark.parametrize(
    ("quota", "period", "cpus"),
    [
        ("400000", "100000", 4),
        ("150000", "100000", 2),
        ("100000", "100000", 1),
        ("100001", "100000", 2),
        ("50000", "100000", 1),
        ("1000", "100000", 1),
        ("30000", "10000", 3),
        ("1600000", "100000", MACHINE),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_quota_is_rounded_up_to_whole_cpus_of_the_machine(
    version: int, quota: str, period: str, cpus: int, tmp_path: Path
) -> None:
    if version == 2:
        root = cgroup_v2(tmp_path, f"{quota} {period}\n")
    else:
        root = cgroup_v1(tmp_path, f"{quota}\n", f"{period}\n")
    assert cpu_budget(root) == cpus


def test_max_in_cgroup_v2_is_no_limit(tmp_path: Path) -> None:
    assert cpu_budget(cgroup_v2(tmp_path, "max 100000\n")) == MACHINE


def test_minus_one_in_cgroup_v1_is_no_limit(tmp_path: Path) -> None:
    assert cpu_budget(cgroup_v1(tmp_path, "-1\n", "100000\n")) == MACHINE


def test_without_cgroup_files_the_affinity_mask_decides(tmp_path: Path) -> None:
    assert cpu_budget(tmp_path) == MACHINE


def test_the_affinity_mask_decides_when_it_is_smaller_than_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5})
    assert cpu_budget(cgroup_v2(tmp_path, "400000 100000\n")) == 2


def test_cgroup_v2_comes_before_v1(tmp_path: Path) -> None:
    cgroup_v1(tmp_path, "200000\n", "100000\n")
    assert cpu_budget(cgroup_v2(tmp_path, "300000 100000\n")) == 3


@pytest.mark.parametrize(
    "content", ["", "\n", "garbage", "max", "1 2 3", "a b", "1.5 2", "100000 0", "100000 max"]
)
def test_garbage_in_cgroup_v2_is_no_limit(content: str, tmp_path: Path) -> None:
    assert cpu_budget(cgroup_v2(tmp_path, content)) == MACHINE


@pytest.mark.parametrize(
    ("quota", "period"), [("", ""), ("a", "100000"), ("100000", "0"), ("100000", "")]
)
def test_garbage_in_cgroup_v1_is_no_limit(quota: str, period: str, tmp_path: Path) -> None:
    assert cpu_budget(cgroup_v1(tmp_path, quota, period)) == MACHINE


def test_a_quota_of_nothing_still_leaves_one_cpu(tmp_path: Path) -> None:
    assert cpu_budget(cgroup_v2(tmp_path, "0 100000\n")) == 1
