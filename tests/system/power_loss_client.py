"""Submits jobs without end, and prints each id once it is accepted and once its job has ended."""

from __future__ import annotations

import asyncio
import sys

from jobfleet_publisher import Publisher


async def main() -> None:
    async with Publisher.from_env() as publisher:
        await asyncio.gather(*(_submit(publisher) for _ in range(4)))


async def _submit(publisher: Publisher) -> None:
    while True:
        job = await publisher.submit("demo.steps", {"steps": 2, "stepSeconds": 0.01})
        _say("accepted", job.job_id)
        await job.wait(timeout=60)
        _say("completed", job.job_id)


def _say(what: str, job_id: str) -> None:
    sys.stdout.write(f"{what} {job_id}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
