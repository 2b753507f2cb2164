"""What a page of a stranger sends, and what it writes into fields, does nothing on any route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.message import MalformedMessage
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_dashboard.security.api_keys import new_key
from tests.dashboard.api.all_routes import addressed, all_routes
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit

HTML = {"Accept": "text/html"}
SIGNED = "/api/callbacks/"
STRANGERS = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "null"},
)
_ERROR_PAGE = re.compile(r'href="/errors/([^"?]+)')
MARKUP = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>{{7*'7'}}"
"""Shown raw, it is an element; in an attribute, it ends the attribute."""


def _changes(client: AsgiClient, job_id: str) -> Iterator[tuple[str, str]]:
    for route in all_routes(client.app):
        for method in (route.methods or set()) - {"GET", "HEAD", "OPTIONS"}:
            yield method, addressed(route, job_id)


async def _stored(backend: Backend) -> list[Any]:
    """Everything that a change would add to."""
    events = await backend.reader.events(EventQuery(limit=1000))
    logs = [entry async for history in backend.control_log.scan() for entry in history]
    return [[event.event_id for event in events.items], logs]


async def test_no_change_is_taken_from_another_site(backend: Backend, client: AsgiClient) -> None:
    job_id = await submit(client)
    schedule = {"type": "report", "cron": "0 6 * * *"}
    assert (await client.request("PUT", "/api/schedules/nightly", body=schedule)).status == 200
    before = await _stored(backend)
    tried = 0
    for method, path in _changes(client, job_id):
        for headers in STRANGERS:
            answer = await client.request(
                method, path, body={"type": "a", **schedule}, headers=headers
            )
            if path.startswith(SIGNED):
                assert answer.status in (401, 403), path  # by its signature
            else:
                assert answer.status == 403, (method, path, headers, answer.status)
            tried += 1
    assert tried > 100
    assert await _stored(backend) == before


async def test_no_get_changes_anything(backend: Backend, client: AsgiClient, life: Life) -> None:
    """A link or an image of another site sends its GET with the visitor's cookie."""
    job_id = await submit(client)
    await life.start(job_id)
    await life.fail(job_id)
    schedule = {"type": "report", "cron": "0 6 * * *"}
    assert (await client.request("PUT", "/api/schedules/nightly", body=schedule)).status == 200
    before = await _stored(backend)
    for route in all_routes(client.app):
        if "GET" in (route.methods or ()) and "stream" not in route.path:
            query = {"verb": "cancel", "reason": "x", "type": "a", "name": "nightly"}
            await client.request("GET", addressed(route, job_id), query=query, headers=HTML)
            await client.request("GET", addressed(route, job_id), headers=HTML)
    assert await _stored(backend) == before


async def test_no_page_shows_what_users_wrote_as_markup(
    backend: Backend, client: AsgiClient, life: Life
) -> None:
    client = client_of(backend)
    fields: dict[str, Any] = {"jobName": MARKUP[:190], "description": MARKUP}
    texts = {"payload": {MARKUP: [MARKUP]}, "context": {MARKUP: MARKUP}}
    job = fields | texts | {"type": "demo.steps", "lockKey": MARKUP[:190], "inputFilePath": MARKUP}
    ids = [await submit(client, **job) for _ in range(4)]
    for job_id in ids[:3]:
        await life.start(job_id, lock=f"key/{MARKUP}")
        await life.step(job_id, 1, checkpoint={MARKUP: MARKUP}, message=MARKUP)
    await life.fail(ids[0], MARKUP, response={"headers": {MARKUP: MARKUP}, "body": MARKUP})
    await life.complete(ids[1], {MARKUP: MARKUP})
    await client.post(f"/api/jobs/{ids[2]}/cancel", {"reason": MARKUP})
    reason = {"reason": MARKUP}
    schedule = job | reason | {"cron": "0 6 * * *"}
    assert (await client.request("PUT", "/api/schedules/nightly", body=schedule)).status == 200
    for path in ("schedules/nightly", "queues/default", "types/demo.steps"):
        assert (await client.post(f"/api/{path}/pause", reason)).status == 202, path
    letter = orjson.dumps({MARKUP: MARKUP})
    for body in (letter, letter[:-2], MARKUP.encode()):
        await backend.dead_letters.add(
            MalformedMessage(body=body, reason=MARKUP, message_id=MARKUP), datetime.now(UTC)
        )
    now = datetime.now(UTC)
    running = RunningJob(job_id=ids[2], job_name=MARKUP, job_type=MARKUP, started_at=now)
    await backend.directory.beat(
        WorkerStatus(
            worker_id=MARKUP,
            host=MARKUP,
            version=MARKUP,
            heartbeat_at=now,
            queues=(MARKUP,),
            types=(MARKUP,),
            running=(running,),
            open_circuits=(MARKUP,),
            schedules={"nightly": MARKUP},
        )
    )
    await backend.index.flush()
    groups = set(_ERROR_PAGE.findall((await client.get("/errors")).body.decode()))
    assert groups
    seen: set[str] = set()
    queries: tuple[dict[str, str], ...] = ({}, {"q": MARKUP}, {"lockKey": MARKUP}, {"next": MARKUP})
    for route in all_routes(client.app):
        if "GET" not in (route.methods or ()):
            continue
        for job_id in ids if "job_id" in route.path or "jobId" in route.path else ids[:1]:
            for query in (*queries, {"from": job_id}):
                for group in groups if "{group_id}" in route.path else [""]:
                    path = addressed(route, job_id).replace("{group_id}", group)
                    answer = await client.request("GET", path, query=query, headers=HTML)
                    if "json" in answer.headers.get("content-type", ""):
                        continue  # nothing of it is markup to a browser: nosniff is sent
                    seen.add(route.path)
                    text = answer.body.decode()
                    for raw in ("<img src=x", "<script>alert", 'alert(1)>"', "7777777"):
                        assert raw not in text or route.path.startswith("/api/"), (path, query, raw)
    assert {"/errors/{group_id}", "/stream/overview", "/locks", "/queues", "/schedules"} <= seen


async def test_a_viewers_cookie_changes_nothing_from_its_own_site_either(backend: Backend) -> None:
    key, line = new_key("looker", "viewer")
    client = client_of(backend, api_keys=(line,))
    tried = 0
    for method, path in _changes(client, "01890000-0000-7000-8000-000000000000"):
        if path.startswith(SIGNED) or path in ("/login", "/logout"):
            continue
        headers = {"Authorization": f"Bearer {key}", "Sec-Fetch-Site": "same-origin"}
        answer = await client.request(method, path, body={"type": "a"}, headers=headers)
        assert answer.status == 403, (method, path, answer.status)
        tried += 1
    assert tried > 20
