"""What Prometheus reads from ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
VIEWS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one server. waiting, begun: called when they are read."""

    def __init__(self, waiting: Callable[[], float], begun: Callable[[], float]) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter("alexnet_requests", "Answered requests.", ["path", "status"], registry=registry)
        self._seconds = Histogram(
            "alexnet_request_seconds", "From a request's head to its answer.", ["path"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self._passes = Histogram("alexnet_pass_views", "Views computed together.", buckets=VIEWS, registry=registry)
        self._computing = Counter("alexnet_compute_seconds", "Spent on passes through the net.", registry=registry)
        self._images = Counter("alexnet_images", "Images classified for clients.", registry=registry)
        Gauge("alexnet_waiting_views", "Views that wait to be computed.", registry=registry).set_function(waiting)
        Gauge("alexnet_requests_begun", "Requests begun and not answered.", registry=registry).set_function(begun)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request; path: of the route, so that there are few."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def computed(self, views: int, seconds: float) -> None:
        """Count a pass through the net."""
        self._passes.observe(views)
        self._computing.inc(seconds)

    def classified(self, images: int) -> None:
        """Count images of which a client was told the classes."""
        self._images.inc(images)

    def text(self) -> tuple[bytes, str]:
        """(what Prometheus reads, its content type)."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
