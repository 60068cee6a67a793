"""Figures for Prometheus: of the API as it answers, of the pipeline as its pointers and run files say when asked.

In: requests as they end; `reelstream.api.status` at a scrape. Out: Prometheus' text format. Next: Prometheus. Every one is
described in docs/metrics.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from reelstream.api.status import collect
from reelstream.settings import Settings
from reelstream.store import run_files

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds."""


disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Thread-safe."""

    def __init__(self, settings: Settings, listeners: Callable[[], int] = lambda: 0) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "reelstream_http_requests", "Requests answered.", ("route", "method", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "reelstream_http_request_duration_seconds",
            "Time to the end of an answer.",
            ("route",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._posted = Counter(
            "reelstream_ratings_posted",
            "Ratings that Kafka acknowledged to this server.",
            ("action",),
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(_Pipeline(settings, listeners))

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request that has ended. A stream of events counts, but its length is no answer's time."""
        self._requests.labels(route, method if method in _METHODS else "other", status).inc()
        if route != "/v1/events":
            self._seconds.labels(route).observe(seconds)

    def posted(self, action: str) -> None:
        """action: rate, change or delete."""
        self._posted.labels(action).inc()

    def render(self) -> tuple[bytes, str]:
        """(text, media type)."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

Value = float | None | Iterable[tuple[tuple[str, ...], float | None]]
"""One sample without labels, or samples by their labels' values; None is left out."""


class _Pipeline(Collector):
    def __init__(self, settings: Settings, listeners: Callable[[], int]) -> None:
        self._settings = settings
        self._listeners = listeners
        self._failed = 0

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield _gauge("reelstream_event_stream_listeners", "Open streams of events.", self._listeners())
        figures = self._figures()
        yield _counter("reelstream_scrape_errors", "Scrapes that could not read the warehouse.", self._failed)
        yield from figures
        with suppress(OSError):
            usage = shutil.disk_usage(self._settings.warehouse)
            yield _gauge("reelstream_disk_free_bytes", "Free on the warehouse's disk.", usage.free)

    def _figures(self) -> list[Metric]:
        """Of all that can be read: what the processes say of themselves is told of a damaged warehouse too."""
        try:
            status = collect(self._settings)
            current = status["current"]
            return [*_ratings(status), *_processes(status), *(_model(current) if current else ())]
        except Exception:  # whatever is wrong with the warehouse, the API's own figures are told
            self._failed += 1
        try:
            run = {name: run_files.read(self._settings.warehouse, name) for name in ("stream", "trigger", "refit")}
            return list(_processes(run))
        except Exception:
            return []


def _processes(run: dict[str, Any]) -> Iterator[Metric]:
    yield from _stream(run["stream"] or {})
    yield from _refits(run["refit"] or {}, run["trigger"] or {})


def _ratings(status: dict[str, Any]) -> Iterator[Metric]:
    ratings = status["ratings"]
    yield _counter("reelstream_ratings_accepted", "Ratings taken into the store.", ratings["accepted"])
    yield _counter("reelstream_events_rejected", "Rejected events.", ratings["rejected"])
    yield _counter("reelstream_micro_batches", "Micro-batches stored.", ratings["batch"])
    yield _gauge("reelstream_ratings_folders", "Folders that the ratings are read from.", ratings["folders"])
    yield _gauge("reelstream_broker_up", "Whether a broker is known.", float(bool(status["broker"])))


