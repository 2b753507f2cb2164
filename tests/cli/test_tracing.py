"""Spans of a worker process reach the collector that OpenTelemetry's variables name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.cli.conftest import Cli


class Collector(HTTPServer):
    """Keeps the path and body of each post."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.posts: list[tuple[str, bytes]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Post(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        thread = threading.Thread(target=found.serve_forever, name="collector")
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_each_attempt_arrives_at_the_collector(
    cli: Cli, collector: Collector, until: Callable[..., None]
) -> None:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    cli.start("worker", **settings)
    payload = '{"steps": 1, "stepSeconds": 0}'
    (job_id,) = cli.publish("--type", "demo.steps", "--payload", payload)
    until(lambda: collector.posts, "a span arrives")
    path, body = collector.posts[0]
    assert path == "/v1/traces"
    for part in (b"job demo.steps", b"jobfleet.outcome", b"completed", job_id.encode()):
        assert part in body
