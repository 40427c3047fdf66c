"""How many CPUs this process may use, whatever the machine has, and who shares them."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CGROUP_ROOT = Path("/sys/fs/cgroup")


def cpu_budget(cgroup_root: Path = CGROUP_ROOT) -> int:
    """CPUs of the affinity mask, lowered to the cgroup's CPU quota (v2, then v1), at least 1."""
    return max(1, min(len(os.sched_getaffinity(0)), _quota(cgroup_root)))


def instance_count(config: Mapping[str, Any]) -> int:
    """Instances of a model, by its Triton configuration as JSON; at least 1."""
    return max(1, sum(int(group.get("count", 1)) for group in config.get("instance_group", [])))


def _quota(root: Path) -> int:
    """Whole CPUs under the cgroup quota, rounded up; a very large number when there is none."""
    unlimited = 1 << 20
    try:
        if (root / "cpu.max").is_file():
            limit, period = (root / "cpu.max").read_text().split()
        else:
            limit = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        # v2 writes "max" and v1 writes -1 for "no limit".
        return unlimited if limit in ("max", "-1") else math.ceil(int(limit) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return unlimited
