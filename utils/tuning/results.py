"""What a tuning found, for report.json and as a table."""

import io
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from utils.tuning.choice import Choice, Contender
from utils.tuning.measure import Point
from utils.tuning.settings import Settings

CPU_INFO = Path("/proc/cpuinfo")

TABLE_WIDTH = 150


@dataclass(frozen=True)
class Result:
    """A finished tuning.

    Attributes:
        contenders: the settings that it began with first.
        choice: what is taken.
        clients: numbers of clients.
        texts: how many were asked.
        precision: of the graph; it stays.
        cpus: that the server had.
        budget: ms that p95 may take; None for any.
        confirmed: of requests at random times at `rate`.
        rate: of those, requests/s.
    """

    contenders: Sequence[Contender]
    choice: Choice
    clients: Sequence[int]
    texts: int
    precision: str
    cpus: int
    budget: float | None
    confirmed: Point
    rate: float


def report(result: Result) -> dict[str, Any]:
    """For report.json."""
    return {
        "server": "embedded",
        "machine": {
            "architecture": platform.machine(),
            "processor": processor(),
            "cpus": result.cpus,
        },
        "precision": result.precision,
        "texts": result.texts,
        "latency_budget_ms": result.budget,
        "before": _fields(result.contenders[0].settings),
        "chosen": _fields(result.choice.contender.settings),
        "reason": result.choice.reason,
        "open_loop": {"requests/s": round(result.rate, 2), "ms": result.confirmed.latencies},
        "measured": [
            {
                "settings": item.settings.name,
                "rounds": len(item.rounds),
                "out": item.out,
                "clients": {
                    str(clients): {
                        "texts/s": round(item.rate(clients), 2),
                        "p95 ms": round(item.tail(clients), 2),
                    }
                    for clients in (result.clients if item.rounds else ())
                },
            }
            for item in result.contenders
        ],
    }


def table(result: Result) -> str:
    """Markdown that is readable as it is, and the choice under it."""
    grid = Table(box=box.MARKDOWN)
    grid.add_column("texts at once x threads", no_wrap=True)
    for number, clients in enumerate(result.clients):
        heading = f"{clients} client{'s' * (clients > 1)}"
        grid.add_column(heading if number else f"{heading}: texts/s, p95 ms", justify="right")
    grid.add_column("rounds", justify="right")
    grid.add_column("")
    for item in result.contenders:
        cells = [_cell(item, clients) for clients in result.clients]
        grid.add_row(item.settings.name, *cells, str(len(item.rounds)), _note(result, item))
    text = io.StringIO()
    Console(file=text, width=TABLE_WIDTH).print(grid)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join(line for line in lines if line) + "\n\n" + summary(result)


def summary(result: Result) -> str:
    """The choice in a few lines."""
    score, tails = result.choice.score, result.confirmed.latencies
    latencies = " / ".join(f"{value:.1f}" for value in tails.values())
    lines = [
        f"chosen: {result.choice.contender.settings.name}: {result.choice.reason}",
        f"{score.rate:.1f} texts/s, p95 {score.tail:.1f} ms with {score.clients}"
        f" client{'s' * (score.clients > 1)}",
        f"{result.rate:.1f} requests/s at random times: p50 / p95 / p99 {latencies} ms",
        f"measured on the embedded server in {result.precision}, {result.texts} texts, one a"
        f" request, {result.cpus} CPU{'s' * (result.cpus > 1)} shared with the clients",
    ]
    if result.budget is not None and score.within and tails.get("p95", 0.0) > result.budget:
        lines.append(
            f"at random times p95 is over {result.budget:g} ms: count on less than"
            f" {result.rate:.1f} requests/s"
        )
    return "\n".join(lines) + "\n"


def processor() -> str:
    """Its name, as the kernel gives it."""
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else ""


def _fields(settings: Settings) -> dict[str, Any]:
    return {
        "settings": settings.name,
        "parameters": dict(settings.parameters),
        "dynamic_batching": settings.together,
        "max_queue_delay_microseconds": settings.delay,
    }


def _cell(item: Contender, clients: int) -> str:
    if not item.rounds:
        return ""
    return f"{item.rate(clients):.1f}, {item.tail(clients):.1f}"


def _note(result: Result, item: Contender) -> str:
    notes = ["as it was"] if item is result.contenders[0] else []
    notes += ["chosen"] if item is result.choice.contender else []
    return ", ".join([*notes, *([item.out] if item.out else [])])
