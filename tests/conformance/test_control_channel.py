"""ControlChannel: cancel requests and changes of the control log reach every worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.control import ControlSubject
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.jobs import an_id
from tests.polling import eventually

pytestmark = WITH_FAKES


async def _collect(hints: AsyncIterator[Any], into: list[Any]) -> None:
    async for hint in hints:
        into.append(hint)  # noqa: PERF401 - seen while it goes on


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

    await eventually("both processes know of the request", both_know)
    await other.close()
    await backend.close()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)


async def test_a_change_of_the_control_log_reaches_every_process_and_is_no_cancel(
    backend: Backend, other: Backend
) -> None:
    cancels: list[Any] = []
    here: list[Any] = []
    there: list[Any] = []
    tasks = [
        asyncio.create_task(_collect(backend.control.cancels(), cancels)),
        asyncio.create_task(_collect(backend.control.changes(), here)),
        asyncio.create_task(_collect(other.control.changes(), there)),
    ]
    change = (ControlSubject.QUEUE, "mail.out-2")

    async def both_know() -> bool:
        await backend.control.announce_change(*change)
        return change in here and change in there

    await eventually("both processes know of the change", both_know)
    assert not cancels
    await other.close()
    await backend.close()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)


async def test_the_requests_end_when_the_backend_is_closed(backend: Backend) -> None:
    task = asyncio.create_task(_collect(backend.control.cancels(), []))
    await asyncio.sleep(0)
    await backend.close()
    await asyncio.wait_for(task, 5)
