"""Rounds: every contender once in each cell, in an order that rotates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.speed.cells import Generator, Observation, Window, observe_limit, observe_server
from benchmarks.speed.limit import Limit
from benchmarks.speed.matrix import BASE_CLIENTS, COMMON_SHARE, Cell
from benchmarks.speed.servers import Server
from benchmarks.speed.workload import Workload
from utils.load.generator import Closed, Open

BASE = "product_fp32"


@dataclass(frozen=True)
class LimitOf:
    """The limit of a graph, and the names of its labels."""

    limit: Limit
    precision: str
    labels: list[str]


@dataclass
class Contest:
    """Those that are measured in a stage, and the texts.

    Attributes:
        servers: by name.
        limits: by name.
        generator: of the load.
        workloads: by name.
        expected: text to the original's label.
        window: of each cell.
        cpus: of everybody.
        rates: of open loops by share of the base rate, 0 the common one; of round 1.
    """

    servers: dict[str, Server]
    limits: dict[str, LimitOf]
    generator: Generator
    workloads: Mapping[str, Workload]
    expected: Mapping[str, str]
    window: Window
    cpus: Sequence[int]
    rates: dict[float, float] = field(default_factory=dict)


def run_round(
    contest: Contest, cells: Sequence[Cell], number: int
) -> Iterator[tuple[Cell, str, Observation]]:
    """Every contender once in each cell; who is first differs by cell and round."""
    rates: dict[str, float] = {}
    for place, cell in enumerate(cells):
        names = taking_part(contest, cell)
        shift = (number + place) % len(names)
        if not cell.clients and not contest.rates:
            contest.rates.update(open_rates(cells, rates))
        for name in names[shift:] + names[:shift]:
            observation = observe(contest, cell, name)
            if (cell.workload, cell.clients, cell.texts) == ("mixed", BASE_CLIENTS, 1):
                rates[name] = observation.rate
            yield cell, name, observation


def taking_part(contest: Contest, cell: Cell) -> list[str]:
    """Names of those that a cell is for; the limit has no queue and takes one text at a time."""
    groups = [cell.only] if cell.only else ["product", "peer"]
    if not cell.only and cell.clients == BASE_CLIENTS:
        groups.append("variant")
    names = [name for name, server in contest.servers.items() if server.service.group in groups]
    return names + (list(contest.limits) if cell.clients and cell.texts == 1 else [])


def observe(contest: Contest, cell: Cell, name: str) -> Observation:
    """Measure one contender in one cell."""
    texts = contest.workloads[cell.workload].texts
    if name in contest.limits:
        item = contest.limits[name]
        return observe_limit(
            item.limit,
            item.labels,
            texts,
            contest.expected,
            cell.clients,
            contest.window,
            contest.cpus,
        )
    arrivals = Closed(cell.clients) if cell.clients else Open(contest.rates[cell.load])
    return observe_server(
        contest.servers[name],
        contest.generator,
        texts,
        contest.expected,
        arrivals,
        contest.window,
        contest.cpus,
        cell.texts,
    )


def open_rates(cells: Sequence[Cell], rates: Mapping[str, float]) -> dict[float, float]:
    """The rates of the open loops among the cells, from those of the closed loop."""
    loads = {cell.load for cell in cells if not cell.clients}
    # Of a server that does not answer there is nothing to go by.
    slowest = min(rate for name, rate in rates.items() if rate and not name.startswith("limit"))
    return {
        load: round(rates[BASE] * load if load else slowest * COMMON_SHARE, 1) for load in loads
    }
