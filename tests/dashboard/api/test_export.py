"""Filtered lists of jobs and of events as CSV and as JSON Lines."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.visible_text import UNSAFE
from jobfleet_protocol.reading.list_export import EVENTS, JOBS, PAGE
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit


async def test_all_jobs_of_a_filter_are_exported_and_no_others(
    client: AsgiClient, backend: Backend
) -> None:
    jobs = [{"type": "crm.sync", "jobName": f"sync {n}"} for n in range(PAGE + 5)]
    await client.post("/api/jobs/bulk", {"jobs": jobs})
    await submit(client, type="mail.send")
    await backend.index.flush()
    lines = (await client.get("/api/jobs/export.jsonl", q="type:CRM.*")).body.splitlines()
    assert {json.loads(line)["jobName"] for line in lines} == {job["jobName"] for job in jobs}
    answer = await client.get("/api/jobs/export.csv", q="type:crm.*", state="queued,running")
    assert answer.headers["content-disposition"] == 'attachment; filename="jobs.csv"'
    names, *rows = csv.reader(io.StringIO(answer.body.decode()))
    assert (tuple(names), len(rows)) == (JOBS.columns, PAGE + 5)
    page = (await client.get("/jobs", q="type:crm.*", state="queued")).body.decode()
    assert 'href="/api/jobs/export.csv?q=type%3Acrm.%2A&amp;state=queued"' in page


async def test_a_spreadsheet_takes_no_cell_for_a_formula_and_sees_no_credential(
    client: AsgiClient, life: Life
) -> None:
    job_id = await submit(client, jobName='=HYPERLINK("http://evil.example")')
    await life.start(job_id)
    await life.fail(job_id, '@SUM(1), "quoted"\nAuthorization: Bearer hunter2hunter2')
    [_, row] = csv.reader(io.StringIO((await client.get("/api/jobs/export.csv")).body.decode()))
    assert row[1].startswith("'=HYPERLINK")
    assert row[JOBS.columns.index("message")].startswith('\'@SUM(1), "quoted"\n')
    assert "hunter2" not in "".join(row)


async def test_no_csv_holds_what_steers_a_terminal(client: AsgiClient, life: Life) -> None:
    job_id = await submit(client, jobName="mail")
    await life.start(job_id)
    await life.fail(job_id, "\x1b]0;PWN\x07\x1b[2J\x9b31m\u202e")
    for what in ("jobs", "events"):
        text = (await client.get(f"/api/{what}/export.csv")).body.decode()
        assert r"\x1b]0;PWN\x07\x1b[2J\x9b31m\u202e" in text
        assert not UNSAFE.search(text.replace("\r\n", "\n"))


async def test_all_events_of_a_filter_are_exported_as_the_list_shows_them(
    client: AsgiClient, backend: Backend, life: Life
) -> None:
    jobs = [{"type": "crm.sync"} for _ in range(PAGE + 5)]
    await client.post("/api/jobs/bulk", {"jobs": jobs})
    job_id = await submit(client, type="mail.send", jobName="=1+1")
    await life.start(job_id)
    await life.fail(job_id, "Authorization: Bearer hunter2hunter2")
    await backend.index.flush()
    body = (await client.get("/api/events/export.jsonl", q="type:CRM.*")).body
    assert len({json.loads(line)["jobId"] for line in body.splitlines()}) == len(jobs)
    answer = await client.get("/api/events/export.csv", q="-type:crm.*")
    assert answer.headers["content-disposition"] == 'attachment; filename="events.csv"'
    names, *rows = csv.reader(io.StringIO(answer.body.decode()))
    assert tuple(names) == EVENTS.columns
    listed = (await client.get("/api/events", q="-type:crm.*")).json["items"]
    assert [row[names.index("eventId")] for row in rows] == [item["eventId"] for item in listed]
    assert {row[names.index("jobName")] for row in rows} == {"'=1+1"}
    assert "hunter2" not in answer.body.decode()
    assert set(listed[0]) - set(names) == {"data"}


async def test_the_list_of_events_leads_to_its_files(client: AsgiClient) -> None:
    await submit(client)
    page = (await client.get("/events", q="type:demo.*", window="1h")).body.decode()
    [address] = re.findall(r'href="(/api/events/export.csv[^"]*)"', page)
    assert "q=type%3Ademo.%2A&amp;since=" in address


@pytest.mark.parametrize("what", ["jobs", "events"])
async def test_a_filter_that_does_not_fit_is_named(client: AsgiClient, what: str) -> None:
    for name, value in {"q": "stat:x", "state": "lost", "since": "monday", "q ": "x"}.items():
        answer = await client.get(f"/api/{what}/export.csv", **{name: value})
        assert answer.status == 400
        assert answer.json["field"] == name
