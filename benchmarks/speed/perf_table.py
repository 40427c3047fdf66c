"""The table of results/perf_analyzer.json."""

from benchmarks.report import markdown_table
from benchmarks.speed.outcome import Results

OWN, OTHER = "this generator", "perf_analyzer"


def table(results: Results) -> str:
    """Both generators side by side, and when."""
    rows = [
        [
            f"{row['precision']}, {row['workload']}, {row['clients']}",
            *(f"{row[generator]['texts/s']:.1f}" for generator in (OWN, OTHER)),
            *(
                f"{row[generator]['p50, ms']:.2f} / {row[generator]['p99, ms']:.2f}"
                for generator in (OWN, OTHER)
            ),
        ]
        for row in results["rows"]
    ]
    header = [
        "precision, texts, clients",
        f"requests/s, {OWN}",
        OTHER,
        f"p50 / p99 in ms, {OWN}",
        OTHER,
    ]
    when = f"{results['machine']['date']}, windows of {results['window, s']:g} s."
    return f"{when}\n\n{markdown_table(header, rows)}"
