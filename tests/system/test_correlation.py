"""One request's trace and id, from its HTTP headers to the last server that a job calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from aiohttp import web

from devtools.local_fleet import LocalFleet
from tests.polling import eventually
from tests.promtool import check_metrics

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def fleet(backend_environment: dict[str, str], tmp_path: Path) -> Iterator[LocalFleet]:
    """Dashboard and worker in this process, on each backend."""
    changes: dict[str, Any] = {
        name.removeprefix("JOBFLEET_").lower(): value
        for name, value in backend_environment.items()
        if name != "JOBFLEET_DATA_DIR"
    }
    running = LocalFleet(
        data_dir=tmp_path / "fleet", changes=changes | {"allow_private_targets": True}
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
async def target() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """A server that keeps the headers of each call."""
    seen: list[dict[str, str]] = []

    async def keep(request: web.Request) -> web.Response:
        seen.append(dict(request.headers))
        return web.Response()

    app = web.Application()
    app.router.add_get("/", keep)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", seen
    await runner.cleanup()


async def test_trace_and_request_id_travel_to_the_called_server(
    fleet: LocalFleet, target: tuple[str, list[dict[str, str]]]
) -> None:
    address, seen = target
    body = json.dumps({"targetUrl": address}).encode()
    headers = {"content-type": "application/json", "traceparent": TRACE, "X-Request-ID": "req-9"}
    submit = Request(f"{fleet.address}/api/jobs", body, headers)  # noqa: S310 - loopback
    job_id = json.loads(call(submit))["jobId"]

    async def called() -> bool:
        return bool(seen)

    await eventually("the job's call", called, seconds=120)
    assert seen[0]["traceparent"] == TRACE
    assert fleet.job(job_id)["context"] == {"requestId": "req-9", "traceparent": TRACE}


async def test_the_dashboards_metrics_are_clean_after_real_work(fleet: LocalFleet) -> None:
    fleet.submit(payload={"steps": 1, "stepSeconds": 0})
    text = call(f"{fleet.address}/metrics")
    assert b"jobfleet_jobs_registered_total 1.0" in text
    check_metrics(text)


def call(request: Request | str) -> bytes:
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        body: bytes = answer.read()
        return body
