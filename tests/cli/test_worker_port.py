"""``JOBFLEET_METRICS_PORT``: the port of a real worker process."""

from __future__ import annotations

import json
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest

from jobfleet_cli.local_port import free_port
from jobfleet_contracts.errors import SettingsError
from tests.cli.conftest import Cli
from tests.promtool import check_metrics

KEY = "jf_of_prometheus"


@pytest.fixture
def address(cli: Cli, until: Callable[..., None]) -> str:
    """Where a worker on a port of its choice answers."""
    entry = f"prometheus:viewer:{sha256(KEY.encode()).hexdigest()}"
    cli.start(
        "worker",
        JOBFLEET_METRICS_PORT="0",
        JOBFLEET_LOG_FORMAT="json",
        JOBFLEET_API_KEYS=entry,
    )
    until(lambda: served(cli), "the worker serves its port")
    line = served(cli)
    assert line["host"] == "127.0.0.1"
    return f"http://127.0.0.1:{line['port']}"


def served(cli: Cli) -> dict[str, Any]:
    lines = [json.loads(line) for line in cli.log.splitlines() if "health.served" in line]
    return lines[0] if lines else {}


def _ports(cli: Cli) -> set[int]:
    lines = [json.loads(line) for line in cli.log.splitlines() if "health.served" in line]
    return {line["port"] for line in lines}


def get(address: str, key: str | None = None) -> bytes:
    request = Request(address, headers={"X-API-Key": key} if key else {})  # noqa: S310 - loopback
    with urlopen(request) as answer:  # noqa: S310 - loopback
        body: bytes = answer.read()
        return body


def test_a_worker_is_alive_ready_and_measured(
    cli: Cli, address: str, until: Callable[..., None]
) -> None:
    assert json.loads(get(f"{address}/livez")) == {"status": "alive"}
    assert json.loads(get(f"{address}/readyz"))["checks"] == [{"part": "database", "ok": True}]
    assert json.loads(get(f"{address}/readyz", KEY))["checks"][0]["address"]
    payload = '{"steps": 2, "stepSeconds": 0}'
    answer = cli.run("publish", "--type", "demo.steps", "--payload", payload, "--wait")
    assert answer.returncode == 0
    counted = b'jobfleet_jobs_completed_total{type="demo.steps"} 1.0'
    until(lambda: counted in get(f"{address}/metrics", KEY), "the job is counted")
    check_metrics(get(f"{address}/metrics", KEY))
    bare = get(f"{address}/metrics")
    assert b"\njobfleet_jobs_completed_total 1.0" in bare
    assert b"demo.steps" not in bare


def test_a_port_in_use_is_a_wrong_configuration(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = cli.run("worker", JOBFLEET_METRICS_PORT=port)
    assert answer.returncode == 2
    assert f"JOBFLEET_METRICS_PORT: 127.0.0.1:{port}" in answer.stderr


@pytest.mark.parametrize("source", ["environment", ".env"])
def test_workers_of_up_have_ports_of_their_own_wherever_the_first_is_set(
    cli: Cli, until: Callable[..., None], source: str
) -> None:
    port = _two_free_ports()
    environment = {"JOBFLEET_METRICS_PORT": str(port)} if source == "environment" else {}
    if source == ".env":
        (cli.folder / ".env").write_text(f"JOBFLEET_METRICS_PORT={port}\n")
    up = cli.start("up", "--workers", "2", "--port", "0", **environment)
    until(lambda: _ports(cli) == {port, port + 1}, "both workers to serve their ports")
    up.terminate()
    assert up.wait(60) == 0
    assert "child.died" not in cli.log


def _two_free_ports() -> int:
    while True:
        port = free_port(0)
        try:
            return free_port(port + 1) - 1
        except SettingsError:
            continue


class _Target(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()


@pytest.fixture
def target() -> Iterator[str]:
    """The address of a server that answers each call."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Target)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_many_half_requests_leave_the_port_and_outbound_calls_their_sockets(
    cli: Cli, target: str, until: Callable[..., None]
) -> None:
    worker = cli.start(
        "worker",
        JOBFLEET_METRICS_PORT="0",
        JOBFLEET_LOG_FORMAT="json",
        JOBFLEET_ALLOW_PRIVATE_TARGETS="true",
    )
    until(lambda: served(cli), "the worker serves its port")
    port = served(cli)["port"]
    _, hard = resource.prlimit(worker.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (300, hard))
    with ExitStack() as stack:
        for _ in range(400):
            held = stack.enter_context(closing(socket.create_connection(("127.0.0.1", port))))
            held.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")
        payload = json.dumps({"targetUrl": target})
        fields = ("--type", "http.request", "--payload", payload, "--max-attempts", "1")
        answer = cli.run("publish", *fields, "--wait")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert json.loads(get(f"http://127.0.0.1:{port}/livez")) == {"status": "alive"}