def _stream(stream: dict[str, Any]) -> Iterator[Metric]:
    up = bool(stream.get("alive")) and stream.get("state") == "running"
    yield _gauge("reelstream_stream_up", "Whether the stream runs.", float(up))
    yield _gauge("reelstream_stream_lag_events", "Events in Kafka that are not stored.", stream.get("lag_events"))
    yield _gauge(
        "reelstream_stream_events_per_second", "Events stored in the last ten seconds.", stream.get("events_per_s")
    )
    yield _gauge("reelstream_stream_restarts", "Restarts of its query since it started.", stream.get("restarts"))
    yield _gauge(
        "reelstream_stream_failing", "Whether it has trouble that it tries to get over.", _flag(stream, "error")
    )
    steps = {n.removesuffix("_s"): v for n, v in (stream.get("median_batch") or {}).items() if n.endswith("_s")}
    yield _gauge(
        "reelstream_micro_batch_step_seconds",
        "Median of the newest micro-batches.",
        [((step,), seconds) for step, seconds in steps.items()],
        ("step",),
    )
    live = (stream.get("quality") or {}).get("sliding") or {}
    yield _gauge(
        "reelstream_live_rmse_stars",
        "RMSE of the newest live ratings, each predicted before it was learned from.",
        [(("model",), live.get("rmse")), (("bias_only",), live.get("bias_only_rmse"))],
        ("by",),
    )
    yield _gauge(
        "reelstream_live_hit_ratio",
        "Share of the newest liked movies that were on their user's list.",
        [(("model",), live.get("hit_rate")), (("popularity",), live.get("popular_hit_rate"))],
        ("by",),
    )


def _refits(refit: dict[str, Any], trigger: dict[str, Any]) -> Iterator[Metric]:
    state = refit.get("state")
    if state == "running" and not refit.get("alive"):
        state = "killed"
    yield _gauge(
        "reelstream_refit_state",
        "1 for the state of the newest refit.",
        [((name,), float(name == state)) for name in ("running", "published", "failed", "held back", "killed")],
        ("state",),
    )
    yield _gauge("reelstream_refit_new_ratings", "Ratings that no refit has seen.", trigger.get("new_ratings"))
    yield _gauge(
        "reelstream_refit_after_ratings", "So many new ratings make a refit due.", trigger.get("refit_after_ratings")
    )
    yield _gauge("reelstream_refit_due_in_seconds", "Until a refit is due by time.", trigger.get("due_in_s"))


def _model(current: dict[str, Any]) -> Iterator[Metric]:
    metrics = current.get("metrics") or {}
    baselines = metrics.get("baselines") or {}
    yield _gauge(
        "reelstream_model_info",
        "1, with the version and its engine.",
        [((current["version"], current["engine"]), 1.0)],
        ("version", "engine"),
    )
    yield _gauge("reelstream_model_age_seconds", "Since the version was published.", current["age_s"])
    yield _gauge("reelstream_model_ratings", "Ratings that it was fitted on.", current["ratings"])
    yield _gauge("reelstream_model_users", "Users that it was fitted on.", current["users"])
    yield _gauge("reelstream_model_movies", "Movies that it was fitted on.", current["movies"])
    yield _gauge("reelstream_model_ratings_since", "Ratings accepted after those.", current["ratings_since"])
    yield _gauge(
        "reelstream_model_rmse_stars",
        "RMSE on held-out ratings.",
        [(("model",), metrics.get("rmse")), (("bias_only",), baselines.get("bias_only", {}).get("rmse"))],
        ("by",),
    )
    yield _gauge(
        "reelstream_model_ndcg_ratio",
        "nDCG@10 on held-out ratings.",
        [(("model",), metrics.get("ndcg_at_10")), (("popularity",), baselines.get("popularity", {}).get("ndcg_at_10"))],
        ("by",),
    )
    yield _gauge("reelstream_model_coverage_ratio", "Share of the movies on some list.", metrics.get("coverage"))
    yield _gauge(
        "reelstream_model_refit_seconds", "How long its refit took.", (current.get("seconds") or {}).get("all")
    )


def _flag(values: dict[str, Any], name: str) -> float | None:
    return float(bool(values[name])) if name in values else None


def _gauge(name: str, meaning: str, value: Value, labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    samples = [((), value)] if value is None or isinstance(value, int | float) else value
    for of, number in samples:
        if number is not None:
            family.add_metric(of, float(number))
    return family


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(name, meaning, value=float(value))
