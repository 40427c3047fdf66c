"""Where the product's time goes: Triton's own statistics, by model.

Of the joined steps, one model, compute_input is tokenising, compute_infer the graph's run, and
compute_output scoring and the response. Of separate steps each is a model of its own.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

PARTS = ("queue", "compute_input", "compute_infer", "compute_output")

Totals = dict[str, dict[str, float]]


def read_totals(reply: str | bytes) -> Totals:
    """By model: texts, runs, and nanoseconds by part, since the server's start.

    Args:
        reply: the reply to GET /v2/models/stats.
    """
    totals = {}
    for item in json.loads(reply)["model_stats"]:
        parts: Mapping[str, Any] = item["inference_stats"]
        totals[item["name"]] = {
            "requests": float(parts["success"]["count"]),
            "texts": float(item["inference_count"]),
            "runs": float(item["execution_count"]),
            "total": float(parts["success"]["ns"]),
            **{part: float(parts[part]["ns"]) for part in PARTS},
        }
    return totals


def between(before: Totals, after: Totals) -> Totals:
    """By model: milliseconds a request by part, and texts a run where runs are counted."""
    found = {}
    for name, end in after.items():
        start = before.get(name, dict.fromkeys(end, 0.0))
        delta = {key: end[key] - start[key] for key in end}
        if delta["requests"]:
            found[name] = {
                f"{part}, ms": round(delta[part] / delta["requests"] / 1e6, 4)
                for part in ("total", *PARTS)
            }
        if delta["requests"] and delta["runs"]:
            found[name]["texts a run"] = round(delta["texts"] / delta["runs"], 3)
    return found


def medians(rounds: Sequence[Totals]) -> Totals:
    """Of each figure over rounds."""
    names = dict.fromkeys(name for totals in rounds for name in totals)
    found: Totals = {}
    for name in names:
        seen = [totals[name] for totals in rounds if name in totals]
        found[name] = {
            key: round(statistics.median(item[key] for item in seen), 4)
            for key in seen[0]
            if all(key in item for item in seen)
        }
    return found
