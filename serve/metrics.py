"""Figures for Prometheus: of the API as it answers, of the pipeline as its pointers and run files say when asked.

In: requests as they end; `reelstream.api.status` at a scrape. Out: Prometheus' text format. Next: Prometheus. Every one is
described in docs/metrics.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
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

REFIT_STATES = ("running", "published", "failed", "held back", "killed")

COUNTERS = {
    "reelstream_ratings_accepted": ("Ratings taken into the store.", "ratings.accepted"),
    "reelstream_events_rejected": ("Rejected events.", "ratings.rejected"),
    "reelstream_micro_batches": ("Micro-batches stored.", "ratings.batch"),
    "reelstream_stream_implausible_times": ("Records whose time in Kafka cannot be right.", "stream.implausible_times"),
}
GAUGES = {
    "reelstream_ratings_folders": ("Directories that the ratings are read from.", "ratings.folders"),
    "reelstream_stream_lag_events": ("Events in Kafka that are not stored.", "stream.lag_events"),
    "reelstream_stream_events_per_second": ("Events stored in the last ten seconds.", "stream.events_per_s"),
    "reelstream_stream_restarts": ("Restarts of its query since it started.", "stream.restarts"),
    "reelstream_stream_clocks_ahead_ratio": (
        "Share of the newest ratings, from clocks ahead.",
        "stream.clocks_ahead.share",
    ),
    "reelstream_refit_new_ratings": ("Ratings that no refit has seen.", "trigger.new_ratings"),
    "reelstream_refit_after_ratings": ("So many new ratings make a refit due.", "trigger.refit_after_ratings"),
    "reelstream_refit_due_in_seconds": ("Until a refit is due by time.", "trigger.due_in_s"),
    "reelstream_model_age_seconds": ("Since the version was published.", "current.age_s"),
    "reelstream_model_ratings": ("Ratings that it was fitted on.", "current.ratings"),
    "reelstream_model_users": ("Users that it was fitted on.", "current.users"),
    "reelstream_model_movies": ("Movies that it was fitted on.", "current.movies"),
    "reelstream_model_ratings_since": ("Ratings accepted after those.", "current.ratings_since"),
    "reelstream_model_coverage_ratio": ("Share of the movies on some list.", "current.metrics.coverage"),
    "reelstream_model_refit_seconds": ("How long its refit took.", "current.seconds.all"),
}
"""name → (meaning, where `status` has it)."""
BESIDE_A_BASELINE = {
    "reelstream_live_rmse_stars": (
        "RMSE of the newest live ratings, each predicted before it was learned from.",
        {"model": "stream.quality.sliding.rmse", "bias_only": "stream.quality.sliding.bias_only_rmse"},
    ),
    "reelstream_live_hit_ratio": (
        "Share of the newest liked movies that were on their user's list.",
        {
            "model": "stream.quality.sliding.hit_rate",
            "popularity": "stream.quality.sliding.popular_hit_rate",
            "recent_popularity": "stream.quality.sliding.recent_hit_rate",
        },
    ),
    "reelstream_live_ndcg_ratio": (
        "nDCG@10 of the newest liked movies, each in a list of its own.",
        {
            "model": "stream.quality.sliding.ndcg_at_10",
            "popularity": "stream.quality.sliding.popular_ndcg_at_10",
            "recent_popularity": "stream.quality.sliding.recent_ndcg_at_10",
        },
    ),
    "reelstream_model_rmse_stars": (
        "RMSE on held-out ratings.",
        {"model": "current.metrics.rmse", "bias_only": "current.metrics.baselines.bias_only.rmse"},
    ),
    "reelstream_model_ndcg_ratio": (
        "nDCG@10 on held-out ratings.",
        {"model": "current.metrics.ndcg_at_10", "popularity": "current.metrics.baselines.popularity.ndcg_at_10"},
    ),
}
"""name → (meaning, where `status` has it of each); the label is `by`."""


class _Pipeline(Collector):
    def __init__(self, settings: Settings, listeners: Callable[[], int]) -> None:
        self._settings = settings
        self._listeners = listeners
        self._failed = 0

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield _gauge("reelstream_event_stream_listeners", "Open streams of events.", self._listeners())
        found = self._figures()
        yield CounterMetricFamily(
            "reelstream_scrape_errors", "Scrapes that could not read the warehouse.", value=self._failed
        )
        yield from found
        with suppress(OSError):
            usage = shutil.disk_usage(self._settings.warehouse)
            yield _gauge("reelstream_disk_free_bytes", "Free on the warehouse's disk.", usage.free)

    def _figures(self) -> list[Metric]:
        """Of all that can be read: what the processes say of themselves is told of a damaged warehouse too."""
        try:
            return list(figures(collect(self._settings)))
        except Exception:  # whatever is wrong with the warehouse, the API's own figures are told
            self._failed += 1
        with suppress(Exception):
            run = {name: run_files.read(self._settings.warehouse, name) for name in ("stream", "trigger", "refit")}
            return list(figures(run))
        return []


def figures(status: Mapping[str, Any]) -> Iterator[Metric]:
    """All that `status` has; what it does not have is left out."""
    for name, (meaning, where) in COUNTERS.items():
        if (value := _at(status, where)) is not None:
            yield CounterMetricFamily(name, meaning, value=float(value))
    for name, (meaning, where) in GAUGES.items():
        yield _gauge(name, meaning, _at(status, where))
    for name, (meaning, places) in BESIDE_A_BASELINE.items():
        yield _by(name, meaning, "by", {of: _at(status, where) for of, where in places.items()})

    stream, refit, current = (status.get(name) or {} for name in ("stream", "refit", "current"))
    if "broker" in status:
        yield _gauge("reelstream_broker_up", "Whether a broker is known.", bool(status["broker"]))
    up = bool(stream.get("alive")) and stream.get("state") == "running"
    yield _gauge("reelstream_stream_up", "Whether the stream runs.", up)
    failing = bool(stream["error"]) if "error" in stream else None
    yield _gauge("reelstream_stream_failing", "Whether it has trouble that it tries to get over.", failing)
    steps = {n.removesuffix("_s"): v for n, v in (stream.get("median_batch") or {}).items() if n.endswith("_s")}
    yield _by("reelstream_micro_batch_step_seconds", "Median of the newest micro-batches.", "step", steps)
    state = "killed" if refit.get("state") == "running" and not refit.get("alive") else refit.get("state")
    states = {name: float(name == state) for name in REFIT_STATES}
    yield _by("reelstream_refit_state", "1 for the state of the newest refit.", "state", states)
    if current:
        info = GaugeMetricFamily(
            "reelstream_model_info", "1, with the version and its engine.", labels=("version", "engine")
        )
        info.add_metric((current["version"], current["engine"]), 1.0)
        yield info


def _at(status: Any, where: str) -> float | None:
    for name in where.split("."):
        status = (status or {}).get(name)
    value: float | None = status
    return value


def _gauge(name: str, meaning: str, value: float | None) -> Metric:
    return GaugeMetricFamily(name, meaning, value=None if value is None else float(value))


def _by(name: str, meaning: str, label: str, values: Mapping[str, float | None]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=(label,))
    for of, value in values.items():
        if value is not None:
            family.add_metric((of,), float(value))
    return family
