"""No text that somebody may choose holds the loop, whichever route shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from jobfleet_contracts.backend import Backend
from tests.dashboard.api.all_routes import addressed, all_routes
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.life import Life
from tests.dashboard.api.long_texts import LongTexts
from tests.dashboard.api.loop_steps import measured_steps
from tests.dashboard.api.masked_on_loop import masked_on_loop
from tests.yardstick import slowness

UNIT = "\uff1a-u %25***"
"""Takes some 3 us a character: each sign in it makes the search look once more."""
LONG = "&#61;" + UNIT * 2500
SHORT = "&#61;" + UNIT * 100
JOBS = 60
LONGEST_STEP_SECONDS = 0.06
"""On the loop, one text of those above takes longer than this."""
TRIES = 3
MOST_CHARACTERS = 2_000
"""That one step of the loop may mask: 6 ms of hostile text."""


@pytest.fixture
def hostile(backend: Backend) -> AsgiClient:
    return client_of(backend, rate_limit="100000/minute")


async def _fill(client: AsgiClient, life: Life) -> str:
    """Make jobs with hostile texts; return the id of the worst one."""
    some = {"type": "echo", "payload": SHORT, "description": "&#61;" + UNIT * 100}
    body = {"jobs": [some] * JOBS}
    made = (await client.post("/api/jobs/bulk", body)).json["items"]
    for item in made[: JOBS // 2]:
        await life.start(item["jobId"])
        await life.fail(item["jobId"], SHORT)
    answer = await client.post("/api/jobs", {"type": "echo", "payload": LONG, "maxAttempts": 50})
    job_id: str = answer.json["jobId"]
    for _ in range(5):
        await life.start(job_id)
        await life.retry(job_id, SHORT)
    await life.start(job_id)
    await life.step(job_id, 1, message=SHORT)
    await life.fail(job_id, SHORT, response={"body": LONG})
    daily = {"type": "echo", "payload": SHORT, "cron": "0 0 29 2 *", "timezone": "Europe/Berlin"}
    answer = await client.request("PUT", "/api/schedules/nightly", body=daily)
    assert answer.status == 200, answer.body
    return job_id


async def test_no_text_holds_the_loop_whatever_the_route(
    hostile: AsgiClient, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await _fill(hostile, Life(backend))
    addresses = [
        addressed(route, job_id)
        for route in all_routes(hostile.app)
        if "GET" in (route.methods or set()) and "/stream" not in route.path
    ]
    assert len(addresses) > 40
    addresses += [
        "/api/jobs?view=jobs&limit=200",
        "/api/jobs?view=jobs&q=error:nothing&limit=200",
        "/api/schedules/nightly/next?count=1000",
        f"/submit?from={job_id}",
    ]
    held = dict[str, str]()
    with measured_steps(monkeypatch) as steps:
        for address in addresses:
            for _ in range(TRIES):
                await asyncio.sleep(0)
                steps.forget()
                answer = await hostile.request("GET", address)
                await asyncio.sleep(0)
                assert answer.status < 500, (address, answer.body[:300])
                if steps.longest_seconds < LONGEST_STEP_SECONDS * slowness():
                    break
            else:
                held[address] = f"{steps.longest_seconds:.3f} s"
    assert held == {}


async def test_each_route_masks_long_texts_in_threads(
    hostile: AsgiClient, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = await LongTexts.made(hostile, backend)
    held, count = dict[str, object](), 0
    for address in _addresses(hostile, texts):
        count += 1
        parts = 2 if address.startswith("/api/") and "/stream" in address else 0
        with masked_on_loop(monkeypatch) as masked:
            answer = await hostile.request("GET", address, parts=parts)
        if answer.status >= 400:
            held[address] = answer.body
        elif masked.most > MOST_CHARACTERS:
            held[address] = masked.most
    assert held == {}
    assert count > 70


def _addresses(client: AsgiClient, texts: LongTexts) -> Iterator[str]:
    for route in all_routes(client.app):
        if "GET" in (route.methods or set()):
            address = addressed(route, texts.id_for(route.path))
            if "/stream" in route.path:
                cursor = {"cursor": texts.cursor} if address == "/api/events/stream" else {}
                address += f"?{urlencode(cursor or {'once': 1})}"
            yield address
    yield "/api/jobs?view=jobs&limit=200"
    yield "/api/jobs?view=jobs&q=error:nothing&limit=200"
    missed = urlencode({"once": 1, "shows": f"~{texts.cursor}", "q": "error:nothing"})
    yield f"/stream/jobs?{missed}"
    yield f"/stream/events?{missed}"
    yield f"/submit?from={texts.job_id}"
    yield f"/groups/{texts.group_id}?state=failed"
    yield f"/api/groups/{texts.group_id}/members?state=failed&limit=100"
    for path in ("limits", "schedules"):
        yield f"/api/{path}/nightly/history?limit=200"
