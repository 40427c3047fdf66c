"""benchmarks/speed/tables.py and plots.py, from results small enough to check by hand."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed.outcome import disqualified, ratio, ratio_by_cpu
from benchmarks.speed.plots import counting, draw
from benchmarks.speed.tables import document, write_tables


def contender(title: str, group: str, **more: Any) -> dict[str, Any]:
    """As stages.py describes one."""
    return {"title": title, "group": group, "precision": "fp32", **more}


def cell(name: str, workload: str, rates: list[float], **more: Any) -> dict[str, Any]:
    """With 8 clients and round figures."""
    return {
        "contender": name,
        "workload": workload,
        "clients": 8,
        "load": 0.0,
        "texts": 1,
        "only": "",
        "texts/s": rates,
        "latency, ms": {"p50": 10.0, "p95": 20.25, "p99": 30.5},
        "CPU-s per 1,000 texts": [10.0 for _ in rates],
        "others' share of the processors": [0.02 for _ in rates],
        "answers": 1000,
        "failures": 0,
        "labels": {"compared": 256, "other": 0},
        "client, µs a request": 20.0,
        **more,
    }


FOOTPRINT = {"ready, s": 1.5, "idle RSS, MB": 250.5, "RSS, MB": 300.0, "disk, MB": 342.0}

STAGE: dict[str, Any] = {
    "model": "minilm",
    "cpus": 2,
    "open loop, requests/s": {"0.5": 45.0},
    "contenders": {
        "product_fp32": contender("ours, fp32", "product", **FOOTPRINT | {"weights, MB": 90.0}),
        "slow": contender("Slow", "peer", **FOOTPRINT | {"ready, s": 20.0}),
        "wrong": contender("Wrong", "peer"),
        "limit_fp32": contender("the limit, fp32", "limit"),
    },
    "refused": {"absent": "not ready"},
    "cells": [
        cell("product_fp32", "short", [180.0, 190.0, 200.0]),
        cell("product_fp32", "mixed", [90.0]),
        cell("product_fp32", "mixed", [44.9], clients=0, load=0.5),
        cell("product_fp32", "mixed", [80.0], texts=4),
        cell("slow", "short", [90.0, 100.0, 95.0]),
        cell("slow", "mixed", [30.0], **{"CPU-s per 1,000 texts": [30.0]}),
        cell("wrong", "short", [900.0] * 3, labels={"compared": 256, "other": 64}),
        cell("limit_fp32", "short", [200.0] * 3, **{"CPU-s per 1,000 texts": [9.018] * 3}),
    ],
}

WORKLOADS = {
    "short": {
        "texts": 256,
        "words": {"mean": 16.8, "median": 17, "shortest": 12, "longest": 22},
        "tokens": {"mean": 23.0, "median": 23, "shortest": 15, "longest": 37},
        "padded share by texts a request": {"2": 0.1, "8": 0.213},
    }
}

RESULTS = {"workloads": WORKLOADS, "stages": [STAGE]}

WHOLE = """\
|  | texts | words | tokens | padding in batches of 2 | padding in batches of 8 |
| --- | ---: | ---: | ---: | ---: | ---: |
| short | 256 | 16.8 (12 to 22) | 23 (15 to 37) | 10% | 21% |

### minilm, 2 cores

| 8 clients | short | mixed | long |
| --- | ---: | ---: | ---: |
| ours, fp32 ÷ its limit | 0.95 | – | – |
| the same, by CPU time | 0.90 | – | – |
| ours, fp32 ÷ Slow | 2.00 | 3.00 | – |

| texts/s, 8 clients | short | mixed | long |
| --- | ---: | ---: | ---: |
| ours, fp32 | 190.0 (180.0 to 200.0) | 90.0 | – |
| Slow | 95.0 (90.0 to 100.0) | 30.0 | – |
| Wrong (does not count: other labels on 25.0% of the texts) | 900.0 (900.0 to 900.0) | – | – |
| the limit, fp32 | 200.0 (200.0 to 200.0) | – | – |

