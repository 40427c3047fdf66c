"""Tables of a stage's rates and latencies."""

from benchmarks.speed.columns import clients_text, latency_text, spread_text, table_of
from benchmarks.speed.matrix import BASE_CLIENTS, WORKLOADS
from benchmarks.speed.outcome import Results


def rates_table(stage: Results, clients: int = BASE_CLIENTS) -> str:
    """Texts/s with the range over rounds, by workload."""
    return table_of(
        stage,
        f"texts/s, {clients_text(clients)}",
        [
            (
                workload,
                lambda cell: spread_text(cell["texts/s"]),
                {"workload": workload, "clients": clients},
            )
            for workload in WORKLOADS
        ],
    )


def latency_table(stage: Results, clients: int) -> str:
    """p50 / p95 / p99 by workload."""
    return table_of(
        stage,
        f"p50 / p95 / p99 in ms, {clients_text(clients)}",
        [
            (workload, latency_text, {"workload": workload, "clients": clients})
            for workload in WORKLOADS
        ],
    )


def open_table(stage: Results) -> str:
    """Latencies at fixed rates, of the mixed workload; "" where none was measured."""
    loads = sorted({cell["load"] for cell in stage["cells"] if not cell["clients"]})
    columns = [
        (
            f"{stage['open loop, requests/s'][f'{load:g}']:g} requests/s",
            latency_text,
            {"workload": "mixed", "clients": 0, "load": load},
        )
        for load in loads
    ]
    return table_of(stage, "p50 / p95 / p99 in ms, mixed", columns) if columns else ""


def batch_table(stage: Results) -> str:
    """Texts/s by texts in a request; "" where none was measured."""
    batches = sorted({cell["texts"] for cell in stage["cells"]} - {1})
    columns = [
        (
            f"{texts} a request",
            lambda cell: spread_text(cell["texts/s"]),
            {"workload": "mixed", "clients": BASE_CLIENTS, "texts": texts},
        )
        for texts in [1, *batches]
    ]
    return table_of(stage, "texts/s, mixed", columns) if batches else ""


def clients_table(stage: Results) -> str:
    """Texts/s of the mixed workload by clients; "" where only one number was measured."""
    counts = sorted({cell["clients"] for cell in stage["cells"]} - {0})
    columns = [
        (
            clients_text(count),
            lambda cell: spread_text(cell["texts/s"]),
            {"workload": "mixed", "clients": count},
        )
        for count in counts
    ]
    return table_of(stage, "texts/s, mixed", columns) if len(counts) > 1 else ""
