"""Whether others use the machine: measured before anything is started."""

import sys
import time
from collections.abc import Sequence

from benchmarks.speed import processes

SECONDS = 15.0

MOST_SHARE = 0.1


def others_share(cpus: Sequence[int], seconds: float = SECONDS) -> float:
    """Share of the processors' time that is used while this process sleeps."""
    before, since = processes.busy_seconds(cpus), time.perf_counter()
    time.sleep(seconds)
    busy = processes.busy_seconds(cpus) - before
    return busy / ((time.perf_counter() - since) * len(cpus))


def warn_if_busy(share: float) -> None:
    """Say so on stderr."""
    if share > MOST_SHARE:
        print(
            f"warning: others use {share:.0%} of the processors; ratios and CPU times hold,"
            " other figures are worse than on a quiet machine",
            file=sys.stderr,
        )
