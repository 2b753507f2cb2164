"""The any-key console."""

from __future__ import annotations

import asyncio

import pytest
from prompt_toolkit.input import create_pipe_input

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.index import JobQuery
from jobfleet_publisher import Publisher
from jobfleet_publisher.console import WELCOME, Console


@pytest.mark.parametrize("end", ["q", "Q", "\x03", "\x04"])
async def test_each_key_submits_one_job_until_a_key_ends_it(
    publisher: Publisher, backend: Backend, end: str
) -> None:
    lines: list[str] = []
    with create_pipe_input() as keys:
        keys.send_text(f"a \x1b[A{end}x")
        await asyncio.wait_for(Console(publisher=publisher, keys=keys, say=lines.append).run(), 10)
    await backend.index.flush()
    jobs = (await backend.reader.jobs(JobQuery())).items
    assert lines[0] == WELCOME
    assert sorted(line.split()[0] for line in lines[1:]) == sorted(j.facts.job_id for j in jobs)
    assert len(jobs) == 3
    assert {job.facts.job_type for job in jobs} == {"demo.steps"}


async def test_the_end_of_the_terminal_ends_it(publisher: Publisher) -> None:
    with create_pipe_input() as keys:
        console = asyncio.create_task(
            Console(publisher=publisher, keys=keys, say=lambda _: None).run()
        )
        await asyncio.sleep(0)
        keys.close()
        await asyncio.wait_for(console, 10)