| p50 / p95 / p99 in ms, 8 clients | short | mixed | long |
| --- | ---: | ---: | ---: |
| ours, fp32 | 10.0 / 20.2 / 30.5 | 10.0 / 20.2 / 30.5 | – |
| Slow | 10.0 / 20.2 / 30.5 | 10.0 / 20.2 / 30.5 | – |
| Wrong (does not count: other labels on 25.0% of the texts) | 10.0 / 20.2 / 30.5 | – | – |
| the limit, fp32 | 10.0 / 20.2 / 30.5 | – | – |

| p50 / p95 / p99 in ms, mixed | 45 requests/s |
| --- | ---: |
| ours, fp32 | 10.0 / 20.2 / 30.5 |

| texts/s, mixed | 1 a request | 4 a request |
| --- | ---: | ---: |
| ours, fp32 | 90.0 | 80.0 |
| Slow | 30.0 | – |

|  | CPU-s per 1,000 texts, short | mixed | long | idle RSS, MB | RSS, MB | ready, s | on disk, MB \
| other labels |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| ours, fp32 | 10.00 | 10.00 | – | 250.5 | 300 | 1.5 | 342 | 0.0% |
| Slow | 10.00 | 30.00 | – | 250.5 | 300 | 20 | 342 | 0.0% |
| Wrong | 10.00 | – | – | – | – | – | – | 25.0% |
| the limit, fp32 | 9.02 | – | – | – | – | – | – | 0.0% |

Other processes of the machine had 2% of the processors during the median measurement, 2% at most.

absent was not started: not ready"""


def test_the_document_is_made_of_the_results() -> None:
    assert document(RESULTS) == WHOLE


def test_tables_are_written_beside_the_results(tmp_path: Path) -> None:
    (tmp_path / "speed.json").write_text(json.dumps(RESULTS))
    assert write_tables(tmp_path / "speed.json") == WHOLE
    assert (tmp_path / "speed.md").read_text(encoding="utf-8") == WHOLE + "\n"


def test_ratios_are_taken_round_by_round() -> None:
    # 2, 1.9 and 2.1.
    assert ratio(STAGE, "product_fp32", "slow", workload="short", clients=8) == 2.0
    assert ratio(STAGE, "product_fp32", "slow", workload="long", clients=8) is None


def test_the_ratio_by_cpu_counts_the_client_that_shares_the_cores() -> None:
    found = ratio_by_cpu(STAGE, "product_fp32", "limit_fp32", workload="short", clients=8)
    assert found == pytest.approx(9.018 / 10.02)


@pytest.mark.parametrize(
    ("precision", "change", "why"),
    [
        ("fp32", {"labels": {"compared": 256, "other": 1}}, "other labels on 0.4% of the texts"),
        ("int8", {"labels": {"compared": 256, "other": 1}}, ""),
        ("int8", {"labels": {"compared": 256, "other": 8}}, "other labels on 3.1% of the texts"),
        ("fp32", {"failures": 1000}, "33.3% of the requests failed"),
        ("fp32", {"failures": 1}, ""),
    ],
)
def test_other_labels_and_failures_disqualify(
    precision: str, change: dict[str, Any], why: str
) -> None:
    stage = copy.deepcopy(STAGE)
    stage["contenders"]["slow"]["precision"] = precision
    next(item for item in stage["cells"] if item["contender"] == "slow").update(change)
    assert disqualified(stage, "slow") == why


def test_who_gave_no_answers_does_not_count() -> None:
    stage = copy.deepcopy(STAGE)
    stage["cells"] = [cell("slow", "short", [0.0], labels={"compared": 0, "other": 0})]
    assert disqualified(stage, "slow") == "no answers"
    assert ratio(stage, "product_fp32", "slow", workload="short", clients=8) is None


def test_plots_leave_out_what_does_not_count(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert counting(STAGE) == ["product_fp32", "slow", "limit_fp32"]
    one_cpu = {**copy.deepcopy(STAGE), "cpus": 1}
    files = draw({"stages": [STAGE, one_cpu]}, tmp_path)
    names = {file.name for file in files}
    assert {"speed-minilm-2-rates.svg", "speed-minilm-cores.png"} <= names
    assert all(file.stat().st_size > 1000 for file in files)
    again = draw({"stages": [STAGE, one_cpu]}, tmp_path / ".")
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]
