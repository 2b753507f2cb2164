"""What a page asks of a backend does not depend on how much is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.database import FILE_NAME
from jobfleet_contracts.backend import Backend
from jobfleet_dashboard.app import create_app
from tests.backends.sqlite.stored_jobs import (
    STORED_GROUP,
    store_jobs,
    store_waiters,
    stored_job_id,
)
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of, options_with
from tests.dashboard.jumping_clock import JumpingClock

FEW, MANY = 5_100, 20_000
"""Every tenth job is dead."""
TIME_STEPS = (60 + 24) * 4
"""Rows of an hour by minutes and a day by hours, of each terminal state."""
PORTS = (
    "reader",
    "trail",
    "locks",
    "queue",
    "directory",
    "payloads",
    "dead_letters",
    "control_log",
)
Cost = tuple[int, int]

PAGES = {
    "overview": "/",
    "jobs": "/jobs",
    "jobs of a state": "/jobs?state=completed",
    "jobs of two states": "/jobs?state=failed&state=timedOut",
    "open jobs": "/jobs?state=deferred",
    "jobs of a type": "/jobs?type=demo.steps",
    "jobs of a queue": "/jobs?queue=default",
    "jobs of a text": "/jobs?q=number",
    "jobs of a text that nothing has": "/jobs?q=nowhere",
    "jobs of a lock key": "/jobs?lock=k",
    "job": f"/jobs/{stored_job_id(7)}",
    "dead letters": "/dead-letters",
    "errors of a week": "/errors?range=7d",
    "errors of an hour": "/errors",
    "jobs of an error": f"/errors/{STORED_GROUP}",
    "locks": "/locks",
    "workers": "/workers",
    "schedules": "/schedules",
    "schedule": "/schedules/often",
    "last events": "/api/jobs",
    "stats": "/api/stats",
    "verdict": "/api/verdict",
}


class _Counted:
    """A port that counts questions and the rows of their answers."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.asked = self.rows = 0

    def __getattr__(self, name: str) -> Any:
        async def ask(*args: Any, **named: Any) -> Any:
            answer = await getattr(self._port, name)(*args, **named)
            self.asked += 1
            found = getattr(answer, "items", answer)
            self.rows += len(found) if isinstance(found, list | tuple | frozenset) else 1
            return answer

        return ask


async def _costs(backend: Backend) -> Mapping[str, Cost]:
    """Questions and rows of each page."""
    ports: Any = {name: _Counted(getattr(backend, name)) for name in PORTS}
    counted = replace(backend, **ports)
    clock = JumpingClock()
    client = AsgiClient(create_app(backend=counted, clock=clock, options=options_with()))
    costs = {}
    for name, path in PAGES.items():
        clock.jump()
        costs[name] = await _cost(client, path, list(ports.values()))
    return costs


async def _declare(backend: Backend) -> None:
    client = client_of(backend)
    for name in ("often", "other"):
        body = {"type": "x", "everySeconds": 30}
        assert (await client.request("PUT", f"/api/schedules/{name}", body=body)).status == 200


async def _cost(client: AsgiClient, path: str, ports: Sequence[_Counted]) -> Cost:
    for port in ports:
        port.asked = port.rows = 0
    address, _, query = path.partition("?")
    pairs: Any = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    answer = await client.request("GET", address, query=pairs)
    assert answer.status == 200
    return sum(port.asked for port in ports), sum(port.rows for port in ports)


@pytest.fixture(scope="module")
def costs(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Mapping[str, Cost], Mapping[str, Cost]]:
    """Of all pages with few and with many jobs stored."""
    folder = tmp_path_factory.mktemp("stored")

    async def measure() -> tuple[Mapping[str, Cost], Mapping[str, Cost]]:
        backend = await open_backend(Settings(data_dir=folder, _env_file=None))
        store_jobs(folder / FILE_NAME, 10, steps="[1,2,3,4]")
        store_jobs(folder / FILE_NAME, FEW - 10, first=11, steps="[4]")
        store_waiters(folder / FILE_NAME, 60)
        await _declare(backend)
        few = await _costs(backend)
        store_jobs(folder / FILE_NAME, MANY - FEW, first=FEW + 1, steps="[4]")
        store_waiters(folder / FILE_NAME, 1_000, first=61)
        many = await _costs(backend)
        await backend.close()
        return few, many

    return asyncio.run(measure())


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_for_the_same_rows_with_few_and_with_many_jobs_stored(
    costs: tuple[Mapping[str, Cost], Mapping[str, Cost]], name: str
) -> None:
    (questions, rows), (more_questions, more_rows) = costs[0][name], costs[1][name]
    assert 0 < more_questions == questions <= (14 if name == "overview" else 10)
    assert more_rows <= rows + TIME_STEPS * (name in ("overview", "stats"))
    assert more_rows <= 600
