#!/usr/bin/env python3
"""What each hardware profile that this machine has makes of one real classifier.

Builds an image of the film review classifier (benchmarks/imdb.py) for every precision, then asks
all of them the same reviews in turn. Needs a docker that answers (make bench-hardware starts one).
Writes results/hardware.json and the tables in the docs.
"""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from benchmarks.building import make_triton_image
from benchmarks.containers import docker, megabytes_without_model, report, running
from benchmarks.imdb import CACHE, make_imdb_model
from benchmarks.report import markdown_table, replace_block, write_results
from utils.errors import UserError, run_command
from utils.inference import Server
from utils.samples import read_labelled
from utils.targets.machine import missing, this_machine
from utils.targets.profiles import profile_names, read_profile

MODEL_NAME = "reviews"
CLIENTS = 4
ROUNDS = 5
REVIEWS_PER_ROUND = 200
BASELINE = "cpu fp32"


@dataclass(frozen=True)
class Variant:
    """A profile and one of its precisions."""

    hardware: str
    precision: str

    @property
    def name(self) -> str:
        """As the tables have it."""
        return f"{self.hardware} {self.precision}"

    @property
    def image(self) -> str:
        """The reference of its image."""
        return f"triton_{MODEL_NAME}:{self.hardware}-{self.precision}"


def variants() -> list[Variant]:
    """Everything that an embedded server can run on this machine."""
    machine, found = this_machine(), []
    for profile in map(read_profile, profile_names()):
        if "embedded" not in profile.servers:
            continue
        found += [
            Variant(profile.name, precision)
            for precision in profile.precisions
            if not missing(machine, profile.needs(precision, "embedded"))
        ]
    return found


def build(variant: Variant, model: Path, *gates: str | Path) -> str:
    """Build an image; "" or, where a gate stopped it, its error line."""
    return make_triton_image(
        *("--hardware", variant.hardware, "--precision", variant.precision),
        *("--image", variant.image),
        *gates,
        *(model, "-", "-", MODEL_NAME),
    )


def rate(server: Server, texts: list[str]) -> float:
    """Reviews in a second, one a request, from CLIENTS clients at once."""
    clients = [Server(server.protocol, server.address) for _ in range(CLIENTS)]
    shares = [texts[number::CLIENTS] for number in range(CLIENTS)]

    def ask(client: Server, share: list[str]) -> None:
        for text in share:
            client.classify(MODEL_NAME, [text])

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, clients, shares))
    seconds = time.perf_counter() - started
    for client in clients:
        client.close()
    return len(texts) / seconds


def measure() -> dict[str, Any]:
    """All figures: by variant what its report says, its sizes, and its rate in each round."""
    inputs = make_imdb_model(CACHE)
    texts = [item.text for item in read_labelled(inputs.labelled, pairs=False)][:REVIEWS_PER_ROUND]
    errors = {
        variant: build(variant, inputs.model, "--labelled", inputs.labelled)
        for variant in variants()
    }
    built = [variant for variant, error in errors.items() if not error]
    if not built or built[0].name != BASELINE:
        raise UserError(BASELINE, next(iter(errors.values())))
    rates: dict[str, list[float]] = {variant.name: [] for variant in built}
    with ExitStack() as stack:
        servers = {
            variant.name: stack.enter_context(running(variant.image, MODEL_NAME, "grpc"))
            for variant in built
        }
        for server in servers.values():
            rate(server, texts[:20])
        for _ in range(ROUNDS):
            for name, server in servers.items():
                rates[name].append(round(rate(server, texts), 1))
    results: dict[str, Any] = {}
    for variant in built:
        found = report(variant.image)
        results[variant.name] = {
            "image without the model, MB": round(megabytes_without_model(variant.image)),
            "reviews/s": rates[variant.name],
            "accuracy": found["accuracy"],
            "precision": found["precision"],
        }
        docker("rmi", "--force", variant.image)
    sizes = {name: item["image without the model, MB"] for name, item in results.items()}
    sizes |= unmeasured_sizes(inputs.model, {variant.hardware for variant in built})
    refused = {variant.name: error for variant, error in errors.items() if error}
    return {
        "clients": CLIENTS,
        "variants": results,
        "image without the model, MB": sizes,
        "refused": refused,
    }


def unmeasured_sizes(model: Path, measured: set[str]) -> dict[str, int]:
    """Of embedded servers for hardware that this machine has not; what they do stays unknown."""
    sizes = {}
    for profile in map(read_profile, profile_names()):
        if "embedded" in profile.servers and profile.name not in measured:
            variant = Variant(profile.name, next(iter(profile.precisions)))
            error = build(variant, model)
            if error:
                raise UserError(variant.name, error)
            sizes[variant.name] = round(megabytes_without_model(variant.image))
            docker("rmi", "--force", variant.image)
    return sizes


def table(results: dict[str, Any]) -> str:
    """A row for each variant, rates as a multiple of the CPU's in fp32, round by round."""
    found = results["variants"]
    baseline = found[BASELINE]["reviews/s"]
    rows = []
    for name, item in found.items():
        ratios = [own / other for own, other in zip(item["reviews/s"], baseline, strict=True)]
        precision = item["precision"]
        rows.append(
            [
                f"`{name}`",
                f"{item['image without the model, MB']}",
                f"{statistics.median(item['reviews/s']):.1f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                f"{precision['agreement']:.2%}" if precision else "",
                f"{item['accuracy']['before']['accuracy']:.2%}",
                f"{item['accuracy']['after']['accuracy']:.2%}",
            ]
        )
    rows += [[f"`{name}`", error, *[""] * 5] for name, error in results["refused"].items()]
    return markdown_table(
        [
            "profile",
            "image without the model, MB",
            "reviews/s",
            f"× `{BASELINE}`",
            "same label as fp32",
            "accuracy of the original",
            "accuracy",
        ],
        rows,
    )


def profiles_table() -> str:
    """The profiles, from their data."""
    rows = []
    for profile in map(read_profile, profile_names()):
        rows.append(
            [
                f"`{profile.name}`",
                profile.summary,
                ", ".join(f"`{name}`" for name in profile.precisions),
                ", ".join(f"`{name}`" for name in profile.servers),
                ", ".join(name.removeprefix("linux/") for name in profile.platforms),
            ]
        )
    header = ["", "for", "precisions", "servers", "platforms"]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sizes_table(results: dict[str, Any]) -> str:
    """The sizes of images, by profile and precision."""
    sizes = results["image without the model, MB"]
    return markdown_table(
        ["image", "MB"], [[f"`{name}`", f"{size}"] for name, size in sizes.items()]
    )


def main() -> None:
    """Measure, write, and show the tables."""
    results = measure()
    write_results("hardware", results)
    document = ROOT / "docs" / "hardware.md"
    replace_block(document, "profiles", profiles_table())
    replace_block(document, "bench-hardware", table(results))
    replace_block(document, "image-sizes", sizes_table(results))
    print(table(results))
    print(sizes_table(results))


if __name__ == "__main__":
    run_command(main)
