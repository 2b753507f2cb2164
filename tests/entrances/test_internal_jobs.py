"""What only jobfleet may make is refused at every entrance, and leaves nothing behind."""

from __future__ import annotations

from uuid import UUID

import pytest

from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.internal_job import INTERNAL_TYPES, internal_job_id, is_internal_id
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_protocol.actions.write_side import WriteSide
from tests.entrances.entrances import ACCEPTED, ANSWERING, Site

OWN_ID = {name: send for name, send in ANSWERING.items() if name != "asynchronous endpoint"}
"""Where the caller chooses the job's id."""


@pytest.mark.parametrize("entrance", ANSWERING)
async def test_an_ordinary_job_is_accepted(entrance: str, site: Site) -> None:
    assert await ANSWERING[entrance](site, {"type": "mail.send", "payload": 1}) is ACCEPTED


@pytest.mark.parametrize("job_type", sorted(INTERNAL_TYPES))
@pytest.mark.parametrize("entrance", ANSWERING)
async def test_an_internal_type_is_refused(entrance: str, job_type: str, site: Site) -> None:
    forged = {"type": job_type, "payload": {"jobId": new_id(), "incarnation": 1}}
    refusal = await ANSWERING[entrance](site, forged)
    assert refusal is not None
    assert f"{job_type} jobs are made by jobfleet alone" in refusal
    assert not (await site.backend.reader.open_rows()).items


@pytest.mark.parametrize("entrance", OWN_ID)
async def test_an_id_of_version_8_is_refused(entrance: str, site: Site) -> None:
    taken = internal_job_id("callback", new_id(), "1")
    refusal = await OWN_ID[entrance](site, {"type": "mail.send", "jobId": taken})
    assert refusal is not None
    assert "UUIDs of version 8 are for jobs that jobfleet makes" in refusal
    assert await site.backend.trail.newest(taken) is None
    assert not (await site.backend.reader.open_rows()).items


@pytest.mark.parametrize("entrance", OWN_ID)
async def test_an_internal_job_that_exists_is_not_made_again_and_not_replaced(
    entrance: str, site: Site
) -> None:
    job_id = internal_job_id("tick", "daily", "2026-11-26T06:00:00Z")
    request = JobRequest.parse({"type": "report.daily", "payload": 1, "jobId": job_id})
    submitter = WriteSide.wire(
        backend=site.backend, clock=SystemClock(), defaults=site.settings.job_defaults
    ).submitter
    await submitter.submit_internal(request, by="schedule daily")
    same = {"type": "report.daily", "payload": 1, "jobId": job_id}
    assert await OWN_ID[entrance](site, same) is ACCEPTED
    refusal = await OWN_ID[entrance](site, same | {"payload": 2})
    assert refusal is not None
    assert "another body" in refusal
    assert len(await site.backend.trail.history(job_id)) == 1


def test_internal_ids_are_uuids_of_version_8_that_depend_on_every_part() -> None:
    ids = {
        internal_job_id("callback", "a", "1"),
        internal_job_id("callback", "a", "2"),
        internal_job_id("callback", "a/1"),
        internal_job_id("tick", "a", "1"),
        internal_job_id("callback", "a1"),
    }
    assert len(ids) == 5
    assert {UUID(each).version for each in ids} == {8}
    assert all(map(is_internal_id, ids))


@pytest.mark.parametrize("version", [1, 3, 4, 5, 6, 7])
def test_ids_of_other_versions_are_no_internal_ones(version: int) -> None:
    assert not is_internal_id(f"00000000-0000-{version}000-8000-000000000000")
