"""What is measured, as data: cells are measured for every contender, round by round."""

from dataclasses import dataclass

WORKLOADS = ("short", "mixed", "long")

CLIENTS = (1, 8, 32)

# The load of open loops, of what the product answers in fp32 with BASE_CLIENTS clients.
SHARES = (0.5, 0.8)

# A rate that all contenders bear: this share of the slowest's.
COMMON_SHARE = 0.5

BASE_CLIENTS = 8

BATCHES = (2, 4, 8)


@dataclass(frozen=True, order=True)
class Cell:
    """One measurement of one contender.

    Attributes:
        workload: name of it.
        clients: of a closed loop; 0: an open loop.
        load: of an open loop, as share of the base rate; 0: the common rate.
        texts: in a request.
        only: group of servers that take part, "" for all; the limit is there wherever it can be,
            and variants of the product only among all, with BASE_CLIENTS.
    """

    workload: str
    clients: int = 0
    load: float = 0.0
    texts: int = 1
    only: str = ""


@dataclass(frozen=True)
class Stage:
    """Cells that are measured with the same servers.

    Attributes:
        model: minilm or bert-base.
        cpus: how many processors servers and clients get, 0: all.
        peers: names of those that take part; None: all.
        variants: whether other ways to serve the product take part.
        cells: in order; open loops come last, they need the rates of the closed.
        rounds: most rounds.
        share: of the time that there is.
    """

    model: str
    cpus: int
    peers: tuple[str, ...] | None
    variants: bool
    cells: tuple[Cell, ...]
    rounds: int
    share: float


def closed(*for_all: tuple[str, int]) -> tuple[Cell, ...]:
    """All workloads with all numbers of clients, and the peers in these and with BASE_CLIENTS."""
    return tuple(
        Cell(
            workload,
            clients,
            only="" if clients == BASE_CLIENTS or (workload, clients) in for_all else "product",
        )
        for workload in WORKLOADS
        for clients in CLIENTS
    )


OPEN = (
    *(Cell("mixed", load=share, only="product") for share in SHARES),
    Cell("mixed"),
)

BATCHED = tuple(Cell("mixed", BASE_CLIENTS, texts=texts, only="product") for texts in BATCHES)

ONE_CPU = tuple(Cell(workload, BASE_CLIENTS) for workload in WORKLOADS)

OF_PEERS = (("short", 1), ("mixed", 1), ("long", 1), ("mixed", 32))

# A model of that size shows what the small one does, more slowly.
PEERS_OF_BERT = ("classic_ensemble", "fastapi_pipeline")

FULL = (
    Stage("minilm", 0, None, True, (*closed(*OF_PEERS), *BATCHED, *OPEN), 5, 0.68),
    Stage("minilm", 1, (), False, ONE_CPU, 5, 0.07),
    Stage("bert-base", 0, PEERS_OF_BERT, False, closed(), 5, 0.25),
)

QUICK = (
    Stage(
        "minilm",
        0,
        None,
        True,
        (
            *(Cell(workload, BASE_CLIENTS) for workload in WORKLOADS),
            *(Cell(workload, 1, only="product") for workload in WORKLOADS),
            Cell("mixed", load=SHARES[0], only="product"),
        ),
        1,
        1.0,
    ),
)
