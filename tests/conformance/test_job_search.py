"""JobIndexReader: searches by conditions that are tested row by row, in any case."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import IndexedEvent, JobQuery
from jobfleet_protocol.reading.search import FIELD_NAMES, narrow
from tests.conformance.jobs import BEGIN, after, completed, queued, started, write


async def _found(backend: Backend, search: str, *, limit: int = 2) -> set[str]:
    """Names of all jobs that a search finds, over all of its pages."""
    names: set[str] = set()
    query = narrow(JobQuery(limit=limit), search)
    while True:
        page = await backend.reader.jobs(query)
        names |= {row.facts.job_name for row in page.items}
        if page.next is None:
            return names
        query = narrow(JobQuery(limit=limit, cursor=page.next), search)


async def _jobs(backend: Backend) -> None:
    done = queued(type="Crm.sync", job_name="done", lock_key="Customer-7")
    await write(backend, done, started(done), completed(started(done)))
    for name, text in (("over", "the QUOTA is used up"), ("lost", "no answer")):
        first = queued(type="crm.fetch", job_name=name)
        begun = started(first, worker_id=f"worker-{name}")
        await write(backend, first, begun, after(begun, "Failed", worker_id="w", message=text))
    await write(backend, queued(type="mail.send", job_name="mail", queue="mail"))
    run = queued(type="crm", job_name="Running one")
    await write(backend, run, started(run, worker_id="worker-E0DE"))


async def test_searches_find_what_they_say_whatever_the_case(backend: Backend) -> None:
    await _jobs(backend)
    expected = {
        "type:CRM.SYNC": {"done"},
        "type:crm.*": {"done", "over", "lost"},
        "type:*.s*": {"done", "mail"},
        "type:crm*": {"done", "over", "lost", "Running one"},
        "type:crm* -type:crm.*": {"Running one"},
        "-state:failed": {"done", "mail", "Running one"},
        "-state:failed,completed": {"mail", "Running one"},
        "error:quota": {"over"},
        "type:crm.* -error:quota": {"done", "lost"},
        "error:quota state:running": set(),
        "worker:e0de": {"Running one"},
        "worker:WORKER state:failed": {"over", "lost"},
        "-queue:mail state:queued,running": {"Running one"},
        "queue:MAIL": {"mail"},
        "lock:Customer-7": {"done"},
        "-lock:customer-7 state:completed": set(),
        '"running ONE"': {"Running one"},
        "running -one": set(),
        "o -running": {"done", "over", "lost"},
    }
    for search, names in expected.items():
        assert await _found(backend, search) == names, search


SECRET = "zebra-9"


async def test_no_search_tells_a_credential_that_is_not_shown(backend: Backend) -> None:
    text = f"GET https://a.example/?password={SECRET} was refused, by u:x"
    first = queued(job_name="planted")
    begun = started(first)
    data = {"error": {"type": "E", "message": text}}
    failed = after(begun, "Failed", worker_id="w", message=text, data=data)
    await write(backend, first, begun, failed)
    for word in (f"password={SECRET[0]}", f"PASSWORD={SECRET}", SECRET):
        for field in ("", *FIELD_NAMES):
            search = f'{field.replace("KEY", "customer")}{field and ":"}"{word}"'
            with suppress(InvalidRequest):
                assert await _found(backend, search) == set(), search
        assert await _found(backend, f'-error:"{word}" -worker:"{word}"') == {"planted"}
    for shown in ("refused", "password=***"):
        assert await _found(backend, f'error:"{shown}"') == {"planted"}


def _keyed(number: int, **keys: str) -> Event:
    """Event 1 of a job with these lookup keys, made some seconds after the beginning."""
    first = queued(job_name=f"job {number}", created_at=BEGIN + timedelta(seconds=number))
    indexed = {f"payload.{name}": value for name, value in keys.items()}
    return replace(first, data=first.data | {"indexed": indexed})


async def test_jobs_are_found_by_their_keys_newest_made_first(backend: Backend) -> None:
    for number in range(5):
        await write(backend, _keyed(number, customer="c-7", order=str(number % 2)))
    await write(backend, _keyed(9, customer="c-8"), queued(job_name="without"))
    assert await _found(backend, "payload.customer:C-7") == {f"job {n}" for n in range(5)}
    assert await _found(backend, "payload.customer:c-7 payload.order:1") == {"job 1", "job 3"}
    assert await _found(backend, 'payload.customer:c-7 "job 2"') == {"job 2"}
    assert await _found(backend, "payload.customer:c-7 state:completed") == set()
    assert await _found(backend, "payload.customer:c-9") == set()
    assert await _found(backend, "payload.customer:c-7 payload.customer:c-8") == set()
    page = await backend.reader.jobs(narrow(JobQuery(limit=3), "payload.customer:c-7"))
    assert [row.facts.job_name for row in page.items] == ["job 4", "job 3", "job 2"]


async def test_a_key_row_that_is_written_again_stands_once_and_goes_with_its_job(
    backend: Backend,
) -> None:
    first = _keyed(1, customer="c-7")
    again = replace(started(first), data={"indexed": {"payload.customer": "c-7"}})
    await write(backend, first, again)
    await backend.index.record([first])
    assert await _found(backend, "payload.customer:c-7") == {"job 1"}
    assert backend.retention is not None
    await backend.retention.unlist([IndexedEvent.of(event) for event in (first, again)])
    page = await backend.reader.jobs(narrow(JobQuery(), "payload.customer:c-7"))
    assert list(page.items) == []
