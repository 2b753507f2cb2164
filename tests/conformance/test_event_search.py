"""Events found by the grammar of searches, in a range of time, on every backend."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_protocol.reading import event_search
from jobfleet_protocol.reading.event_search import find_events
from jobfleet_protocol.reading.search import narrow_events
from tests.conformance.jobs import BEGIN, a_life, after, queued, started, write

SECRET = "postgres://reader:hunter2@db/crm"


async def _found(backend: Backend, search: str, *, limit: int = 2, **fields: object) -> list[Event]:
    """All events of a search, page by page."""
    query = narrow_events(EventQuery(limit=limit, **fields), search)  # type: ignore[arg-type]
    found: list[Event] = []
    while True:
        page = await find_events(backend.reader, query)
        assert len(page.items) <= query.limit
        found += page.items
        if page.next is None:
            return found
        query = replace(query, cursor=page.next)


async def _failed(backend: Backend) -> list[Event]:
    """A job that was retried and failed."""
    first = queued(type="crm.sync", job_name="Acme", queue="mail", lock_key="customer-7", at=50)
    begun = started(first, worker_id="worker-e0de")
    bad = after(begun, "AttemptFailed", worker_id="worker-e0de", message="No Quota left")
    again = bad.occurred_at + timedelta(seconds=2)
    retry = after(bad, "RetryScheduled", worker_id="worker-e0de", due_at=again)
    anew = started(retry, worker_id="worker-e0de")
    last = after(anew, "Failed", worker_id="worker-e0de", message=f"quota of {SECRET}")
    life = [first, begun, bad, retry, anew, last]
    await write(backend, *life)
    return life


async def test_events_are_found_by_every_word_of_the_grammar(backend: Backend) -> None:
    done = a_life(job_name="Number 9")
    await write(backend, *done)
    life = await _failed(backend)
    newest = life[::-1]
    expected = {
        "": newest + done[::-1],
        "type:CRM.sync": newest,
        "type:crm.*": newest,
        "-type:crm.*": done[::-1],
        "queue:mail": newest,
        "-queue:mail": done[::-1],
        "lock:CUSTOMER-7": newest,
        "worker:E0DE": newest[:5],
        "-worker:e0de type:crm.sync": newest[5:],
        "status:started": [life[4], life[1], done[1]],
        "status:Started,failed": [life[5], life[4], life[1], done[1]],
        "status:step": [done[2]],
        '"status:Step 1"': [],
        'status:"Step 1"': [done[2]],
        "-status:step,completed type:demo.*": [done[1], done[0]],
        "state:running": [life[4], life[1], done[2], done[1]],
        "error:quota": [life[5], life[2]],
        "-error:quota type:crm.sync": [life[4], life[3], life[1], life[0]],
        "error:hunter2": [],
        "-error:hunter2 status:failed": [life[5]],
        "acme": newest,
        "-acme": done[::-1],
        done[0].job_id: done[::-1],
        done[0].job_id[-8:]: done[::-1],
        "status:failed status:started": [],
    }
    found = {search: await _found(backend, search) for search in expected}
    assert found == expected
    since, until = life[1].occurred_at, life[5].occurred_at
    assert await _found(backend, "error:quota", since=since, until=until) == [life[2]]
    assert await _found(backend, "acme", since=since, until=until) == newest[1:5]


async def test_a_search_of_messages_tells_how_far_back_it_looked_and_goes_on(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_search, "LOOKED_AT", 3)
    monkeypatch.setattr(event_search, "MAX_LOOKS", 2)
    life = await _failed(backend)
    later = [after(life[1], "AttemptFailed", seconds=100 + n) for n in range(10)]
    facts = [replace(e.facts, job_id=queued().job_id) for e in later]
    bad = [replace(e, facts=f, event_id=f.job_id) for e, f in zip(later, facts, strict=True)]
    await write(backend, *bad)
    query = narrow_events(EventQuery(limit=5), "error:quota")
    page = await find_events(backend.reader, query)
    assert (list(page.items), page.searched_back_to) == ([], bad[4].occurred_at)
    assert await _found(backend, "error:quota") == [life[5], life[2]]


async def test_what_ended_is_counted_up_to_a_time(backend: Backend) -> None:
    noon = BEGIN.replace(minute=0, second=0)
    for minutes in (0, 5, 65):
        first = queued(begin=noon + timedelta(minutes=minutes))
        await write(backend, first, started(first), after(started(first), "Completed"))
    hour = noon + timedelta(hours=1)
    by_minute = await backend.reader.ended(since=noon, until=hour, step="minute")
    assert [(one.start, one.jobs) for one in by_minute] == [
        (noon, 1),
        (noon + timedelta(minutes=5), 1),
    ]
    by_hour = await backend.reader.ended(since=noon, until=hour, step="hour")
    assert [(one.start, one.jobs) for one in by_hour] == [(noon, 2)]
