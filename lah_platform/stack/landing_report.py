"""Who reads a landing process's numbers: an HTTP endpoint for Prometheus, and a JSON line every few seconds."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import psutil
from prometheus_client import make_wsgi_app

from lah_platform.errors import ConfigurationError
from lah_platform.stack.landing_metrics import OUTCOMES, LandingMetrics

__all__ = ["LandingReport", "serving"]

_log = logging.getLogger("lah.landing")

_REPORT_SECONDS = 5.0
_PATIENCE_SECONDS = 2.0  # with a scraper that connects and asks nothing: it would hold up the end


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = False  # the end waits for a scrape, so that none asks a closed consumer


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape is not an event."""


@contextmanager
def serving(metrics: LandingMetrics, *, host: str, port: int | None) -> Iterator[None]:
    """Answer `GET /metrics` meanwhile; not at all without a port. Raises ConfigurationError when the port is taken."""
    if port is None:
        yield
        return
    try:
        server = make_server(host, port, make_wsgi_app(metrics.registry), _Server, _Handler)
    except OSError as error:
        raise ConfigurationError(
            f"Landing's metrics cannot be served on {host}:{port} ({error.strerror or error})",
            "Set LAH_METRICS_PORT to a free port, or leave it unset",
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="landing-metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class LandingReport:
    """Writes what was landed since the line before, every five seconds and once at the end."""

    def __init__(self, metrics: LandingMetrics, *, seconds: float = _REPORT_SECONDS) -> None:
        self._metrics = metrics
        self._seconds = seconds
        self._before = metrics.totals()
        self._written_at = time.monotonic()
        self._ended = threading.Event()
        self._process = psutil.Process()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write lines meanwhile."""
        thread = threading.Thread(target=self._run, name="landing-report", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            self.write()

    def write(self) -> None:
        """One line now."""
        _log.info("landed", extra={"figures": self.figures()})

    def figures(self) -> dict[str, Any]:
        """What was landed since the last call, and how things stand now."""
        metrics, now = self._metrics, time.monotonic()
        totals, before, seconds = metrics.totals(), self._before, now - self._written_at
        self._before, self._written_at = totals, now
        counts = {outcome: totals.outcomes[outcome] - before.outcomes[outcome] for outcome in OUTCOMES}
        batches = totals.batches - before.batches
        lag = metrics.lag_records()
        age = metrics.newest_event_age_s
        return counts | {
            "batches": batches,
            "seconds": round(seconds, 3),
            "events_per_second": round(counts["received"] / seconds, 1) if seconds else 0.0,
            "mean_batch_records": round(counts["received"] / batches, 1) if batches else 0.0,
            "rejects": dict(sorted((totals.rejects - before.rejects).items())),
            "backoffs": totals.backoffs - before.backoffs,
            "fenced": totals.fenced - before.fenced,
            "database_is_up": metrics.database_is_up,
            "lag_records": {str(partition.number): lag[partition] for partition in sorted(lag)},
            "newest_event_age_s": None if age is None else round(age, 3),
            "rss_mb": round(self._process.memory_info().rss / 1e6, 1),
        }

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            self.write()
