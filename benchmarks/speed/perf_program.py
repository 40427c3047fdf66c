"""NVIDIA's perf_analyzer: where it comes from, and how it is asked and understood."""

import csv
import json
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.speed.servers import Server, turn
from benchmarks.speed.services import MODEL_NAME
from utils.errors import UserError
from utils.folders import cached_folder
from utils.wheels import Wheels, download_wheels

WHEEL = Wheels(Path(__file__).with_name("perf_analyzer.txt"), "x86_64", "3.11")

# Of NVIDIA's image; the embedded server brings both, under names of its wheel's.
LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}

# It wants so many windows in a row that differ by so many percent at most, and reports their mean,
# but nothing if they differ more, as they may on a shared machine.
WINDOWS = 3
STABILITY_PERCENT = 999


def install(cache: Path) -> Path:
    """The program, out of the wheel."""

    def fill(folder: Path) -> None:
        (wheel,) = download_wheels(WHEEL, cache).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (member,) = (name for name in archive.namelist() if name.endswith("/perf_analyzer"))
            program = folder / "perf_analyzer"
            program.write_bytes(archive.read(member))
        program.chmod(0o755)

    return cached_folder(cache / "benchmarks", "perf_analyzer", fill) / "perf_analyzer"


def link_libraries(server: Path, folder: Path) -> None:
    """Link what the program needs of a laid out server, under the names that it asks for.

    Raises:
        UserError: the server does not have it.
    """
    for name, pattern in LIBRARIES.items():
        found = sorted((server / "lib").glob(pattern))
        if not found:
            raise UserError(server / "lib", f"no {pattern}", "perf_analyzer needs it")
        (folder / name).symlink_to(found[0])


def input_data(texts: Sequence[str]) -> str:
    """What --input-data takes: one request for each text."""
    return json.dumps({"data": [{"text_input": [text]} for text in texts]})


def read_report(text: str) -> dict[str, float]:
    """Rate and latencies from the CSV that the program writes."""
    (row,) = csv.DictReader(text.splitlines())
    return {
        "texts/s": float(row["Inferences/Second"]),
        **{
            f"p{share}, ms": round(float(row[f"p{share} latency"]) / 1000, 3)
            for share in (50, 95, 99)
        },
    }


def ask_perf_analyzer(
    program: Path,
    libraries: Path,
    server: Server,
    texts: Sequence[str],
    clients: int,
    seconds: float,
) -> dict[str, float]:
    """Measure with the program.

    Raises:
        UserError: it failed.
    """
    with tempfile.TemporaryDirectory() as name, turn(server):
        folder = Path(name)
        (folder / "texts.json").write_text(input_data(texts), encoding="utf-8")
        done = subprocess.run(
            [
                *(program, "-m", MODEL_NAME, "-u", f"127.0.0.1:{server.port}"),
                *("--input-data", folder / "texts.json", "--shape", "text_input:1"),
                *("--input-tensor-format", "json", "--output-tensor-format", "json"),
                *("--concurrency-range", str(clients), "--max-threads", str(clients)),
                *("--measurement-interval", str(int(seconds * 1000))),
                *("--max-trials", str(WINDOWS), "--stability-percentage", str(STABILITY_PERCENT)),
                *("-f", folder / "report.csv"),
            ],
            env=os.environ | {"LD_LIBRARY_PATH": str(libraries)},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        report = folder / "report.csv"
        if not report.is_file():
            raise UserError("perf_analyzer", "no report", done.stdout.strip()[-300:])
        return read_report(report.read_text(encoding="utf-8"))
