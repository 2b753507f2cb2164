"""An action on many jobs over the ports of each backend."""

from __future__ import annotations

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job_id import new_id
from tests.protocol.test_bulk_actions import Site


async def test_an_action_on_many_jobs_is_done_once_to_each(
    backend: Backend, other: Backend
) -> None:
    site, another = Site.of(backend), Site.of(other)
    job_ids = await site.cancelled_jobs(3)
    asked = await site.redrive([*job_ids, new_id()])
    await another.runner.run_due()
    await site.runner.run_due()
    ended = await site.bulk.find(asked.action_id)
    assert (ended.status, ended.done, ended.refused) == ("ended", 3, 1)
    assert await site.redrives(job_ids) == {1: 3}
    results, following = await site.bulk.results(asked.action_id)
    assert ([result.state for result in results], following) == ([None, *["queued"] * 3], None)
    assert await site.journal.opened() == []
