"""ControlChannel: cancel requests reach every worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from jobfleet_contracts.backend import Backend
from tests.conformance.jobs import an_id, wait_until


async def _collect(cancels: AsyncIterator[str], into: list[str]) -> None:
    async for job_id in cancels:
        into.append(job_id)  # noqa: PERF401 - seen while it goes on


async def test_a_cancel_request_reaches_every_process(backend: Backend, other: Backend) -> None:
    here: list[str] = []
    there: list[str] = []
    tasks = [
        asyncio.create_task(_collect(backend.control.cancels(), here)),
        asyncio.create_task(_collect(other.control.cancels(), there)),
    ]
    job_id = an_id()

    async def both_know() -> bool:
        await backend.control.send_cancel(job_id)
        return job_id in here and job_id in there

    await wait_until("both processes know of the request", both_know)
    await other.close()
    await backend.close()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)


async def test_the_requests_end_when_the_backend_is_closed(backend: Backend) -> None:
    task = asyncio.create_task(_collect(backend.control.cancels(), []))
    await asyncio.sleep(0)
    await backend.close()
    await asyncio.wait_for(task, 5)
