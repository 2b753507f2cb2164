"""A type that was renamed: its handler also runs jobs of the earlier names."""

import pytest

from jobfleet_contracts.state import State
from jobfleet_worker import BlockingJobContext, JobContext, handler
from tests.polling import eventually
from tests.worker.process_handlers import renamed
from tests.worker.workshop import Workshop


@handler("mail.digest", aliases=["digest", "mail.daily"])
async def digest(payload: str, context: JobContext) -> str:
    return f"{context.job.type}: {payload}"


@handler("mail.weekly", aliases=["weekly"], max_attempts=1)
def weekly(payload: str, context: BlockingJobContext) -> str:
    return f"{context.job.type}: {payload}"


@pytest.mark.parametrize(
    "job_type", ["mail.digest", "digest", "mail.daily", "mail.weekly", "weekly"]
)
async def test_jobs_of_every_name_run_and_keep_their_type(
    workshop: Workshop, job_type: str
) -> None:
    workshop.start_worker(digest, weekly)
    head = await workshop.run(job_type, "Ada")
    assert head.data["result"] == f"{job_type}: Ada"
    assert head.facts.job_type == job_type


async def test_an_alias_is_found_in_a_process_too(workshop: Workshop) -> None:
    workshop.start_worker(renamed)
    head = await workshop.run("process.old-name", 20)
    assert head.data["result"] == 21


async def test_a_worker_announces_its_aliases_and_gets_their_jobs(workshop: Workshop) -> None:
    workshop.start_worker()
    job_id = await workshop.submit("digest", "Ada")
    await workshop.until_state(job_id, State.DEFERRED)
    workshop.start_worker(digest)
    assert (await workshop.until_ended(job_id, seconds=60)).worker_id == "w2"

    async def announced() -> bool:
        workers = {each.worker_id: each for each in await workshop.real.directory.workers()}
        return {"mail.digest", "digest", "mail.daily"} <= set(workers["w2"].types)

    await eventually("the aliases stand in the directory", announced)
