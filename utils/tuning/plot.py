"""The plot of a tuning: texts/s against p95. Needs utils/tuning/requirements.txt."""

from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.tuning.results import Result

KINDS = (".png", ".svg")

CHOSEN = "#d1495b"
COLOURS = ("#1b6ca8", "#edae49", "#66a182", "#8d6a9f", "#a47148", "#2e4057", "#4ea3dd", "#999999")


def draw(result: Result, path: Path) -> list[Path]:
    """Draw it as PNG and SVG; the files.

    Args:
        result: of a tuning.
        path: of one of them; the other lies beside it.

    Raises:
        UserError: matplotlib is not there.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise UserError(
            "matplotlib", "not installed", "pip install -r utils/tuning/requirements.txt"
        ) from error
    mpl.use("agg")
    # Without it each drawing of the same results is another file.
    mpl.rcParams["svg.hashsalt"] = "tuning"
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    try:
        _fill(axes, result)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        stem = path.with_suffix("") if path.suffix in KINDS else path
        files = [stem.with_name(stem.name + kind) for kind in KINDS]
        for file in files:
            metadata = {"Date": None} if file.suffix == ".svg" else {"Software": None}
            figure.savefig(file, dpi=150, metadata=metadata)
    finally:
        plt.close(figure)
    return files


def _fill(axes: Any, result: Result) -> None:
    """A line for each candidate, through its numbers of clients."""
    for number, item in enumerate(result.contenders):
        if not item.rounds:
            continue
        chosen = item is result.choice.contender
        points = [(item.tail(clients), item.rate(clients)) for clients in result.clients]
        axes.plot(
            *zip(*points, strict=True),
            "o:" if item.out else "o-",
            color=CHOSEN if chosen else COLOURS[number % len(COLOURS)],
            label=item.settings.name + (f" ({item.out})" if item.out else ""),
            linewidth=2 if chosen else 1,
            markersize=4,
            zorder=3 if chosen else 2,
        )
    score = result.choice.score
    axes.plot([score.tail], [score.rate], "o", color=CHOSEN, markersize=13, fillstyle="none")
    clients = f"{score.clients} client{'s' * (score.clients > 1)}"
    chosen_point = f"chosen: {result.choice.contender.settings.name}, {clients}"
    axes.set_title(chosen_point, color=CHOSEN, fontsize="medium", loc="left")
    if result.budget is not None:
        axes.axvline(result.budget, color="#555555", linestyle="--", linewidth=1)
    axes.set_xlabel("ms, p95" + (" (dashed: the budget)" if result.budget is not None else ""))
    axes.set_ylabel("texts/s")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
