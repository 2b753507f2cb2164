"""An outcome that storage refuses: the attempt fails, and is not repeated as a lost worker's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobfleet_contracts.state import State
from jobfleet_worker import Defer, Fail, handler
from jobfleet_worker.handlers.context import JobContext
from tests.worker.workshop import Workshop

REFUSED = "a row that quotes pl4nted"


async def test_a_refused_outcome_fails_the_attempt_without_quoting_the_refusal(
    workshop: Workshop,
) -> None:
    runs = []

    @handler("refused", max_attempts=1)
    async def refused(context: JobContext) -> Any:
        runs.append(context.attempt)
        workshop.trail.lose_request("insert", error=ValueError(REFUSED))
        return "pl4nted"

    workshop.start_worker(refused)
    ended = await workshop.run("refused")
    assert ended.after.state is State.FAILED
    assert len(runs) == 1
    assert "cannot be written" in ended.message
    assert "pl4nted" not in str(ended.to_json())
    await workshop.verified()


@pytest.mark.parametrize("end", [Fail("a\0b"), ValueError("a\0b"), Defer(timedelta(0), "a\0b")])
async def test_a_nul_in_a_text_of_a_handler_is_stored_as_a_replacement(
    workshop: Workshop, end: Exception
) -> None:
    @handler("nul", max_attempts=1)
    async def nul(context: JobContext) -> Any:
        await context.progress(1, 2, "a\0b")
        if context.attempt == 1 and not context.last_checkpoint:
            await context.checkpoint("a\0b")
            raise end
        return "a\0b"

    workshop.start_worker(nul)
    job_id = await workshop.submit("nul")
    await workshop.until_ended(job_id)
    messages = [event.message for event in await workshop.history(job_id)]
    assert not any("\0" in message for message in messages)
    assert sum("a\ufffdb" in message for message in messages) >= 2
    await workshop.verified()
