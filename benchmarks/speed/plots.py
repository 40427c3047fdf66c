"""Plots of results/speed.json, PNG and SVG beside it: `python -m benchmarks.speed.plots`.

Needs benchmarks/speed/requirements.txt and nothing that was measured.
"""

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS
from benchmarks.speed.matrix import BASE_CLIENTS, WORKLOADS
from benchmarks.speed.outcome import Results, disqualified, find

# Grey is for those that the others are measured against.
COLOURS = {
    "product": ("#1b6ca8", "#4ea3dd"),
    "variant": ("#8fd3c7", "#c3e8e0"),
    "limit": ("#555555", "#999999"),
    "peer": ("#d1495b", "#edae49", "#66a182", "#8d6a9f", "#a47148", "#2e4057"),
}


def colours(stage: Results) -> dict[str, str]:
    """Contender to colour."""
    used: dict[str, int] = {}
    found = {}
    for name, item in stage["contenders"].items():
        choices = COLOURS[item["group"]]
        number = used.get(item["group"], 0)
        used[item["group"]] = number + 1
        found[name] = choices[number % len(choices)]
    return found


def counting(stage: Results) -> list[str]:
    """Contenders whose figures count."""
    return [name for name in stage["contenders"] if not disqualified(stage, name)]


def bars(axes: Any, stage: Results) -> None:
    """Texts/s by workload, with the range over rounds."""
    names, colour = counting(stage), colours(stage)
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        cells = [find(stage, name, workload=each, clients=BASE_CLIENTS) for each in WORKLOADS]
        rates = [cell["texts/s"] if cell else [0.0] for cell in cells]
        middles = [statistics.median(values) for values in rates]
        axes.bar(
            [x + (place - (len(names) - 1) / 2) * width for x in range(len(WORKLOADS))],
            middles,
            width,
            label=stage["contenders"][name]["title"],
            color=colour[name],
            yerr=[
                [middle - min(values) for middle, values in zip(middles, rates, strict=True)],
                [max(values) - middle for middle, values in zip(middles, rates, strict=True)],
            ],
        )
    axes.set_xticks(range(len(WORKLOADS)), WORKLOADS)
    axes.set_ylabel(f"texts/s, {BASE_CLIENTS} clients")
    axes.set_yscale("log")


def by_clients(axes: Any, stage: Results) -> None:
    """p50, and p99 as a thin line, of the mixed workload by clients."""
    _lines(axes, stage, "clients", lambda cell: bool(cell["clients"]) and cell["texts"] == 1)
    axes.set_xlabel("clients")
    axes.set_ylabel("ms, p50 (dashed: p99)")


def by_rate(axes: Any, stage: Results) -> None:
    """The same at fixed rates."""
    rates = stage["open loop, requests/s"]
    _lines(axes, stage, "load", lambda cell: not cell["clients"], lambda load: rates[f"{load:g}"])
    axes.set_xlabel("requests/s, open loop")
    axes.set_ylabel("ms, p50 (dashed: p99)")


def by_batch(axes: Any, stage: Results) -> None:
    """Texts/s by texts in a request."""
    for name in counting(stage):
        cells = sorted(
            (cell["texts"], statistics.median(cell["texts/s"]))
            for cell in stage["cells"]
            if cell["contender"] == name
            and (cell["workload"], cell["clients"]) == ("mixed", BASE_CLIENTS)
        )
        if len(cells) > 1:
            axes.plot(*zip(*cells, strict=True), "o-", **_style(stage, name))
    axes.set_xlabel("texts in a request, mixed")
    axes.set_ylabel("texts/s")


def by_cores(axes: Any, stages: Sequence[Results]) -> None:
    """Texts/s of the mixed workload by cores."""
    ordered = sorted(stages, key=lambda stage: int(stage["cpus"]))
    for name in counting(ordered[0]):
        cells = [find(each, name, workload="mixed", clients=BASE_CLIENTS) for each in ordered]
        points = [
            (stage["cpus"], statistics.median(cell["texts/s"]))
            for stage, cell in zip(ordered, cells, strict=True)
            if cell
        ]
        axes.plot(*zip(*points, strict=True), "o-", **_style(ordered[-1], name))
    axes.set_xlabel("cores, shared with the client")
    axes.set_ylabel(f"texts/s, mixed, {BASE_CLIENTS} clients")
    axes.set_xticks([stage["cpus"] for stage in ordered])


def plots(results: Results) -> dict[str, Callable[[Any], None]]:
    """What the results have data for: name of a file, without its ending, to what draws it."""
    found: dict[str, Callable[[Any], None]] = {}
    stages = results["stages"]
    for stage in stages:
        prefix, cells = f"speed-{stage['model']}-{stage['cpus']}", stage["cells"]
        found[f"{prefix}-rates"] = partial(bars, stage=stage)
        if len({cell["clients"] for cell in cells} - {0}) > 1:
            found[f"{prefix}-clients"] = partial(by_clients, stage=stage)
        if not all(cell["clients"] for cell in cells):
            found[f"{prefix}-open"] = partial(by_rate, stage=stage)
        if any(cell["texts"] > 1 for cell in cells):
            found[f"{prefix}-batches"] = partial(by_batch, stage=stage)
    for model in dict.fromkeys(stage["model"] for stage in stages):
        same = [stage for stage in stages if stage["model"] == model]
        if len(same) > 1:
            found[f"speed-{model}-cores"] = partial(by_cores, stages=same)
    return found


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw all plots that the results have data for; the files."""
    written: list[Path] = []
    for name, fill in plots(results).items():
        written += _save(f"{folder}/{name}", fill)
    return written


def _lines(
    axes: Any,
    stage: Results,
    key: str,
    wanted: Callable[[Results], bool],
    place: Callable[[float], float] = lambda value: value,
) -> None:
    for name in counting(stage):
        cells = [
            cell
            for cell in stage["cells"]
            if cell["contender"] == name
            and cell["workload"] == "mixed"
            and wanted(cell)
            and cell["latency, ms"]
        ]
        points = sorted(
            (place(cell[key]), cell["latency, ms"]["p50"], cell["latency, ms"]["p99"])
            for cell in cells
        )
        if points:
            xs, middles, tails = zip(*points, strict=True)
            axes.plot(xs, middles, "o-", **_style(stage, name))
            axes.plot(xs, tails, "--", color=colours(stage)[name], linewidth=0.8)
    axes.set_yscale("log")


def _style(stage: Results, name: str) -> dict[str, str]:
    return {"label": stage["contenders"][name]["title"], "color": colours(stage)[name]}


def _save(stem: str, fill: Callable[[Any], None]) -> list[Path]:
    import matplotlib as mpl

    mpl.use("agg")
    # Without them each drawing of the same results is another file.
    mpl.rcParams["svg.hashsalt"] = "speed"
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    try:
        fill(axes)
        if axes.get_yscale() == "log":
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(axis="y", alpha=0.3)
        axes.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        files = [Path(f"{stem}.{kind}") for kind in ("png", "svg")]
        for file in files:
            metadata = {"Date": None} if file.suffix == ".svg" else {"Software": None}
            figure.savefig(file, dpi=150, metadata=metadata)
    finally:
        plt.close(figure)
    return files


def main() -> None:
    """Draw the plots of the results, or of the file that is named, beside it."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS / "speed.json"
    for file in draw(json.loads(path.read_text(encoding="utf-8")), path.parent):
        print(file)


if __name__ == "__main__":
    main()
