"""benchmarks/speed: statistics, workloads, cells, the matrix and Triton's statistics."""

import json
import random
from concurrent.futures import Future
from dataclasses import replace
from itertools import pairwise

import pytest

from benchmarks.speed.answers import TIMEOUT_SECONDS, counted_latencies, read_labels
from benchmarks.speed.cells import Observation, Window
from benchmarks.speed.clock import Clock
from benchmarks.speed.contest import Contest, open_rates, taking_part
from benchmarks.speed.matrix import FULL, QUICK, Cell
from benchmarks.speed.processes import Memory
from benchmarks.speed.quiet import others_share, warn_if_busy
from benchmarks.speed.servers import Server
from benchmarks.speed.services import Service, ask, predicted
from benchmarks.speed.stages import summary, takes_part
from benchmarks.speed.steps import between, medians, read_totals
from benchmarks.speed.workload import STRATA, beginning, padded_share, stratified
from utils.load.connections import Log
from utils.load.figures import Spread, latencies_ms, quantile, spread

SERVICE = Service(
    name="peer",
    title="Peer",
    group="peer",
    precision="fp32",
    command=lambda port: [str(port)],
    ready_path="/",
    message=lambda texts: texts[0].encode(),
    label=str,
)


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
    assert found["mean, ms"] == 22.5
    assert (found["answers"], found["failures"]) == (20, 2)


def test_open_loops_come_after_the_closed_ones_that_set_their_rates() -> None:
    for stage in (*FULL, *QUICK):
        loops = [cell.clients == 0 for cell in stage.cells]
        assert loops == sorted(loops)
        assert not any(loops) or Cell("mixed", 8) in stage.cells
        assert len(set(stage.cells)) == len(stage.cells)
    assert sum(stage.share for stage in FULL) == pytest.approx(1.0)


def test_all_outputs_come_without_names() -> None:
    _, _, body = ask(["a"], ()).partition(b"\r\n\r\n")
    assert "outputs" not in json.loads(body)


def test_an_answer_that_comes_too_late_is_a_failure() -> None:
    log = Log([0, 1], [0.1, TIMEOUT_SECONDS + 1], [1.0, 40.0], [200, 200], [b'"a"', b'"a"'])
    server = Server(SERVICE, 1, 1, 0.0, Memory(0, 0))
    assert read_labels(server, log, ["x", "y"], {"x": "a", "y": "a"}) == ({0: True}, 1)


def test_variants_take_part_where_all_do_with_the_base_number_of_clients() -> None:
    variant = Server(replace(SERVICE, name="variant", group="variant"), 1, 1, 0.0, Memory(0, 0))
    servers = {"peer": Server(SERVICE, 1, 1, 0.0, Memory(0, 0)), "variant": variant}
    window = Window(0, 1)
    contest = Contest(servers, {}, lambda _: Future(), {}, {}, window, [0])
    assert taking_part(contest, Cell("mixed", 8)) == ["peer", "variant"]
    assert taking_part(contest, Cell("mixed", 1)) == ["peer"]
    assert taking_part(contest, Cell("mixed", 8, only="product")) == []


def test_peers_take_part_in_the_stages_that_name_them() -> None:
    everyone, nobody, bert = FULL
    assert [takes_part(stage, SERVICE) for stage in FULL] == [True, False, False]
    assert takes_part(bert, replace(SERVICE, name="classic_ensemble"))
    variant = replace(SERVICE, group="variant")
    assert [takes_part(stage, variant) for stage in (everyone, nobody)] == [True, False]


def test_what_a_stage_leaves_is_for_those_that_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("benchmarks.speed.clock.time.monotonic", lambda: now)
    clock = Clock(60.0, [0.5, 0.25, 0.25])
    assert clock.begin(0.5) == 130.0
    now = 110.0
    assert clock.begin(0.25) == 135.0
    now = 150.0
    assert clock.begin(0.25) == 160.0
    assert clock.minutes_left() == pytest.approx(1 / 6)


def test_a_busy_machine_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    warn_if_busy(0.05)
    assert capsys.readouterr().err == ""
    warn_if_busy(0.3)
    assert "others use 30% of the processors" in capsys.readouterr().err
    assert others_share([0], seconds=0.05) >= 0


def test_requests_name_texts_and_the_outputs_that_are_wanted() -> None:
    head, _, body = ask(["я", "b"], ["predicts"]).partition(b"\r\n\r\n")
    assert json.loads(body) == {
        "inputs": [
            {"name": "text_input", "shape": [2, 1], "datatype": "BYTES", "data": ["я", "b"]}
        ],
        "outputs": [{"name": "predicts"}],
    }
    assert head.startswith(b"POST /v2/models/reviews/infer HTTP/1.1\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


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
            "texts a run": 2.0,
        }
    }
    assert between(after, after) == {}
    uncounted = read_totals(statistics_reply(30, 10, 70))
    assert "texts a run" not in between(before, uncounted)["step"]


def test_steps_of_several_rounds_are_their_medians() -> None:
    rounds = [{"step": {"queue, ms": value}} for value in (1.0, 5.0, 2.0)]
    assert medians([*rounds, {}]) == {"step": {"queue, ms": 2.0}}
    assert medians([{}]) == {}
