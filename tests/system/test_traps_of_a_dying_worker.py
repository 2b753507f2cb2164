"""Traps of a worker that dies at the worst moment: each in a process of its own."""

from pathlib import Path

import pytest

from tests.polling import eventually
from tests.servers import ON_AZURE
from tests.system.deadly_moments import DEADLY_EXIT, MOMENTS
from tests.system.fleet import LEASE_SECONDS, Fleet
from tests.system.verified import assert_verified

HANDLERS = "tests.system.deadly_moments"


@ON_AZURE
async def test_claim_known_to_nobody_side_effect_without_a_stable_key_and_index_missing(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four workers die: after the claim, after the open row, after an effect, after the end."""
    job_ids: dict[str, str] = {}
    for moment in MOMENTS:
        queue = moment.replace(" ", "-")
        monkeypatch.setenv("DEADLY_MOMENT", moment)
        fleet.start_worker(handlers=HANDLERS, queues=queue)
        effects = str(tmp_path / queue)
        job_ids[moment] = await fleet.submit("deadly.work", payload=effects, queue=queue)

    async def all_dead() -> bool:
        return all(worker.has_died for worker in fleet.workers)

    await eventually("the death of four workers", all_dead, seconds=60)
    for worker in fleet.workers:
        assert worker.wait(1) == DEADLY_EXIT, worker.log
    monkeypatch.delenv("DEADLY_MOMENT")
    queues = ",".join(moment.replace(" ", "-") for moment in MOMENTS)
    fleet.start_worker(handlers=HANDLERS, queues=queues)
    await fleet.until_ended(*job_ids.values(), seconds=LEASE_SECONDS + 120)
    for moment, job_id in job_ids.items():
        statuses = await fleet.statuses(job_id)
        assert statuses.count("Completed") == 1, moment
        assert ("TakenOver" in statuses) == (moment != "ending"), moment
    keys = (tmp_path / "effect").read_text().split()
    assert len(keys) == 2
    assert len(set(keys)) == 1

    async def no_row_is_left() -> bool:
        return not (await fleet.backend.reader.open_rows()).items

    await eventually("the rescuer to remove every open row", no_row_is_left, seconds=LEASE_SECONDS)
    await assert_verified(fleet.backend)
