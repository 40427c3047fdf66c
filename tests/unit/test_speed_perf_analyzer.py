"""benchmarks/speed/perf_program.py and perf_table.py, without the program."""

import json
from pathlib import Path

import pytest

from benchmarks.speed.perf_program import input_data, link_libraries, read_report
from benchmarks.speed.perf_table import table
from utils.errors import UserError

# What it wrote of a run.
REPORT = """\
Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,\
Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,\
p50 latency,p90 latency,p95 latency,p99 latency
8,363.605,88,7087,5537,71,8156,986,0,21370,31451,34850,41670
"""


def test_rate_and_latencies_are_read_from_its_report() -> None:
    assert read_report(REPORT) == {
        "texts/s": 363.605,
        "p50, ms": 21.37,
        "p95, ms": 34.85,
        "p99, ms": 41.67,
    }


def test_each_text_is_a_request() -> None:
    assert json.loads(input_data(["a", 'é "b"'])) == {
        "data": [{"text_input": ["a"]}, {"text_input": ['é "b"']}]
    }


def test_the_servers_libraries_are_linked_under_their_own_names(tmp_path: Path) -> None:
    library = tmp_path / "server" / "lib"
    library.mkdir(parents=True)
    (library / "libb64-98cb6333.so.0d").touch()
    with pytest.raises(UserError, match="libcudart"):
        link_libraries(tmp_path / "server", library)
    (library / "libcudart-09529672.so.12.6.77").touch()
    links = tmp_path / "links"
    links.mkdir()
    link_libraries(tmp_path / "server", links)
    assert {path.name: path.readlink().name for path in links.iterdir()} == {
        "libb64.so.0d": "libb64-98cb6333.so.0d",
        "libcudart.so.12": "libcudart-09529672.so.12.6.77",
    }


def test_both_generators_are_side_by_side() -> None:
    figures = {"texts/s": 100.0, "p50, ms": 9.876, "p99, ms": 20.0}
    row = {"precision": "fp32", "workload": "short", "clients": 8, "this generator": figures}
    machine = {"date": "2030-01-31"}
    text = table({"machine": machine, "window, s": 5.0, "rows": [row | {"perf_analyzer": figures}]})
    assert text.startswith("2030-01-31, windows of 5 s.\n\n|")
    assert text.splitlines()[4:] == [
        "| fp32, short, 8 | 100.0 | 100.0 | 9.88 / 20.00 | 9.88 / 20.00 |"
    ]
