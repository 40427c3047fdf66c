"""Parts of the documents, from all results."""

import statistics
from collections.abc import Callable

from benchmarks.report import markdown_table
from benchmarks.speed import comparisons, stage_tables
from benchmarks.speed.columns import ABSENT, times
from benchmarks.speed.matrix import BASE_CLIENTS
from benchmarks.speed.outcome import Results, disqualified, find, ratio
from benchmarks.speed.plots import plots

NOT_MEASURED = "Not measured in this run."

BASE = "product_fp32"


def stage_of(results: Results, model: str, most_cpus: bool = True) -> Results | None:
    """The stage of a model, with all processors or with one; None if it was not measured."""
    found = [stage for stage in results["stages"] if stage["model"] == model]
    found.sort(key=lambda stage: int(stage["cpus"]), reverse=most_cpus)
    return found[0] if found and (most_cpus or len(found) > 1) else None


def run_line(results: Results) -> str:
    """What the figures were measured on, and how long."""
    machine = results["machine"]
    rounds = {
        stage["model"]: max(len(cell["texts/s"]) for cell in stage["cells"])
        for stage in results["stages"]
    }
    counted = ", ".join(f"{count} of {model}" for model, count in rounds.items())
    quick = "**A quick run: it shows that all this works, and little about speed.** "
    return (
        f"{quick * results['quick']}{machine['date']}, {machine['cpus']} cores of {machine['cpu']},"
        f" {machine['system']}; windows of {results['window, s']:g} s after"
        f" {results['warm-up, s']:g} s of warm-up; rounds: {counted}."
    )


def short_table(results: Results) -> str:
    """For the README: rates as multiples of the product's in fp32, and p50."""
    stage = stage_of(results, "minilm")
    if not stage:
        return NOT_MEASURED
    rows = []
    for name, item in stage["contenders"].items():
        cell = find(stage, name, workload="mixed", clients=BASE_CLIENTS)
        if item["group"] == "variant" or not cell or disqualified(stage, name):
            continue
        multiple = ratio(stage, name, BASE, workload="mixed", clients=BASE_CLIENTS)
        middle = cell["latency, ms"].get("p50")
        cpu = statistics.median(cell["CPU-s per 1,000 texts"])
        rows.append(
            [
                item["title"],
                times(multiple),
                f"{middle:.1f}" if middle else ABSENT,
                f"{cpu:.2f}",
            ]
        )
    header = [
        f"MiniLM-L6, {BASE_CLIENTS} clients, texts of mixed lengths",
        "requests/s, this project in fp32 = 1",
        "p50, ms",
        "CPU-s per 1,000 texts",
    ]
    quick = "A quick run, which says little about speed.\n\n" if results["quick"] else ""
    return quick + markdown_table(header, rows)


def of_stage(model: str, *tables: Callable[[Results], str]) -> Callable[[Results], str]:
    """Makes tables of the stage of a model with all processors."""

    def text(results: Results) -> str:
        stage = stage_of(results, model)
        parts = [table(stage) for table in tables] if stage else []
        return "\n\n".join(part for part in parts if part) or NOT_MEASURED

    return text


def latencies(stage: Results) -> str:
    """A table for each number of clients."""
    counts = sorted({cell["clients"] for cell in stage["cells"]} - {0})
    return "\n\n".join(stage_tables.latency_table(stage, count) for count in counts)


def refused(stage: Results) -> str:
    """Who was not started."""
    return "\n\n".join(f"{name} was not started: {why}" for name, why in stage["refused"].items())


def one_core(results: Results) -> str:
    """MiniLM with one processor."""
    stage = stage_of(results, "minilm", most_cpus=False)
    if not stage:
        return NOT_MEASURED
    return f"{comparisons.ratios_table(stage)}\n\n{stage_tables.rates_table(stage)}"


def images(results: Results) -> str:
    """All plots."""
    return "\n".join(f"![{name}](../benchmarks/results/{name}.png)" for name in plots(results))
