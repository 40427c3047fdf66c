"""benchmarks/speed/goals.py and step_tables.py, from results small enough to check by hand."""

from typing import Any

from benchmarks.speed.goals import best_peer, footprint_table, goals_table
from benchmarks.speed.step_tables import joined_table, separate_table


def contender(group: str, **more: Any) -> dict[str, Any]:
    """As stages.py describes one."""
    return {"title": group, "group": group, "precision": "fp32", **more}


def cell(name: str, rate: float, **more: Any) -> dict[str, Any]:
    """Of short texts."""
    return {
        "contender": name,
        "workload": "short",
        "clients": 8,
        "load": 0.0,
        "texts": 1,
        "texts/s": [rate],
        "answers": 1,
        "failures": 0,
        "labels": {"compared": 100, "other": 0},
        "steps": {},
        **more,
    }


PARTS = {
    "total, ms": 5.0,
    "queue, ms": 0.5,
    "compute_input, ms": 1.0,
    "compute_infer, ms": 3.0,
    "compute_output, ms": 0.5,
    "texts a run": 1.25,
}

STAGE: dict[str, Any] = {
    "contenders": {
        "product_fp32": contender(
            "product", **{"idle RSS, MB": 391.0, "weights, MB": 91.0, "ready, s": 1.75}
        ),
        "product_int8": contender(
            "product",
            **{"precision": "int8", "idle RSS, MB": 250.0, "weights, MB": 40.0, "ready, s": 2.5},
        ),
        "product_fp32_separate": contender("variant"),
        "limit_fp32": contender("limit"),
        "classic_ensemble": contender("peer"),
        "fast": contender("peer"),
        "wrong": contender("peer"),
    },
    "cells": [
        cell("product_fp32", 90.0, steps={"reviews": PARTS}, **{"mean, ms": 6.5}),
        cell("product_int8", 300.0),
        cell("limit_fp32", 100.0),
        cell("classic_ensemble", 30.0),
        cell("fast", 50.0),
        cell("wrong", 900.0, labels={"compared": 100, "other": 1}),
        cell("product_fp32", 90.0, clients=1, **{"p50 by round, ms": [5.5, 5.4, None]}),
        cell("limit_fp32", 90.0, clients=1, **{"p50 by round, ms": [4.5, 4.8, 4.0]}),
        cell(
            "product_fp32_separate",
            80.0,
            workload="mixed",
            steps={"ensemble": PARTS, "post_processing": PARTS, "model_onnx": PARTS},
        ),
    ],
}


def test_each_figure_has_its_goal_and_what_is_missing() -> None:
    assert goals_table(STAGE).splitlines()[2:] == [
        "| fp32 ÷ limit | 0.90 (≥ 0.94, −0.04) | – (≥ 0.97) | – (≥ 1) |",
        "| int8 ÷ limit | – (≥ 0.85) | – (≥ 0.93) | – (≥ 0.97) |",
        "| fp32 ÷ classic ensemble | 3.00 (≥ 2.2) | – (≥ 2) | – (≥ 2.1) |",
        "| int8 ÷ best other peer | 6.00 (≥ 6) | – (≥ 5) | – (≥ 4) |",
        "| 1 client: p50 less the limit's, ms (≤ 0.6) | 0.80 (+0.20) | – | – |",
    ]


def test_the_best_peer_counts() -> None:
    assert best_peer(STAGE, "short") == "fast"
    assert best_peer(STAGE, "long") == ""


def test_the_classic_ensemble_is_not_the_best_of_the_other_peers() -> None:
    faster = [
        dict(item, **{"texts/s": [70.0]}) if item["contender"] == "classic_ensemble" else item
        for item in STAGE["cells"]
    ]
    assert best_peer({**STAGE, "cells": faster}, "short") == "fast"


def test_weights_do_not_count_as_memory() -> None:
    assert footprint_table(STAGE).splitlines()[2:] == [
        "| product | 300 (+50) | 91 | 1.75 |",
        "| product | 210 | 40 | 2.50 (+0.50) |",
    ]


def test_what_the_server_does_not_account_for_is_around_it() -> None:
    assert joined_table(STAGE).splitlines()[2:] == [
        "| fp32, short, 8 | 0.50 | 1.00 | 3.00 | 0.50 | 1.50 | 6.50 | 1.25 |"
    ]


def test_separate_steps_have_a_row_each() -> None:
    assert separate_table(STAGE).splitlines()[2:] == [
        f"| fp32, {step} | 0.50 | 1.00 | 3.00 | 0.50 | 5.00 |"
        for step in ("model_onnx", "post_processing", "ensemble")
    ]
    without = {name: item for name, item in STAGE["contenders"].items() if "sep" not in name}
    assert separate_table({**STAGE, "contenders": without}) == ""
