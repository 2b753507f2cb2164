"""A fleet elsewhere, watched over the streams of its dashboard."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from jobfleet_cli.fleet_source import LOOK_SECONDS, FleetNow
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.event import Event, JobFacts, JobState
from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus

OUTAGE_SECONDS = 60.0
"""So long a stream that broke off is asked for again."""
_PAUSE_SECONDS = 2.0
_LOOK_FOR_STREAM_SECONDS = 0.05
_REMEMBERED = 2000
"""Ids of events: a stream that goes on repeats those of its last minute."""


class FleetThere:
    """Reads the REST API."""

    def __init__(self, dashboard: RemoteDashboard) -> None:
        self._dashboard = dashboard

    async def events_of(self, job_id: str) -> AsyncIterator[Event]:
        """Yield a job's history and what happens then; ids of its stream are sequences."""
        path = f"/api/jobs/{job_id}"
        known = (await self._dashboard.get(path))["events"][-1]["sequence"]
        opened = asyncio.Event()
        async with aclosing(self._stream(f"{path}/events/stream", "0", opened)) as events:
            async for event in events:
                yield event
                if event.sequence >= known and event.after.state.is_terminal:
                    return

    async def events(self) -> AsyncIterator[Sequence[Event]]:
        """Yield what the stream has brought since half a second ago."""
        waiting: deque[Event] = deque()
        opened = asyncio.Event()

        async def listen() -> None:
            async for event in self._stream("/api/events/stream", None, opened):
                waiting.append(event)

        listener = asyncio.create_task(listen(), name="fleet-stream")
        try:
            while not opened.is_set() and not listener.done():
                await asyncio.wait({listener}, timeout=_LOOK_FOR_STREAM_SECONDS)
            # Only now: an event between this question and the stream would be missed.
            newest = await self.recent(1)
            shown = {event.event_id for event in waiting}
            waiting.extendleft(event for event in newest if event.event_id not in shown)
            while True:
                found = list(waiting)
                waiting.clear()
                yield found
                await asyncio.wait({listener}, timeout=LOOK_SECONDS)
                if listener.done():
                    await listener
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def recent(self, limit: int) -> Sequence[Event]:
        """Return the newest events of the list."""
        page = await self._dashboard.get("/api/jobs", limit=limit)
        return [event_of(item) for item in page["items"]]

    async def look(self) -> FleetNow:
        """Ask for counts and workers; heartbeats are compared with this machine's clock."""
        stats, workers = await asyncio.gather(
            self._dashboard.get("/api/stats"), self._dashboard.get("/api/workers")
        )
        counts = {State(item["state"]): item["count"] for item in stats["items"]}
        now = datetime.now(UTC)
        return FleetNow(now, counts, [_worker(item, now) for item in workers["items"]])

    async def _stream(
        self, path: str, cursor: str | None, opened: asyncio.Event
    ) -> AsyncGenerator[Event, None]:
        """Yield the events of a stream, each once; one that breaks off goes on at its cursor.

        Raises:
            BackendUnavailable: it could not be opened again for a minute.
        """
        loop = asyncio.get_running_loop()
        known: deque[str] = deque(maxlen=_REMEMBERED)
        broken_at: float | None = None
        while True:
            try:
                async for found, document in self._dashboard.stream(path, cursor, opened=opened):
                    cursor, broken_at = found, None
                    if document["eventId"] not in known:
                        known.append(document["eventId"])
                        yield event_of(document)
            except BackendUnavailable:
                broken_at = broken_at or loop.time()
                if loop.time() - broken_at > OUTAGE_SECONDS:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)


def event_of(document: Mapping[str, Any]) -> Event:
    """Return an event of the API; what the API does not tell is empty."""
    moment = parse_time(document["timestamp"])
    return Event(
        facts=JobFacts(
            document["jobId"], document["jobName"], document["type"], "", 0, None, moment
        ),
        after=JobState(
            state=State(document["state"]),
            sequence=document["sequence"],
            epoch=document["epoch"],
            attempt=document["attempt"],
            worker_id=document["workerId"],
        ),
        event_id=document["eventId"],
        status=document["status"],
        message=document["message"],
        occurred_at=moment,
        worker_id=document["workerId"],
        duration_ms=document["durationMs"],
        data=document["data"],
    )


def _worker(document: Mapping[str, Any], now: datetime) -> WorkerStatus:
    """Return a worker; whether it is alive is the dashboard's word, not that of two clocks."""
    return WorkerStatus(
        worker_id=document["workerId"],
        host=document["host"],
        pid=document["pid"],
        heartbeat_at=now if document["alive"] else parse_time(document["heartbeatAt"]),
        slots=document["slots"],
        running=tuple(
            RunningJob(
                job_id=job["jobId"],
                job_name=job["jobName"],
                job_type=job["type"],
                attempt=job["attempt"],
                started_at=parse_time(job["startedAt"]),
            )
            for job in document["running"]
        ),
    )
