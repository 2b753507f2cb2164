"""The log of a handler: in pages of bytes through the API, and on the job's page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.log_line import LogLine
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


class Log:
    """Appends lines as a worker does."""

    def __init__(self, backend: Backend, job_id: str) -> None:
        self._logs = backend.logs
        self._job_id = job_id
        self._ends: dict[int, int] = {}

    async def say(self, epoch: int, *messages: str, level: str = "info", **fields: Any) -> None:
        """Append lines in one part."""
        body = b"".join(
            LogLine(at=AT, attempt=epoch, level=level, message=message, **fields).encode()
            for message in messages
        )
        position = self._ends.get(epoch, 0)
        assert await self._logs.append(self._job_id, epoch, position, body)
        self._ends[epoch] = position + len(body)


async def lines(client: AsgiClient, job_id: str, **query: Any) -> Any:
    return (await client.get(f"/api/jobs/{job_id}/logs/lines", **query)).json


async def part(client: AsgiClient, address: str) -> str:
    """Return what htmx gets."""
    headers = {"HX-Request": "true", "HX-Request-Type": "partial"}
    return (await client.request("GET", address, headers=headers)).body.decode()


async def test_pages_of_any_size_give_each_line_once(client: AsgiClient, backend: Backend) -> None:
    job_id = await submit(client)
    assert await lines(client, job_id) == {"items": [], "next": None, "cursor": "0-0"}
    log = Log(backend, job_id)
    wanted = [(epoch, f"line {n} of {epoch} é") for epoch in (1, 2, 7) for n in range(30)]
    for epoch in (1, 2, 7):
        await log.say(epoch, *(message for each, message in wanted if each == epoch))
    for size in (1, 200, 5000, 1_000_000):
        found, cursor, pages = [], None, 0
        while True:
            page = await lines(
                client, job_id, limitBytes=size, **({"cursor": cursor} if cursor else {})
            )
            found += [(line["epoch"], line["message"]) for line in page["items"]]
            pages += 1
            cursor = page["next"]
            if cursor is None:
                break
            assert page["items"]
        assert found == wanted
        assert pages <= 1 + len(wanted) * 150 // size
    await log.say(7, "later")
    later = await lines(client, job_id, cursor=page["cursor"])
    assert [line["message"] for line in later["items"]] == ["later"]


async def test_a_line_is_told_with_all_that_was_said(client: AsgiClient, backend: Backend) -> None:
    job_id = await submit(client)
    log = Log(backend, job_id)
    fields = {"row": 3, "url": "https://me:hidden@example.org/"}
    await log.say(1, "given up", level="error", logger="shop", fields=fields, exception="Traceback")
    assert (await lines(client, job_id))["items"] == [
        {
            "epoch": 1,
            "at": "2026-01-31T09:30:00.000000Z",
            "attempt": 1,
            "level": "error",
            "message": "given up",
            "logger": "shop",
            "fields": {"row": 3, "url": "https://***@example.org/"},
            "exception": "Traceback",
        }
    ]


async def test_a_spoiled_line_says_so_and_hides_no_other(
    client: AsgiClient, backend: Backend
) -> None:
    job_id = await submit(client)
    await backend.logs.append(job_id, 1, 0, b'{"at": 1}\n[]\n\xff\xfe\n')
    await Log(backend, job_id).say(2, "sound")
    found = [line["message"] for line in (await lines(client, job_id))["items"]]
    assert found == ["this line cannot be read"] * 3 + ["sound"]
    assert (await client.get(f"/jobs/{job_id}/log")).status == 200


async def test_foreign_cursors_and_unknown_jobs_are_refused(client: AsgiClient) -> None:
    job_id = await submit(client)
    for cursor in ("x", "1", "1-", "-1-2", "1-2-3", "\u0661-\u0662"):
        answer = await client.get(f"/api/jobs/{job_id}/logs/lines", cursor=cursor)
        assert (answer.status, answer.json["field"]) == (400, "cursor")
    unknown = job_id[:-1] + ("0" if job_id[-1] != "0" else "1")
    for path in (f"/api/jobs/{unknown}/logs/lines", f"/jobs/{unknown}/log"):
        assert (await client.get(path)).status == 404


async def test_the_page_shows_the_newest_lines_and_asks_for_more_while_the_job_lives(
    client: AsgiClient, backend: Backend, life: Life
) -> None:
    job_id = await submit(client)
    await life.start(job_id)
    address = f"/jobs/{job_id}/log"
    assert f'hx-get="{address}"' in (await client.get(f"/jobs/{job_id}")).body.decode()
    empty = await part(client, address)
    assert "The handler has logged nothing so far." in empty
    assert 'hx-trigger="every 2s"' in empty
    log = Log(backend, job_id)
    await log.say(1, *(f"<b>line {number:03}</b>" for number in range(600)))
    shown = await part(client, address)
    assert shown.index("line 599") < shown.index("line 598")
    assert "line 000" not in shown
    assert "from the first one" in shown
    assert "<b>line" not in shown
    news = shown.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    await log.say(1, "brand new")
    fresh = await part(client, news)
    assert "brand new" in fresh
    assert "line 599" not in fresh
    assert 'hx-trigger="every 2s"' in fresh
    first = (await client.get(f"{address}?cursor=0-0")).body.decode()
    assert first.index("line 000") < first.index("line 001")
    assert "Next lines" in first


async def test_any_attempt_of_a_job_shows_its_traceback(client: AsgiClient, life: Life) -> None:
    job_id = await submit(client, maxAttempts=3)
    for number in (1, 2):
        await life.start(job_id)
        error = {"type": "ValueError", "message": f"no {number}", "traceback": f"Trace {number}"}
        again = Change(kind=Status.RETRY_SCHEDULED, data={"delaySeconds": 0})
        await life.write(job_id, Change(kind=Status.ATTEMPT_FAILED, data={"error": error}), again)
    page = (await client.get(f"/jobs/{job_id}")).body.decode()
    for epoch in (1, 2):
        assert f'href="/jobs/{job_id}/attempts/{epoch}"' in page
        attempt = (await client.get(f"/jobs/{job_id}/attempts/{epoch}")).body.decode()
        assert f"Trace {epoch}" in attempt
        assert f"/jobs/{job_id}/log?cursor={epoch}-0" in attempt
    assert (await client.get(f"/jobs/{job_id}/attempts/9")).status == 404


async def test_the_page_leads_to_the_trace(backend: Backend) -> None:
    client = client_of(backend, trace_url="https://traces.example.org/t/{traceId}?x={traceId}#s")
    own = await submit(client)
    trace = "0af7651916cd43dd8448eb211c80319c"
    given = await submit(client, context={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    for job_id, found in ((own, own.replace("-", "")), (given, trace)):
        page = (await client.get(f"/jobs/{job_id}")).body.decode()
        link = f'href="https://traces.example.org/t/{found}?x={found}#s" rel="noreferrer"'
        assert link in page
    assert "traces.example" not in (await client_of(backend).get(f"/jobs/{own}")).body.decode()
