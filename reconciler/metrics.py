"""What the daemon counts, under Prometheus' naming conventions. The registry is our own, not the global one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


class Metrics:
    """All metrics of one daemon. Labels are few and bounded: never a name of an object."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.reconciles = Counter("anneal_reconciles_total", "Passes, by what came of them.", ["kind", "outcome"], registry=r)
        self.reconcile_seconds = Histogram(
            "anneal_reconcile_duration_seconds", "How long a pass took.", ["kind"], buckets=SECONDS, registry=r
        )
        self.retries = Counter("anneal_reconcile_retries_total", "Passes put off after a failure.", ["kind"], registry=r)
        self.queue_depth = Gauge("anneal_queue_depth", "Keys that wait for a worker.", registry=r)
        self.queue_busy = Gauge("anneal_queue_busy", "Keys that a worker is at.", registry=r)
        self.driver_calls = Counter(
            "anneal_driver_calls_total", "Calls to the outside.", ["driver", "verb", "outcome"], registry=r
        )
        self.driver_seconds = Histogram(
            "anneal_driver_call_duration_seconds", "How long the outside took.", ["driver", "verb"], buckets=SECONDS, registry=r
        )
        self.breaker_open = Gauge("anneal_breaker_open", "1 while nothing is replaced at a provider.", ["provider"], registry=r)
        self.leader = Gauge("anneal_leader", "1 while this daemon holds the lease.", registry=r)
        self.informer_restarts = Counter("anneal_informer_restarts_total", "Times the watches were begun anew.", registry=r)
        self.informer_last_event = Gauge(
            "anneal_informer_last_event_timestamp_seconds", "When the last watch event was heard.", registry=r
        )
        self.api_requests = Counter("anneal_api_requests_total", "Requests answered.", ["verb", "resource", "code"], registry=r)
        self.api_writes = Counter("anneal_api_writes_total", "Objects stored, changed or removed.", ["resource"], registry=r)
        self.api_watchers = Gauge("anneal_api_watchers", "Open watches.", registry=r)
        self.api_watchers_cut = Counter("anneal_api_watchers_cut_total", "Watchers cut off: too slow.", registry=r)
        self.source_syncs = Counter("anneal_source_syncs_total", "Passes over a source.", ["outcome"], registry=r)
        self.source_sync_seconds = Histogram(
            "anneal_source_sync_duration_seconds", "How long a pass over a source took.", buckets=SECONDS, registry=r
        )
        self.source_applies = Counter("anneal_source_applies_total", "Objects sent to the API by sources.", registry=r)
        self.source_errors = Gauge("anneal_source_errors", "Errors in a source now.", ["source"], registry=r)

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """One pass over one object ended."""
        self.reconciles.labels(kind, outcome).inc()
        self.reconcile_seconds.labels(kind).observe(seconds)

    def called(self, driver: str, verb: str, outcome: str, seconds: float) -> None:
        """One call to a provider ended."""
        self.driver_calls.labels(driver, verb, outcome).inc()
        self.driver_seconds.labels(driver, verb).observe(seconds)

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format (content type CONTENT_TYPE)."""
        return generate_latest(self.registry)


METRICS = Metrics()
"""The daemon's own."""
