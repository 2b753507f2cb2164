"""The verdict on the fleet, read from a backend."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_dashboard.app import create_app
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of, options_with
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit
from tests.dashboard.jumping_clock import JumpingClock

HTML = {"Accept": "text/html"}


class _Away:
    """A broker that does not answer."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    async def depths(self) -> Any:
        raise BackendUnavailable("nobody listens at port 5672")


async def page(client: AsgiClient, path: str = "/") -> str:
    return (await client.request("GET", path, headers=HTML)).body.decode()


async def test_failing_jobs_of_one_type_make_the_fleet_unwell_on_page_and_api(
    client: AsgiClient, life: Life
) -> None:
    for number in range(13):
        job_id = await submit(client, type="crm.sync")
        await life.start(job_id)
        await (life.fail(job_id, "the CRM did not answer") if number else life.complete(job_id))
    verdict = (await client.get("/api/verdict")).json
    assert verdict["tone"] == "bad"
    (problem,) = [one for one in verdict["problems"] if one["kind"] == "failing"]
    assert problem["text"].startswith("crm.sync: 12 of 13 failed in ")
    assert problem["text"].endswith(": the CRM did not answer")
    shown = await page(client)
    assert "crm.sync: 12 of 13 failed in " in shown  # the time that follows passes meanwhile
    assert ": the CRM did not answer" in shown
    assert "The fleet is well" not in shown
    assert f"<title>({len(verdict['problems'])}) Overview" in shown
    assert "crm.sync" in await page(client, problem["link"])


async def test_cancelled_jobs_are_no_bad_news(client: AsgiClient) -> None:
    for _ in range(12):
        job_id = await submit(client, runAt="2126-01-01T00:00:00Z")
        await client.post(f"/api/jobs/{job_id}/cancel", {})
    verdict = (await client.get("/api/verdict")).json
    assert (verdict["tone"], verdict["problems"]) == ("idle", [])


async def test_the_first_screen_is_shown_while_the_broker_is_away(backend: Backend) -> None:
    away: Any = _Away(backend.queue)
    shown = await page(client_of(replace(backend, queue=away)))
    assert "The broker does not answer: nobody listens at port 5672" in shown
    assert "many messages wait is not known" in shown


async def test_the_titles_of_all_pages_share_a_verdict_for_half_a_minute(
    backend: Backend,
) -> None:
    clock, reader = JumpingClock(), _Counted(backend.reader)
    counted: Any = replace(backend, reader=reader)
    client = AsgiClient(create_app(backend=counted, clock=clock, options=options_with()))
    for seconds, readings in ((0, 1), (29, 1), (2, 2), (29, 2)):
        clock.jump(seconds)
        for _ in range(3):
            answer = await client.get("/api/verdict", maxAgeSeconds=30)
            assert answer.json["tone"] == "idle"
        assert reader.asked == readings
    assert (await client.get("/api/verdict", maxAgeSeconds=-1)).json["field"] == "maxAgeSeconds"


class _Counted:
    """A reader that counts how often a verdict asks it."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        self.asked += name == "errors"
        return getattr(self._reader, name)
