"""Metrics of the operator, all pre-initialised; labels are closed sets, never object names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector


class Metrics:
    """One registry per process."""

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "rollwarden_api_requests",
            "Requests to the API server.",
            ("verb", "resource", "code"),
            registry=self.registry,
        )
        self.reconciles = Counter(
            "rollwarden_reconciles", "Reconciles by outcome.", ("controller", "outcome"), registry=self.registry
        )
        self.decisions = Counter(
            "rollwarden_decisions", "Decisions by the rule that spoke.", ("rule",), registry=self.registry
        )
        self.seconds = Histogram(
            "rollwarden_reconcile_seconds", "How long a reconcile takes.", ("controller",), registry=self.registry
        )
        self.registry.register(_Gauges(gauges))

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Serves ``/metrics``; returns what stops it."""
        server, thread = start_http_server(port, addr=host, registry=self.registry)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join(timeout=2.0)

        return stop


class _Gauges(Collector):
    """Values read at scrape time."""

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self._gauges = gauges

    def collect(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily(name, help_text, value=read()) for name, (help_text, read) in self._gauges.items()]
