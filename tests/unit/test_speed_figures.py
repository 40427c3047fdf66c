"""benchmarks/speed: statistics, workloads, cells, the matrix and Triton's statistics."""

import json
import random
from itertools import pairwise

import pytest

from benchmarks.speed.cells import Observation, counted_latencies
from benchmarks.speed.contest import open_rates
from benchmarks.speed.matrix import FULL, QUICK, Cell
from benchmarks.speed.services import infer_request, post, predicted
from benchmarks.speed.stages import summary
from benchmarks.speed.steps import between, read_totals
from benchmarks.speed.workload import STRATA, beginning, padded_share, stratified
from utils.load.connections import Log
from utils.load.figures import Spread, latencies_ms, quantile, spread


def observation(rate: float, labels: dict[int, bool]) -> Observation:
    """With two latencies."""
    return Observation(rate, [0.001 * rate, 0.002 * rate], 10, 1, labels, 5.0)


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.5, 50), (0.95, 95), (0.99, 99), (0.07, 7), (1.0, 100)]
)
def test_quantiles_are_values_by_nearest_rank(share: float, value: int) -> None:
    values = list(range(1, 101))
    random.Random(0).shuffle(values)
    assert quantile(values, share) == value


def test_a_single_value_is_all_quantiles() -> None:
    assert latencies_ms([0.0123]) == {"p50": 12.3, "p95": 12.3, "p99": 12.3}
    assert latencies_ms([]) == {}


def test_the_spread_is_median_and_range() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_texts_begin_reviews_in_whole_sentences() -> None:
    review = "One two three. Four five! Six? Seven eight nine ten eleven."
    assert beginning(review, 5) == "One two three. Four five!"
    assert beginning(review, 1) == "One two three."
    assert beginning(review, 100) == review


def test_each_strata_in_a_row_have_all_lengths() -> None:
    texts = [" ".join(["word"] * length) for length in range(1, 257)]
    random.Random(1).shuffle(texts)
    ordered = stratified(texts, random.Random(2))
    assert sorted(ordered) == sorted(texts)
    for start in range(0, 256, STRATA):
        lengths = sorted(len(text.split()) for text in ordered[start : start + STRATA])
        assert [(length - 1) // STRATA for length in lengths] == list(range(STRATA))
    assert any(len(one) > len(two) for one, two in pairwise(ordered))


def test_padding_is_what_shorter_texts_of_a_request_are_filled_with() -> None:
    assert padded_share([1, 3, 4, 4], 1) == 0
    assert padded_share([1, 3, 4, 4], 2) == pytest.approx(2 / 14)
    assert padded_share([1, 3, 4, 4], 4) == pytest.approx(4 / 16)


def test_latencies_of_a_closed_loop_end_in_the_window_and_of_an_open_one_are_due_in_it() -> None:
    log = Log(
        requests=[0, 1, 2, 3],
        latencies=[1.0, 2.0, 9.0, 0.5],
        ended=[10.5, 12.5, 19.5, 11.0],
        statuses=[200, 200, 200, 503],
        bodies=[b""] * 4,
    )
    assert counted_latencies(log, False, 10.0, 13.0) == [1.0, 2.0]
    assert counted_latencies(log, True, 10.0, 13.0) == [2.0, 9.0]


def test_rates_of_open_loops_come_from_the_product_and_from_the_slowest_server() -> None:
    cells = [Cell("mixed", load=0.8), Cell("mixed"), Cell("short", 8)]
    rates = {"product_fp32": 100.0, "peer": 20.0, "dead": 0.0, "limit_fp32": 10.0}
    assert open_rates(cells, rates) == {0.8: 80.0, 0.0: 10.0}


def test_a_text_that_once_had_another_label_counts_as_another() -> None:
    seen = [observation(10.0, {0: True, 1: False}), observation(20.0, {1: True, 2: True})]
    found = summary(Cell("short", 8), "peer", seen)
    assert found["labels"] == {"compared": 3, "other": 1}
    assert found["texts/s"] == [10.0, 20.0]
    assert found["latency, ms"]["p99"] == 40.0
    assert (found["answers"], found["failures"]) == (20, 2)


def test_open_loops_come_after_the_closed_ones_that_set_their_rates() -> None:
    for stage in (*FULL, *QUICK):
        loops = [cell.clients == 0 for cell in stage.cells]
        assert loops == sorted(loops)
        assert not any(loops) or Cell("mixed", 8) in stage.cells
        assert len(set(stage.cells)) == len(stage.cells)
    assert sum(stage.share for stage in FULL) == pytest.approx(1.0)


def test_requests_name_texts_and_the_outputs_that_are_wanted() -> None:
    body = infer_request(["я", "b"], ["predicts"])
    assert json.loads(body) == {
        "inputs": [
            {"name": "text_input", "shape": [2, 1], "datatype": "BYTES", "data": ["я", "b"]}
        ],
        "outputs": [{"name": "predicts"}],
    }
    head, _, rest = post("/path", body).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /path HTTP/1.1\r\n")
    assert f"Content-Length: {len(rest)}".encode() in head


def test_the_label_is_the_first_prediction() -> None:
    reply = {"outputs": [{"name": "scores", "data": [0.9]}, {"name": "predicts", "data": ["a"]}]}
    assert predicted(reply) == "a"


def statistics_reply(requests: int, executions: int, milliseconds: int) -> str:
    """As Triton says it of one step."""
    part = {"count": requests, "ns": milliseconds * 1_000_000}
    names = ("success", "queue", "compute_input", "compute_infer", "compute_output")
    item = {
        "name": "step",
        "inference_count": requests,
        "execution_count": executions,
        "inference_stats": dict.fromkeys(names, part),
    }
    return json.dumps({"model_stats": [item]})


def test_steps_are_what_happened_between_two_readings() -> None:
    before, after = (
        read_totals(statistics_reply(10, 10, 30)),
        read_totals(statistics_reply(30, 20, 70)),
    )
    assert between(before, after) == {
        "step": {
            "total, ms": 2.0,
            "queue, ms": 2.0,
            "compute_input, ms": 2.0,
            "compute_infer, ms": 2.0,
            "compute_output, ms": 2.0,
            "texts an execution": 2.0,
        }
    }
    assert between(after, after) == {}
