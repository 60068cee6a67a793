"""Every metric is documented, says its unit, and is what the dashboard and the alerts ask for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from reelstream.serve.metrics import Metrics
from reelstream.settings import Settings
from reelstream.store import run_files
from tests.fixtures.camps import FIRST_MOVIE
from tests.serve.conftest import publish, served

ROOT = Path(__file__).resolve().parents[2]
UNITS = ("_total", "_seconds", "_bytes", "_stars", "_ratio", "_info", "_events", "_per_second")
COUNTS_OF_THINGS = {
    *("reelstream_ratings_folders", "reelstream_broker_up", "reelstream_stream_up", "reelstream_stream_restarts"),
    *("reelstream_stream_failing", "reelstream_refit_state", "reelstream_refit_new_ratings"),
    *(
        "reelstream_refit_after_ratings",
        "reelstream_model_ratings",
        "reelstream_model_users",
        "reelstream_model_movies",
    ),
    *("reelstream_model_ratings_since", "reelstream_event_stream_listeners"),
}
"""A count or a state needs no unit."""
OF_THE_SCRAPE = {"up"}
WORDS = {
    *("sum", "rate", "by", "le", "max", "histogram_quantile", "increase", "deriv", "ignoring", "on", "instance", "and"),
    "unless",
}

Families = dict[str, Any]


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Families:
    """All that is there when a version is published, a stream and a trigger have run and every route was asked."""
    settings = publish(tmp_path_factory.mktemp("metrics") / "warehouse", bootstrap_servers="127.0.0.1:1")
    alive(settings)
    with served(settings) as url, httpx.Client(base_url=url) as client:
        client.get("/v1/users/7/recommendations")
        client.put(f"/v1/users/7/ratings/{FIRST_MOVIE}", json={"rating": 1})
        text = client.get("/metrics").text
    return parsed(text)


def alive(settings: Settings) -> None:
    """Run files as the stream and the trigger write them."""
    import os

    one = {"ratings": 5, "rmse": 0.8, "bias_only_rmse": 0.9, "liked": 2, "hit_rate": 0.5, "popular_hit_rate": 0.1}
    one |= {"recent_hit_rate": 0.2, "ndcg_at_10": 0.3, "popular_ndcg_at_10": 0.05, "recent_ndcg_at_10": 0.15}
    stream = {"state": "running", "lag_events": 3, "events_per_s": 1.5, "restarts": 0, "error": None}
    steps = dict.fromkeys((f"{step}_s" for step in ("queue", "read", "store", "score", "fold_in", "publish")), 0.01)
    stream |= {"implausible_times": 2, "clocks_ahead": {"ratings": 50, "ahead": 1, "share": 0.02, "ahead_s": 600.0}}
    batch = {"micro_batches": 1, "events": 2, **steps}
    whole = {**stream, "pid": os.getpid(), "median_batch": batch, "quality": {"total": one, "sliding": one}}
    run_files.write(settings.warehouse, "stream", whole)
    trigger = {
        "state": "waiting",
        "new_ratings": 4,
        "refit_after_ratings": 10,
        "refit_after_minutes": 1,
        "due_in_s": 5.0,
    }
    run_files.write(settings.warehouse, "trigger", {**trigger, "pid": os.getpid()})


def parsed(text: str) -> Families:
    found = {}
    for family in text_string_to_metric_families(text):
        found[family.name + ("_total" if family.type == "counter" else "")] = family
    return found


def documented() -> dict[str, tuple[str, set[str]]]:
    """name → (type, labels), from the tables of docs/metrics.md."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]+) \|", (ROOT / "docs" / "metrics.md").read_text("utf-8"), re.M)
    return {name: (kind, set(labels.replace("–", "").replace(",", " ").split())) for name, kind, labels in rows}


def labels_of(family: Any) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def test_each_metric_is_documented_and_there_is_no_other(families: Families) -> None:
    there = {name: (family.type, labels_of(family)) for name, family in families.items()}
    there["reelstream_ratings_posted_total"] = ("counter", {"action"})  # has no sample before the first one
    assert there == documented()


def test_each_metric_says_its_unit(families: Families) -> None:
    ours = {name for name in families if name.startswith("reelstream_")} - COUNTS_OF_THINGS
    assert not {name for name in ours if not name.endswith(UNITS)}


