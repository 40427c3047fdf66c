"""monitoring/: the dashboard and the alerts ask for what the front and Triton expose."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.promtool import assert_passes
from tests.unit.commands import ROOT

MONITORING = ROOT / "monitoring"
FRONT = ROOT / "server" / "front"

# Of Triton's metrics.cc.
OF_TRITON = {
    *("nv_inference_request_success", "nv_inference_request_failure", "nv_inference_count"),
    *("nv_inference_exec_count", "nv_inference_pending_request_count"),
    *("nv_inference_request_duration_us", "nv_inference_queue_duration_us"),
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
    *("nv_cpu_utilization", "nv_cpu_memory_total_bytes", "nv_cpu_memory_used_bytes"),
}


def of_front() -> set[str]:
    """The names of the front's metrics."""
    text = (FRONT / "lua" / "metrics.lua").read_text(encoding="utf-8")
    names = set()
    for name in re.findall(r'"(front_\w+)"', text):
        parts = ("_bucket", "_sum", "_count") if name.endswith("_seconds") else ("",)
        names |= {name + part for part in parts}
    return names


def counted() -> set[str]:
    """The names that the front counts under."""
    text = (FRONT / "lua" / "metrics.lua").read_text(encoding="utf-8")
    return set(re.findall(r"'(front_\w+)\{", text))


def dashboard() -> dict[str, Any]:
    """The dashboard."""
    found: dict[str, Any] = json.loads((MONITORING / "grafana-dashboard.json").read_text("utf-8"))
    return found


def rules() -> list[dict[str, Any]]:
    """The rules of all groups."""
    file = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))
    return [rule for group in file["groups"] for rule in group["rules"]]


def of_panels() -> list[str]:
    """What the dashboard asks for."""
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def queries() -> list[str]:
    """What both ask for."""
    variables = dashboard()["templating"]["list"]
    asked = [variable["definition"] for variable in variables if "definition" in variable]
    return asked + of_panels() + [rule["expr"] for rule in rules()]


def metrics(query: str) -> set[str]:
    """The names of metrics in a query."""
    return set(re.findall(r"\b(?:front|nv)_\w+", query))


def values(label: str) -> set[str]:
    """What the queries want a label to be."""
    found = re.findall(rf'\b{label}=~?"([^"$]+)"', "\n".join(queries()))
    return {value for text in found for value in text.split("|")}


def test_the_front_has_metrics() -> None:
    assert "front_requests_total" in of_front()
    assert "front_request_seconds_bucket" in of_front()
    assert "front_requests_in_flight" in of_front()


def test_whatever_the_front_counts_is_shown_under_its_name() -> None:
    assert counted() == {name for name in of_front() if name.endswith("_total")}


@pytest.mark.parametrize("query", queries())
def test_every_metric_that_is_asked_for_is_exposed(query: str) -> None:
    assert metrics(query)
    assert metrics(query) <= of_front() | OF_TRITON


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alerts_ask_for_nothing_else(rule: dict[str, Any]) -> None:
    selected = set(re.findall(r"\b(\w+)(?=[{\[])", rule["expr"]))
    assert selected <= of_front()


def test_routes_are_those_of_the_front() -> None:
    text = (FRONT / "nginx.conf").read_text(encoding="utf-8")
    assert values("route") == {"infer", "classify", "ready"}
    assert values("route") <= set(re.findall(r"set \$route (\w+);", text))


def test_reasons_are_those_of_the_front() -> None:
    text = "".join(path.read_text("utf-8") for path in (FRONT / "lua").glob("*.lua"))
    assert values("reason") == {"in_flight"}
    assert values("reason") <= set(re.findall(r'refuse\(\d+, "(\w+)"', text))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"]
    assert len(rule["annotations"]["action"]) > 50


def test_every_alert_has_a_test() -> None:
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text("utf-8"))["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in rules()}


def test_where_prometheus_is_belongs_to_whoever_loads_the_dashboard() -> None:
    board = dashboard()
    assert board["templating"]["list"][0]["type"] == "datasource"
    variable = f"${{{board['templating']['list'][0]['name']}}}"
    used = re.findall(r'"uid": "([^"]*)"', json.dumps(board["panels"]))
    assert set(used) == {variable}


def test_panels_have_titles_of_their_own_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        assert place["x"] + place["w"] <= 24
        across = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in across for y in range(place["y"], place["y"] + place["h"])}
        assert taken.isdisjoint(cells)
        taken |= cells


@pytest.mark.parametrize(
    "metric",
    [
        *("front_requests_total", "front_refused_total", "front_request_seconds_bucket"),
        *("front_requests_in_flight", "nv_inference_queue_duration_us"),
        "nv_inference_compute_infer_duration_us",
    ],
)
def test_the_dashboard_shows_what_one_looks_at_first(metric: str) -> None:
    assert any(metric in metrics(query) for query in of_panels())


@pytest.mark.parametrize("quantile", ["0.5", "0.95", "0.99"])
def test_the_dashboard_shows_how_long_requests_take(quantile: str) -> None:
    assert any(f"histogram_quantile({quantile}," in query for query in of_panels())


def test_alerts_fire_when_they_should() -> None:
    assert_passes("check", "rules", "alerts.yml", folder=MONITORING)
    assert_passes("test", "rules", "alerts_test.yml", folder=MONITORING)


def test_prometheus_understands_what_the_dashboard_asks_for(tmp_path: Path) -> None:
    # Grafana's own variables would not be understood.
    asked = [query.replace("$__rate_interval", "5m") for query in of_panels()]
    recorded = [{"record": f"panel:{place}", "expr": query} for place, query in enumerate(asked)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}))
    assert_passes("check", "rules", file)
