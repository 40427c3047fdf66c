"""A server's processes: what they use, pausing them while another is measured, ending them."""

import os
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

TICKS = os.sysconf("SC_CLK_TCK")

# Triton takes up to 8 s.
END_SECONDS = 15.0

# One that waits for a disk stops later.
STOP_SECONDS = 1.0

# For children that see by themselves that their parent has gone.
LEFT_BEHIND_SECONDS = 1.0


@dataclass(frozen=True)
class Memory:
    """In MB (10^6 bytes), summed over processes.

    Attributes:
        rss: counts pages that processes share once for each.
        pss: counts them once.
    """

    rss: float
    pss: float


def tree(root: int) -> list[int]:
    """A process and all that descend from it or are of its session, itself first."""
    found, members = {root}, []
    parents = {pid: stat for pid in _pids() if (stat := _stat(pid))}
    grown = True
    while grown:
        members = [
            pid
            for pid, stat in parents.items()
            if pid not in found and (int(stat[1]) in found or int(stat[3]) == root)
        ]
        found.update(members)
        grown = bool(members)
    return [root, *sorted(found - {root})]


def cpu_seconds(root: int) -> float:
    """User and system time of the tree, with that of children that have ended."""
    ticks = 0
    for pid in tree(root):
        stat = _stat(pid)
        # proc(5): utime, stime, cutime and cstime, counted from the state, which is field 3.
        ticks += sum(map(int, stat[11:15])) if stat else 0
    return ticks / TICKS


def busy_seconds(cpus: Collection[int]) -> float:
    """Time that these processors have spent on whatever, or that a hypervisor took from them."""
    names = {f"cpu{number}" for number in cpus}
    ticks = 0
    for line in (PROC / "stat").read_text().splitlines():
        name, *fields = line.split()
        if name in names:
            # proc(5): user, nice, system, idle, iowait, irq, softirq, steal; guests are in user.
            user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / TICKS


def memory(root: int) -> Memory:
    """What the tree holds now."""
    sums = {"Rss:": 0, "Pss:": 0}
    for pid in tree(root):
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, value, *_ = line.split()
            if name in sums:
                sums[name] += int(value)
    return Memory(*(round(kibibytes * 1024 / 1e6, 1) for kibibytes in sums.values()))


def pause(root: int) -> None:
    """Stop the tree: servers that poll would take time from the one that is measured."""
    members = tree(root)
    for pid in members:
        _signal(pid, signal.SIGSTOP)
    deadline = time.monotonic() + STOP_SECONDS
    while any(_state(pid) not in "TZX" for pid in members) and time.monotonic() < deadline:
        time.sleep(0.001)


def resume(root: int) -> None:
    """Let the tree go on, children first: to a parent one that stands still may look dead."""
    for pid in reversed(tree(root)):
        _signal(pid, signal.SIGCONT)


def end(root: int) -> None:
    """End the tree, however it stands: its first process is asked, then all are made."""
    members = tree(root)
    _signal(root, signal.SIGTERM)
    resume(root)
    _await([root], END_SECONDS)
    _await(members, LEFT_BEHIND_SECONDS)
    for pid in members:
        _signal(pid, signal.SIGKILL)
    _await(members, END_SECONDS)


def _await(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(_lives(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)


def _pids() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command: state, parent, group, session, …"""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _state(pid: int) -> str:
    """One letter; X, dead, for none."""
    return (_stat(pid) or ["X"])[0]


def _lives(pid: int) -> bool:
    return _state(pid) not in "ZX"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
