"""A stage from the start of its servers to their end, and its figures for the results."""

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.speed.cells import Observation, Window
from benchmarks.speed.clock import Clock
from benchmarks.speed.contest import Contest, LimitOf, run_round
from benchmarks.speed.limit import open_limit, served_files
from benchmarks.speed.matrix import Cell, Stage
from benchmarks.speed.servers import describe, serving
from benchmarks.speed.services import Service
from benchmarks.speed.steps import medians
from benchmarks.speed.workload import Workload
from utils.errors import UserError
from utils.load.figures import latencies_ms
from utils.load.generator import generator

Observations = dict[tuple[Cell, str], list[Observation]]


def run_stage(
    stage: Stage,
    services: Sequence[Service],
    workloads: Mapping[str, Workload],
    expected: Mapping[str, str],
    cpus: Sequence[int],
    window: Window,
    clock: Clock,
) -> dict[str, Any]:
    """Start all, measure round by round while the time lasts, end all.

    Args:
        stage: what to measure.
        services: all that there are; peers take part where the stage says so.
        workloads: by name.
        expected: text to label.
        cpus: of servers, limit and load generator alike.
        window: of each cell.
        clock: another round is begun if it will end in time; the first always is.
    """
    deadline = clock.begin(stage.share)
    refused: dict[str, str] = {}
    with ExitStack() as stack:
        servers, limits = {}, {}
        for service in services:
            if service.repository and service.group == "product":
                files = served_files(service.repository)
                limit = stack.enter_context(open_limit(files, cpus))
                names = label_names(service.repository)
                limits[f"limit_{service.precision}"] = LimitOf(limit, service.precision, names)
            if not takes_part(stage, service):
                continue
            try:
                servers[service.name] = stack.enter_context(serving(service, cpus))
            except (UserError, OSError) as error:
                if service.group != "peer":
                    raise
                refused[service.name] = str(error)
        contest = Contest(
            servers,
            limits,
            stack.enter_context(generator(cpus)),
            workloads,
            expected,
            window,
            cpus,
        )
        observations: Observations = {}
        for number in range(stage.rounds):
            begun = time.monotonic()
            for cell, name, observation in run_round(contest, stage.cells, number):
                observations.setdefault((cell, name), []).append(observation)
                _progress(stage, clock, number, cell, name, observation)
            now = time.monotonic()
            if now + (now - begun) > deadline:
                break
        described = {name: describe(server) for name, server in servers.items()}
    return {
        "model": stage.model,
        "cpus": len(cpus),
        "open loop, requests/s": {f"{load:g}": rate for load, rate in contest.rates.items()},
        "contenders": described | {name: _describe_limit(item) for name, item in limits.items()},
        "refused": refused,
        "cells": [summary(cell, name, seen) for (cell, name), seen in observations.items()],
    }


def summary(cell: Cell, name: str, seen: Sequence[Observation]) -> dict[str, Any]:
    """A cell of one contender over all rounds, for the results."""
    labels: dict[int, bool] = {}
    for observation in seen:
        for text, right in observation.labels.items():
            labels[text] = labels.get(text, True) and right
    latencies = [value for item in seen for value in item.latencies]
    return {
        "contender": name,
        **asdict(cell),
        "texts/s": [round(item.rate, 2) for item in seen],
        "latency, ms": latencies_ms(latencies),
        "mean, ms": round(statistics.mean(latencies) * 1000, 3) if latencies else None,
        "p50 by round, ms": [latencies_ms(item.latencies).get("p50") for item in seen],
        "CPU-s per 1,000 texts": [round(item.server_cpu, 3) for item in seen],
        "others' share of the processors": [round(item.others, 3) for item in seen],
        "answers": sum(item.answers for item in seen),
        "failures": sum(item.failures for item in seen),
        "labels": {"compared": len(labels), "other": sum(not right for right in labels.values())},
        "client, µs a request": round(statistics.median(item.client_cpu for item in seen), 1),
        "sent late, p99, ms": round(max(item.lateness for item in seen) * 1000, 2),
        "steps": medians([item.steps for item in seen]),
    }


def label_names(repository: Path) -> list[str]:
    """The labels of a rendered repository, by number."""
    (path,) = repository.glob("*/1/id2label.json")
    names: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return [names[str(number)] for number in range(len(names))]


def _describe_limit(item: LimitOf) -> dict[str, Any]:
    return {
        "title": f"the limit, {item.precision}",
        "group": "limit",
        "precision": item.precision,
        "processes": item.limit.processes,
    }


def takes_part(stage: Stage, service: Service) -> bool:
    """Whether a service is measured in a stage."""
    if service.group == "peer":
        return stage.peers is None or service.name in stage.peers
    return service.group == "product" or stage.variants


def _progress(
    stage: Stage, clock: Clock, number: int, cell: Cell, name: str, seen: Observation
) -> None:
    load = f"{cell.clients} clients" if cell.clients else f"open {cell.load:g}"
    print(
        f"{clock.minutes_left():.0f} min left: {stage.model} round {number + 1} "
        f"{cell.workload} {load} x{cell.texts} {name}: "
        f"{seen.rate:.1f} texts/s, {seen.server_cpu:.2f} CPU-s per 1,000, "
        f"{seen.failures} failures, others {seen.others:.0%}",
        file=sys.stderr,
    )
