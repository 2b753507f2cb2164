"""How far 200 viewers of one page are behind, at 50 events a second on one dashboard process.

Each viewer reads the page and then its stream, as a browser does. Each event carries its own time
in its message, which all three pages show; viewers look for it in what they receive. They run in
the process that writes, so its load is in the figures too.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from devtools.bench_dashboard.cpu_time import cpu_seconds
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.index import OpenRow
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.transitions import Change, draft

RATE = 50
_MARK = re.compile(rb"mark-(\d{10,20})")
_JOBS = 20
_LONGEST_MARK = 25


@dataclass(frozen=True, slots=True)
class Behind:
    """What viewers of one page saw: delays in milliseconds, from commit to arrival.

    Attributes:
        seen, due: events that arrived, over all viewers, and those that should have.
        megabytes: received by all.
        cpu: share of one core that the dashboard's process took.
    """

    page: str
    viewers: int
    delays_ms: Sequence[float]
    due: int
    megabytes: float
    cpu: float

    @property
    def seen(self) -> int:
        """Events that arrived, over all viewers."""
        return len(self.delays_ms)

    def percentile(self, share: float) -> float:
        """Return the delay that this share of the events did not exceed."""
        ordered = sorted(self.delays_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass(slots=True)
class _Viewer:
    delays_ms: list[float] = field(default_factory=list)
    received: int = 0
    last: int = 0

    async def watch(self, address: str, page: str, stream: str, opened: asyncio.Semaphore) -> None:
        parts = urlsplit(address)
        async with opened:
            reader, writer = await _ask(parts.hostname or "", parts.port or 0, page)
            await reader.read()
            writer.close()
            reader, writer = await _ask(parts.hostname or "", parts.port or 0, stream)
        try:
            await self._follow(reader)
        finally:
            writer.close()

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        tail = b""
        while chunk := await reader.read(2**17):
            self.received += len(chunk)
            now = time.monotonic_ns()
            text = tail + chunk
            tail = text[-_LONGEST_MARK:]
            marks = sorted({int(mark) for mark in _MARK.findall(text)})
            fresh = [mark for mark in marks if mark > self.last]
            self.delays_ms += [(now - mark) / 1e6 for mark in fresh]
            self.last = max([self.last, *fresh])


class Writer:
    """Appends progress to running jobs at an even pace."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.heads: list[Event] = []

    async def begin(self, jobs: int = _JOBS) -> None:
        """Open the jobs and start them."""
        for number in range(jobs):
            request = JobRequest(type="demo.steps", job_name=f"watched {number}")
            opening = Change(
                kind=Status.QUEUED, max_attempts=3, data={"request": request.to_json()}
            )
            first = _draft(None, request, opening)
            facts = first.facts
            row = OpenRow(facts, 1, first.after.state, 0, first.occurred_at, first.occurred_at)
            await self._backend.index.open(row)
            start = Change(kind=Status.STARTED, worker_id="bench", lock=f"job/{facts.job_id}")
            second = _draft(first, request, start)
            await self._write([first, second])
            self.heads.append(second)

    async def write(self, seconds: float, *, only: int | None = None) -> int:
        """Append ``RATE`` events a second, to one job or to all in turn; returns how many."""
        begun, count = time.monotonic(), 0
        while (until := begun + count / RATE) < begun + seconds:
            await asyncio.sleep(max(0.0, until - time.monotonic()))
            await self._step(count % len(self.heads) if only is None else only)
            count += 1
        return count

    async def _step(self, place: int) -> None:
        head = self.heads[place]
        number = head.sequence - 1
        mark = f"mark-{time.monotonic_ns()}"
        change = Change(kind=Status.STEP, step=number, worker_id="bench", message=mark)
        self.heads[place] = draft(head, head.facts, change, occurred_at=datetime.now(UTC))
        await self._write([self.heads[place]])

    async def _write(self, events: list[Event]) -> None:
        await self._backend.trail.insert(events)
        await self._backend.index.record(events)


async def measure_viewers(
    backend: Backend, address: str, pid: int, *, viewers: int, seconds: float
) -> list[Behind]:
    """Measure the first screen, the list of jobs and the page of one job, one after the other."""
    writer = Writer(backend)
    await writer.begin()
    job = writer.heads[0].job_id
    pages = (("/", "/stream/overview", None), ("/jobs", "/stream/jobs", None))
    of_one = (f"/jobs/{job}", f"/stream/jobs/{job}", 0)
    return [
        await _measure(writer, address, pid, (page, stream), only, viewers, seconds)
        for page, stream, only in (*pages, of_one)
    ]


async def _measure(
    writer: Writer,
    address: str,
    pid: int,
    paths: tuple[str, str],
    only: int | None,
    viewers: int,
    seconds: float,
) -> Behind:
    watching = [_Viewer() for _ in range(viewers)]
    opened = asyncio.Semaphore(8)
    tasks = [
        asyncio.create_task(one.watch(address, *paths, opened), name=f"viewer-{number}")
        for number, one in enumerate(watching)
    ]
    while not all(one.received for one in watching):  # noqa: ASYNC110 - it looks at a server
        await asyncio.sleep(0.1)
    for one in watching:
        one.last, one.delays_ms, one.received = time.monotonic_ns(), [], 0
    before, begun = cpu_seconds(pid), time.monotonic()
    written = await writer.write(seconds, only=only)
    cpu = (cpu_seconds(pid) - before) / (time.monotonic() - begun)
    await _arrival(watching, written)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    delays = [delay for one in watching for delay in one.delays_ms]
    megabytes = sum(one.received for one in watching) / 1e6
    return Behind(paths[0], viewers, delays, written * viewers, megabytes, cpu)


async def _arrival(watching: Sequence[_Viewer], written: int) -> None:
    """Wait until all viewers have seen everything, or two seconds."""
    for _ in range(20):
        if all(len(one.delays_ms) >= written for one in watching):
            return
        await asyncio.sleep(0.1)


async def _ask(
    host: str, port: int, path: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(host, port, limit=2**20)
    keep = "keep-alive" if path.startswith("/stream") else "close"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: {keep}\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


def _draft(head: Event | None, request: JobRequest, change: Change) -> Event:
    return draft(head, JobFacts.of(request), change, occurred_at=datetime.now(UTC))
