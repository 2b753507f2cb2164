"""One tail for all who watch, which nothing that it reads can end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.index import TimelineEntry
from jobfleet_dashboard.live import hub
from jobfleet_dashboard.live.hub import LiveHub
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.test_jobs import submit


class Troubled:
    """A reader whose second look goes wrong."""

    def __init__(self, reader: Any, error: Exception) -> None:
        self._reader = reader
        self._error = error
        self._looks = 0

    async def since(self, cursor: str | None, limit: int) -> Sequence[TimelineEntry]:
        self._looks += 1
        if self._looks == 2:
            raise self._error
        found: Sequence[TimelineEntry] = await self._reader.since(cursor, limit)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


@pytest.mark.parametrize("error", [BackendUnavailable("away"), ValueError("no such state")])
async def test_viewers_go_on_being_told_after_a_look_that_went_wrong(
    backend: Backend, client: AsgiClient, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_RETRY_SECONDS", 0.05)
    await submit(client)
    live = LiveHub(reader=Troubled(backend.reader, error))  # type: ignore[arg-type]
    async with live.subscribe() as subscription, asyncio.timeout(60):
        job_id = await submit(client)
        batch = await subscription.next()
        assert batch is not None
        assert {entry.event.job_id for entry in batch} == {job_id}
    await live.stop()
