"""A dashboard process, and submits by its HTTP interface."""

import aiohttp

from jobfleet_contracts.job import JobRequest
from tests.polling import eventually
from tests.system.fleet import Fleet


class Dashboard:
    """Answers of 202 are accepted jobs; whatever else may have been one, so it is repeated."""

    def __init__(self, *, fleet: Fleet, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self._process = fleet.start_worker(command=("dashboard", "--port", str(port)))
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))

    async def close(self) -> None:
        await self._session.close()

    async def until_ready(self) -> None:
        async def answers() -> bool:
            try:
                async with self._session.get(f"{self._address}/livez") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await eventually("the dashboard", answers, seconds=60)

    async def submit(self, request: JobRequest, key: str) -> None:
        """Submit one job.

        Raises:
            OSError, TimeoutError, ClientError: it is not known whether the job was accepted.
        """
        body = {name: value for name, value in request.to_json().items() if name != "jobId"}
        headers = {"Idempotency-Key": key}
        address = f"{self._address}/api/jobs"
        async with self._session.post(address, json=body, headers=headers) as answer:
            if answer.status in (429, 503):
                raise OSError(f"the dashboard answered {answer.status}")
            assert answer.status == 202, await answer.text()
