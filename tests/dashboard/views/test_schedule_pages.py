"""The pages of schedules: what is to come, what was, and what people may do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.schedule import Schedule
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.security.api_keys import new_key
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.life import Life

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
DAILY = {"type": "report", "cron": "0 6 * * *", "timezone": "Europe/Berlin"}


async def page(client: AsgiClient, path: str, **headers: str) -> str:
    answer = await client.request("GET", path, headers={"Accept": "text/html"} | headers)
    assert answer.status == 200, answer.body
    return answer.body.decode()


async def put(client: AsgiClient, name: str = "daily", **fields: Any) -> None:
    answer = await client.request("PUT", f"/api/schedules/{name}", body=DAILY | fields)
    assert answer.status == 200, answer.body


async def post(client: AsgiClient, path: str, body: str = "", **headers: str) -> Any:
    return await client.post(path, body.encode(), headers=FORM | headers)


async def test_an_empty_list_says_how_to_declare_one(client: AsgiClient) -> None:
    text = await page(client, "/schedules")
    assert "@schedule(" in text
    assert "jobfleet schedules add" in text


async def test_the_list_shows_when_it_runs_next_in_its_zone(client: AsgiClient) -> None:
    await put(client)
    text = await page(client, "/schedules")
    assert '<a href="/schedules/daily"' in text
    assert "0 6 * * * Europe/Berlin" in text
    assert "06:00:00 Europe/Berlin" in text
    assert 'aria-current="page">Schedules' in text


async def test_a_page_shows_five_times_the_last_runs_and_the_history(
    client: AsgiClient, life: Life
) -> None:
    await put(client)
    job_id = (await client.post("/api/schedules/daily/run", {"reason": "a look"})).json["jobId"]
    await life.start(job_id)
    await life.complete(job_id)
    text = await page(client, "/schedules/daily")
    assert text.count("06:00:00 Europe/Berlin</td>") == 5
    assert f'<a class="id" href="/jobs/{job_id}" data-open>' in text
    assert "5 ms" in text
    assert "s-completed" in text
    assert "Triggered" in text
    assert "a look" in text
    job = await page(client, f"/jobs/{job_id}")
    assert '<a href="/schedules/daily">daily</a>' in job


async def test_paused_late_and_strange_schedules_say_so(
    client: AsgiClient, backend: Backend
) -> None:
    await put(client)
    await client.post("/api/schedules/daily/pause", {"reason": "<b>books</b>"})
    for path in ("/schedules", "/schedules/daily"):
        text = await page(client, path)
        assert "aused by dashboard" in text
        assert "&lt;b&gt;books&lt;/b&gt;" in text
    assert "No live worker handles the type report" in await page(client, "/schedules/daily")
    now = client.app.state.services.clock.now()
    for worker_id, digest in (("w1", "a" * 64), ("w2", "b" * 64)):
        await backend.directory.beat(
            WorkerStatus(
                worker_id=worker_id,
                heartbeat_at=now,
                types=("report",),
                schedules={"daily": digest},
            )
        )
    text = await page(client, "/schedules/daily")
    assert "aaaaaaaaaaaa by" in text
    assert "bbbbbbbbbbbb by" in text
    assert "No live worker handles" not in text


async def test_what_differs_from_the_code_is_shown_beside_it(client: AsgiClient) -> None:
    schedules = client.app.state.services.schedules
    await schedules.declare_by_code(Schedule(name="daily", type="report", cron="0 5 * * *"))
    text = await page(client, "/schedules/daily")
    assert "no live worker declares it any more" in text
    assert "What the code declares" not in text
    await put(client)
    text = await page(client, "/schedules/daily")
    assert "It differs from the code: dashboard changed it." in text
    assert "What the code declares" in text
    assert "0 5 * * *" in text


@pytest.mark.parametrize(("verb", "kind"), [("pause", "Paused"), ("remove", "Removed")])
async def test_a_button_acts_with_its_reason(client: AsgiClient, verb: str, kind: str) -> None:
    await put(client)
    answer = await post(client, f"/schedules/daily/{verb}", "reason=books")
    assert answer.status == 303
    newest = (await client.get("/api/schedules/daily/history")).json["items"][0]
    assert (newest["kind"], newest["reason"]) == (kind, "books")


async def test_resume_lets_it_tick_and_run_leads_to_the_job(client: AsgiClient) -> None:
    await put(client)
    await post(client, "/schedules/daily/pause")
    assert "ask-resume" in await page(client, "/schedules/daily")
    await post(client, "/schedules/daily/resume")
    assert not (await client.get("/api/schedules/daily")).json["paused"]
    answer = await post(client, "/schedules/daily/run")
    assert answer.headers["location"].startswith("/jobs/")


async def test_each_role_sees_the_buttons_that_it_may_press(backend: Backend) -> None:
    keys = {role: new_key(f"{role}-key", role) for role in ("viewer", "submitter", "operator")}
    client = client_of(backend, api_keys=tuple(line for _, line in keys.values()))
    services = client.app.state.services
    await services.schedules.declare(Schedule.parse("daily", DAILY), by="me")
    seen = {}
    for role, (secret, _) in keys.items():
        text = await page(client, "/schedules/daily", **{"X-API-Key": secret})
        seen[role] = {verb for verb in ("run", "pause", "remove") if f"ask-{verb}" in text}
    assert seen == {"viewer": set(), "submitter": {"run"}, "operator": {"run", "pause", "remove"}}


@pytest.mark.parametrize("path", ["/schedules/nobody", "/schedules/a%20b", "/schedules/%00"])
async def test_an_unknown_schedule_is_a_page_of_its_own(client: AsgiClient, path: str) -> None:
    answer = await client.request("GET", path, headers={"Accept": "text/html"})
    assert answer.status == 404
    assert b"no schedule" in answer.body


async def test_a_long_history_has_pages(client: AsgiClient) -> None:
    for minute in range(55):
        await put(client, cron=f"{minute} 6 * * *")
    text = await page(client, "/schedules/daily")
    assert "?before=6#history-title" in text
    older = await page(client, "/schedules/daily?before=6")
    assert "earlier" not in older
    assert ">Declared</td>" in older
    assert ">newest</a>" in older


async def test_the_streams_bring_the_pages_up_to_date(client: AsgiClient) -> None:
    await put(client)
    for path in ("/stream/schedules", "/stream/schedules/daily"):
        answer = await client.request("GET", path, query={"once": "1"})
        assert answer.status == 200
        assert b"Europe/Berlin" in answer.body


async def test_a_worker_whose_clock_is_wrong_is_marked(
    client: AsgiClient, backend: Backend
) -> None:
    now = client.app.state.services.clock.now()
    for worker_id, seconds in (("w1", 5.04), ("w2", -1.5), ("w3", -61.0)):
        status = WorkerStatus(worker_id=worker_id, heartbeat_at=now, clock_off_seconds=seconds)
        await backend.directory.beat(status)
    text = await page(client, "/workers")
    assert text.count("fires no schedule") == 2
    assert "5.0 s ahead: fires no schedule" in text
    assert "61.0 s behind: fires no schedule" in text
    items = (await client.get("/api/workers")).json["items"]
    assert sorted(item["clockOffSeconds"] for item in items) == [-61.0, -1.5, 5.04]


async def test_workers_that_declare_it_differently_are_linked(
    client: AsgiClient, backend: Backend
) -> None:
    await client.request("PUT", "/api/schedules/often", body={"type": "x", "everySeconds": 30})
    now = datetime.now(UTC)
    workers = [new_id() for _ in range(2)]
    for digit, worker_id in enumerate(workers):
        digests = {"often": f"{digit}" * 64}
        await backend.directory.beat(
            WorkerStatus(worker_id=worker_id, heartbeat_at=now, schedules=digests)
        )
    page = (await client.get("/schedules/often")).body.decode()
    assert "Live workers declare it differently" in page
    for worker_id in workers:
        assert f'href="/workers/{worker_id}"' in page
