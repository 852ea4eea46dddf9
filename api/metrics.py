"""What the gateway counts for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one gateway; a registry of its own, so that two in one process (tests) do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "crpbot_request_seconds",
            "Time from the first byte handled to the last byte sent",
            ["face", "operation", "status"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._missing = Counter(
            "crpbot_theories_missing_total",
            "Theories that were asked and did not answer",
            ["theory", "reason"],
            registry=self.registry,
        )
        self._uncompared = Counter(
            "crpbot_comparisons_failed_total",
            "Decisions that were only to be compared with the published one, and failed; the log has each trace",
            ["part"],
            registry=self.registry,
        )
        self._ready = Gauge("crpbot_ready", "1 when the gateway can analyse", registry=self.registry)

    def observe(self, face: str, operation: str, status: str, seconds: float) -> None:
        """One request, on either face."""
        self._seconds.labels(face, operation, status).observe(seconds)

    def count_missing(self, theory: str, reason: str) -> None:
        """One theory left out of one answer."""
        self._missing.labels(theory, reason).inc()

    def count_uncompared(self, part: str) -> None:
        """One decision that was only to be compared, and failed: a strategy, a variant, or what follows from it."""
        self._uncompared.labels(part).inc()

    def set_ready(self, ready: bool) -> None:
        """The outcome of the last readiness check."""
        self._ready.set(ready)

    def render(self) -> bytes:
        """The Prometheus text page."""
        return generate_latest(self.registry)