def test_the_figures_are_those_of_the_warehouse(families: Families) -> None:
    def value(name: str, **labels: str) -> float:
        [found] = [sample.value for sample in families[name].samples if sample.labels == labels]
        return float(found)

    assert value("reelstream_stream_up") == 1
    assert value("reelstream_stream_lag_events") == 3
    assert value("reelstream_stream_implausible_times_total") == 2
    assert value("reelstream_stream_clocks_ahead_ratio") == 0.02
    assert value("reelstream_micro_batch_step_seconds", step="fold_in") == 0.01
    assert value("reelstream_live_hit_ratio", by="popularity") == 0.1
    assert value("reelstream_refit_state", state="published") == 1
    assert value("reelstream_refit_due_in_seconds") == 5
    assert value("reelstream_model_movies") == 80
    assert value("reelstream_model_info", version="000001", engine="native") == 1
    of_list = {"route": "/v1/users/{user_id}/recommendations", "method": "GET", "status": "200"}
    assert value("reelstream_http_requests_total", **of_list) == 1


def expressions() -> list[str]:
    board = json.loads((ROOT / "ops" / "grafana-dashboard.json").read_text("utf-8"))
    of_board = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(of_board) >= len(board["panels"]) > 10
    return [*of_board, *(rule["expr"] for rule in rules())]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((ROOT / "ops" / "alerts.yml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("expression", expressions())
def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_exist(expression: str) -> None:
    known = {name: labels for name, (_, labels) in documented().items()}
    for name, (kind, labels) in documented().items():
        if kind == "histogram":
            known |= {f"{name}{end}": labels | {"le"} for end in ("_bucket", "_sum", "_count")}
    bare = re.sub(r'"[^"]*"', '""', re.sub(r"\[\w+\]", "", expression))
    named = set(re.findall(r"\b[a-z_]\w*\b(?!\s*[=!~])", re.sub(r"\{[^}]*\}", "", bare))) - WORDS - OF_THE_SCRAPE
    all_labels = set().union(*known.values())
    assert named - all_labels <= set(known), expression
    for name, inside in re.findall(r"(\w+)\{([^}]*)\}", bare):
        if name not in OF_THE_SCRAPE:
            assert set(re.findall(r"(\w+)\s*[=!~]+", inside)) <= known[name], expression


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert rule["for"]
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["runbook"].endswith(".")
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("content", [b"damaged", b"[]", b'{"format": 1}'])
def test_a_damaged_warehouse_is_counted_and_the_rest_still_told(tmp_path: Path, content: bytes) -> None:
    settings = publish(tmp_path / "warehouse")
    alive(settings)
    (settings.warehouse / "ratings" / "CURRENT").write_bytes(content)
    metrics = Metrics(settings)
    metrics.observe("/v1/genres", "GET", 200, 0.001)
    metrics.render()
    text, _ = metrics.render()

    found = parsed(text.decode())
    assert found["reelstream_scrape_errors_total"].samples[0].value == 2
    assert found["reelstream_http_requests_total"].samples
    assert found["reelstream_stream_up"].samples[0].value == 1
    assert found["reelstream_refit_due_in_seconds"].samples[0].value == 5
    assert "reelstream_disk_free_bytes" in found
    assert "reelstream_model_info" not in found


@pytest.mark.parametrize("status", [{}, {"state": "running"}, {"lag_events": "many"}, {"quality": 3}])
def test_a_run_file_of_another_shape_hides_nothing_of_the_api(tmp_path: Path, status: dict[str, Any]) -> None:
    from reelstream.settings import load

    run_files.write(tmp_path, "stream", status)
    metrics = Metrics(load(warehouse=tmp_path))
    metrics.observe("/v1/genres", "GET", 200, 0.001)

    found = parsed(metrics.render()[0].decode())
    assert found["reelstream_http_requests_total"].samples
    assert found["reelstream_scrape_errors_total"].samples[0].value == (
        status.keys() & {"lag_events", "quality"} != set()
    )


def test_an_empty_warehouse_has_no_figures_it_does_not_know(tmp_path: Path) -> None:
    from reelstream.settings import load

    found = parsed(Metrics(load(warehouse=tmp_path)).render()[0].decode())
    assert not found["reelstream_stream_lag_events"].samples
    assert found["reelstream_stream_up"].samples[0].value == 0
