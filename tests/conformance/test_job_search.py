"""JobIndexReader: searches by conditions that are tested row by row, in any case."""

from __future__ import annotations

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.index import JobQuery
from jobfleet_protocol.reading.search import narrow
from tests.conformance.jobs import after, completed, queued, started, write


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
