"""Submit a job from asyncio and wait for its result."""

from __future__ import annotations

import asyncio

from jobfleet_publisher import Publisher


async def main() -> None:
    """Needs a worker that has the handlers of this folder."""
    async with Publisher.from_env() as publisher:
        job = await publisher.submit("primes.count", 100_000, name="count primes", priority=7)
        result = await job.wait(timeout=60)
        print(job.job_id, result.state.value, result.result)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
