"""A job with thousands of steps is told whole, at a cost that its steps do not raise."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status
from jobfleet_dashboard.views.job.history import StepsRow
from jobfleet_dashboard.views.job.job_page import JobPage, job_page
from jobfleet_dashboard.views.job.job_view import JobView
from jobfleet_dashboard.views.text_span import plain
from jobfleet_protocol.reading.durations import spell
from jobfleet_protocol.reading.job_reader import JobReader
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit
from tests.dashboard.views.story import OTHER, at, failed, life, retry, started, step

STEPS = 1_200


class _Counting:
    """A trail that counts its requests by method."""

    def __init__(self, trail: Any) -> None:
        self._trail, self.asked = trail, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        self.asked[name] += 1
        return getattr(self._trail, name)


async def page_of(backend: Backend, events: list[Event], *, now: float) -> JobPage:
    """Return the page of a job with these events."""
    for start in range(0, len(events), 500):
        await backend.trail.insert(events[start : start + 500])
    reader = JobReader(trail=backend.trail, payloads=backend.payloads)
    record = await reader.read(events[0].job_id)
    return job_page(JobView(record=record, now=at(now)))


def lost_once(*, then: tuple[tuple[float, Change], ...] = ()) -> list[Event]:
    """A job that lost its first worker after 600 s, and has made many steps since."""
    lost = Change(kind=Status.TAKEN_OVER, worker_id=OTHER, continues=True, message="lease gone")
    steps = tuple((700 + n, step(n, 9_999)) for n in range(1, STEPS + 1))
    return list(life((2, started()), (600, lost), (600, started()), *steps, *then))


async def test_a_running_job_tells_its_start_its_attempts_and_its_takeover(
    backend: Backend,
) -> None:
    page = await page_of(backend, lost_once(), now=2_000)
    sentence = plain(page.sentence)
    assert f"since {spell(1_400)}" in sentence
    assert f"step {STEPS} of 9999" in sentence
    assert [row.ending for row in page.attempts] == ["lost, taken over", "running"]
    assert "takeover" in page.timelines[-1].kinds
    assert page.timelines[-1].rows[0].ran == spell(598)


async def test_an_ended_job_tells_how_long_it_ran_and_what_failed_before(backend: Backend) -> None:
    broken, again = retry(3, "no disk")
    steps = tuple((10 + n / 100, step(n, STEPS)) for n in range(1, STEPS + 1))
    last = (100, failed("disk full"))
    events = life((1, started()), (2, broken), (2, again), (5, started()), *steps, last)
    page = await page_of(backend, list(events), now=200)
    assert [row.error for row in page.attempts] == ["OSError: no disk", "OSError: disk full"]
    assert page.timelines[-1].rows[-1].ran == spell(95)
    folds = [item for item in page.history if isinstance(item, StepsRow)]
    assert [(fold.count, len(fold.rows)) for fold in folds] == [(STEPS, 20)]


async def test_more_lifecycle_events_than_fit_are_told_of(backend: Backend) -> None:
    changes = []
    for number in range(520):
        changes += [(number, started()), (number, Change(kind=Status.DEFERRED, due_at=at(0)))]
    page = await page_of(backend, list(life(*changes)), now=999)
    assert not page.is_whole
    assert page.attempts_omitted > 0
    assert page.omitted == 1_041 - 250


async def test_steps_cost_no_requests(backend: Backend) -> None:
    events = lost_once()
    await page_of(backend, events, now=2_000)
    trail: Any = _Counting(backend.trail)
    reader = JobReader(trail=trail, payloads=backend.payloads)
    await reader.read(events[0].job_id)
    assert trail.asked == {"newest": 1, "history": 1, "lifecycle": 1, "read": 1}


async def test_the_api_gives_lifecycle_events_alone_page_by_page(
    backend: Backend, client: AsgiClient, life: Life
) -> None:
    job_id = await submit(client)
    await life.start(job_id)
    await life.steps(job_id, 30)
    await life.fail(job_id)
    path = f"/api/jobs/{job_id}/events?steps=false&limit=2"
    newest = (await client.get(path)).json
    assert [event["status"] for event in newest["items"]] == ["Started", "Failed"]
    older = (await client.get(f"{path}&cursor={newest['next']}")).json
    assert [event["status"] for event in older["items"]] == ["Queued"]
    assert older["next"] is None


@pytest.mark.parametrize("cursor", ["a5", "b5", "l", "lx"])
async def test_a_cursor_of_another_list_is_refused(client: AsgiClient, cursor: str) -> None:
    job_id = await submit(client)
    answer = await client.get(f"/api/jobs/{job_id}/events?steps=false&cursor={cursor}")
    assert answer.status == 400
