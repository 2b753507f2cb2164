"""No credential that a submitter wrote is shown by any route, page, stream or command."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.fleet_source import FleetHere
from jobfleet_cli.job_history import show_job
from jobfleet_cli.job_list import list_jobs
from jobfleet_cli.job_logs import StoredLog, print_logs
from jobfleet_cli.job_watch import watch_job
from jobfleet_cli.trail_export import TrailExport
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.credentials import HIDDEN, masked
from jobfleet_contracts.error_group import ErrorKey
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.index import JobQuery
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.log_line import LogLine
from jobfleet_contracts.message import MalformedMessage
from jobfleet_contracts.state import Status
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus
from jobfleet_dashboard.services import services_of
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.audit.verification import complete_history
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard import planted
from tests.dashboard.api.all_routes import all_routes
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import WORKER, Life
from tests.dashboard.api.test_jobs import submit

WITH_PARAMETERS = {
    "/api/jobs/{jobId:uuid}",
    "/api/jobs/{jobId:uuid}/logs",
    "/api/jobs/{jobId:uuid}/events",
    "/jobs/{job_id}",
    "/errors/{group_id}",
    "/api/jobs/{jobId:uuid}/waiting",
    "/jobs/{job_id}/waiting",
    "/api/jobs/{jobId:uuid}/logs/lines",
    "/jobs/{job_id}/log",
    "/jobs/{job_id}/attempts/{epoch}",
    "/api/groups/{jobId:uuid}",
    "/api/groups/{jobId:uuid}/members",
    "/groups/{jobId:uuid}",
    "/api/workers/{workerId:uuid}",
    "/workers/{workerId:uuid}",
}
GROUP = ErrorKey("demo.planted", "ValueError", "").group_id
STREAMS = {
    "/api/events/stream",
    "/api/jobs/{jobId:uuid}/events/stream",
    "/stream/jobs/{job_id}",
    "/stream/groups/{jobId:uuid}",  # the fragments of the page
    "/stream/overview",
    "/stream/jobs",
    "/stream/workers",
    "/stream/workers/{workerId:uuid}",
    "/stream/locks",
    "/stream/dead-letters",
    "/stream/errors",
    "/stream/actions/{action_id}",
    "/stream/schedules",
    "/stream/schedules/{name}",
}
"""Their texts are made by the functions behind the pages and lists; two are read below."""


def _shown(body: bytes | str) -> list[str]:
    text = body.decode(errors="replace") if isinstance(body, bytes) else body
    return [place for place, value in planted.PLANTED.items() if value in text]


def _get_routes(client: AsgiClient) -> Iterator[str]:
    for route in all_routes(client.app):
        if "GET" in (route.methods or ()):
            yield route.path


@pytest.fixture
async def job_ids(client: AsgiClient, backend: Backend, life: Life) -> list[str]:
    """Jobs with credentials in all they were submitted with, and in how they went."""
    planted.PLANTED.clear()
    ids = [await submit(client, **job) for job in planted.jobs()]
    for number, job_id in enumerate(ids[:12]):
        response = {"headers": {"Set-Cookie": planted.planted(f"response {number}")}}
        await life.start(job_id)
        await life.step(job_id, 1, checkpoint={"token": planted.planted(f"checkpoint {number}")})
        fields = {"token": planted.planted(f"log field {number}")}
        url = f"https://a.example/?sig={planted.planted(f'log line {number}')}"
        line = LogLine(at=datetime.now(UTC), attempt=1, level="info", message=url, fields=fields)
        await backend.logs.append(job_id, 1, 0, line.encode())
        if number % 3 == 0:
            text = f"GET https://a.example/?sig={planted.planted(f'message {number}')} failed"
            await life.fail(job_id, text, response=response)
        elif number % 3 == 1:
            await life.complete(job_id, response | {"key": planted.planted(f"result {number}")})
        else:
            text = f"Authorization: {planted.planted(f'reason {number}')}"
            data = {"reason": text, "response": response}
            cancelled = Change(kind=Status.CANCELLED, worker_id=WORKER, message=text, data=data)
            await life.write(job_id, cancelled)
    for shape, make in planted.SHAPES.items():
        body = {
            name: make(name, planted.planted(f"letter {shape} {name}")) for name in planted.NAMES
        }
        for cut in (None, -2):
            letter = MalformedMessage(
                body=orjson.dumps(body)[:cut], reason="no job request", message_id=None
            )
            await backend.dead_letters.add(letter, datetime.now(UTC))
    await backend.index.flush()
    return ids


async def test_no_route_or_page_shows_a_credential(
    client: AsgiClient, backend: Backend, job_ids: list[str]
) -> None:
    assert len(planted.PLANTED) >= 74
    now = datetime.now(UTC)
    running = [RunningJob(job_id=one, started_at=now, lease_seconds_left=9.0) for one in job_ids]
    status = WorkerStatus(
        worker_id=WORKER,
        host="h",
        started_at=now,
        heartbeat_at=now,
        slots=12,
        queues=("default",),
        types=("demo.planted",),
        running=tuple(running[:12]),
    )
    await backend.directory.beat(status)
    looked = 0
    for path in set(_get_routes(client)) - STREAMS:
        if "{" not in path:
            queries: list[dict[str, Any]] = [{}]
            if path in ("/api/jobs", "/api/dead-letters"):
                queries = [{"limit": 1000}, *([{"view": "jobs"}] if path == "/api/jobs" else [])]
            for query in queries:
                answer = await client.get(path, **query)
                assert answer.status < 500, path
                assert not _shown(answer.body), f"{path} {query}"
                looked += 1
        elif "/schedules/{name}" not in path and "/actions/{" not in path:
            assert path in WITH_PARAMETERS or "{name}" in path or "static" in path, path
    for job_id in job_ids:
        for path in WITH_PARAMETERS:
            address = path.replace("{jobId:uuid}", job_id).replace("{job_id}", job_id)
            address = address.replace("{group_id}", GROUP).replace("{epoch}", "1")
            address = address.replace("{workerId:uuid}", WORKER)
            answer = await client.get(address)
            never_ran = "/attempts/" in path and job_id not in job_ids[:12]
            no_group = "/groups/" in path
            assert answer.status == (404 if never_ran else 409 if no_group else 200), address
            assert not _shown(answer.body), address
        answer = await client.get("/submit", **{"from": job_id})
        assert answer.status == 200
        assert not _shown(answer.body), job_id
    assert looked > 10


async def test_no_group_shows_a_credential(client: AsgiClient) -> None:
    planted.PLANTED.clear()
    for job in planted.jobs():
        follows = {"type": "demo.after", "payload": job.get("payload")}
        body = {
            "then": [follows],
            "callbackUrl": f"https://a.example/?sig={planted.planted('group')}",
        }
        opened = await client.post("/api/groups", body)
        assert opened.status == 202, opened.body
        group = opened.json["jobId"]
        assert not _shown(opened.body), job
        added = await client.post(f"/api/groups/{group}/members", {"first": 0, "jobs": [job]})
        assert "jobId" in added.json["items"][0], added.body
        assert not _shown(added.body), job
        await client.post(f"/api/jobs/{member_id(group, 0)}/cancel")
        await _shows_none(client, f"/api/groups/{group}")
        await _shows_none(client, f"/api/groups/{group}/members")
        await _shows_none(client, f"/groups/{group}")
        await _shows_none(client, f"/api/jobs/{group}")
        await _shows_none(client, f"/jobs/{group}")


async def test_no_schedule_shows_a_credential(client: AsgiClient) -> None:
    planted.PLANTED.clear()
    about = {path for path in set(_get_routes(client)) - STREAMS if "/schedules" in path}
    assert len(about) == 6
    for number, job in enumerate(planted.jobs()):
        text = f"Authorization: {planted.planted(f'reason {number}')}"
        body = job | {"cron": "0 6 * * *", "reason": text}
        path = f"/api/schedules/s{number}"
        answer = await client.request("PUT", path, body=body)
        assert answer.status == 200, answer.body
        assert not _shown(answer.body), body
        assert (await client.post(f"{path}/pause", {"reason": text})).status == 202
        for shown in (path.replace("{name}", f"s{number}") for path in about if "{" in path):
            await _shows_none(client, shown)
    for shown in (path for path in about if "{" not in path):
        await _shows_none(client, shown)


async def _shows_none(client: AsgiClient, address: str) -> None:
    answer = await client.get(address)
    assert answer.status == 200, address
    assert not _shown(answer.body), address


async def test_no_command_shows_a_credential(
    backend: Backend, job_ids: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    session: Any = SimpleNamespace(backend=backend, clock=SystemClock())
    capsys.readouterr()
    for as_json in (True, False):
        for job_id in job_ids:
            await show_job(session, job_id, as_json=as_json)
        for job_id in job_ids[:12]:
            await watch_job(FleetHere(session), job_id, as_json=as_json)
            await print_logs(StoredLog(session, job_id), follow=False, as_json=as_json)
        await list_jobs(session, JobQuery(limit=1000), as_json=as_json)
    printed = capsys.readouterr()
    assert job_ids[-1] in printed.out
    assert not _shown(printed.out + printed.err)

    await TrailExport(job_id=None, out=tmp_path / "plain.jsonl", raw=False).run(session)
    assert not _shown((tmp_path / "plain.jsonl").read_bytes())
    await TrailExport(job_id=None, out=tmp_path / "raw.jsonl", raw=True).run(session)
    beside = {place for place in planted.PLANTED if place.startswith(("letter", "log"))}
    assert set(_shown((tmp_path / "raw.jsonl").read_bytes())) == planted.PLANTED.keys() - beside


async def test_no_event_that_is_sent_on_shows_a_credential(
    backend: Backend, job_ids: list[str]
) -> None:
    for job_id in job_ids:
        for event in await complete_history(backend.trail, job_id):
            assert not _shown(orjson.dumps(event.to_json()))


@pytest.mark.parametrize("field", ["payload", "processingParameters", "context"])
@pytest.mark.parametrize(
    "url", ["https://u:p@a.example/", "http://u@a.example/", "postgres://u:p@db/x", "ftp://u:@a"]
)
def test_user_info_in_a_url_is_refused_at_any_depth_naming_the_place(field: str, url: str) -> None:
    with pytest.raises(InvalidRequest, match="user or password") as refused:
        JobRequest.parse({"type": "a", field: {"a": ["x", {"url": url}]}})
    assert refused.value.field == f"{field}.a.1.url"


@pytest.mark.parametrize("field", ["callbackUrl", "inputFilePath", "description", "jobName"])
def test_user_info_in_a_text_field_is_refused(field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        JobRequest.parse({"type": "a", field: "https://u:p@a.example/"})
    assert refused.value.field == field


_HIDDEN_IN_NAMES = [
    "https://a.example/?sig=abc",
    "password=abc",
    "Bearer abc-12345",
    "X-Api-Key: hunter22",
    "failed: password: hunter22",
    "token%3Dhunter22",
    "see postgres://me:a/hunter22@host",
    '{"password": "hunter22"}',
    "mysql --password hunter22",
]


@pytest.mark.parametrize("field", ["jobName", "lockKey"])
@pytest.mark.parametrize("text", _HIDDEN_IN_NAMES)
def test_what_every_list_shows_may_not_hold_a_credential(field: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match="credential") as refused:
        JobRequest.parse({"type": "a", field: text})
    assert refused.value.field == field


@pytest.mark.parametrize(
    "value",
    [
        {"lockKey": "k", "idempotencyKey": "i", "Idempotency-Key": "i", "X-Fencing-Token": "3"},
        {"author": "Ada", "authority": "a", "keywords": ["a"], "primaryKey": 7, "publicKey": "k"},
        {"maxTokens": 100, "tokens": 7, "token": None, "hasPassword": True, "design": "a"},
        {"Authorization": "Bearer ${secret:NAME}", "X-Api-Key": "${secret:A}${secret:B}"},
        {"text": "KeyError: 'steps'", "url": "https://a.example/?page=1&sort=name"},
        {"text": "ssh://git@a.example/x", "note": "key: value stays, a list: [1, 2]"},
    ],
)
def test_what_is_no_credential_is_shown(value: Any) -> None:
    assert masked(value) == value


def test_masking_twice_is_masking_once() -> None:
    for job in planted.jobs():
        assert masked(masked(job)) == masked(job)


async def test_a_form_from_a_job_is_not_sent_until_what_is_hidden_is_filled_in(
    client: AsgiClient,
) -> None:
    from urllib.parse import urlencode

    from jobfleet_contracts.job_id import new_id
    from jobfleet_dashboard.views.submit.submit_form import values_of

    form = {"content-type": "application/x-www-form-urlencoded"}
    job = {
        "type": "a",
        "payload": {"headers": {"X-Api-Key": "k"}, "n": 1},
        "callbackUrl": "https://a.example/?sig=x",
    }
    source = await submit(client, **job)
    page = (await client.get("/submit", **{"from": source})).body.decode()
    assert "payload.headers.X-Api-Key" in page
    assert HIDDEN not in page
    reader = services_of(SimpleNamespace(app=client.app)).job_reader  # type: ignore[arg-type]
    request = (await reader.read(source)).request
    assert request is not None
    values = values_of(request) | {"jobId": new_id()}
    assert values["callbackUrl"] == ""

    async def send() -> Any:
        return await client.post("/submit", urlencode(values).encode(), form)

    for place, filled in (
        ("payload.headers.X-Api-Key", {"payload": '{"headers": {"X-Api-Key": "new"}}'}),
        ("callbackUrl", {"callbackUrl": "https://a.example/?sig=new"}),
    ):
        refused = await send()
        assert refused.status == 422
        assert f"{place}: the job that this form is filled from hides" in refused.body.decode()
        values |= filled
    sent = await send()
    assert sent.status == 303, sent.body


@pytest.mark.parametrize("levels", [19, 41, 101, 300, 1000])
@pytest.mark.parametrize(
    "pair", [("[", "]"), ('{"a":', "}"), ('{"key":', "}"), ('[1,{"b":[', "]}]")]
)
def test_a_credential_in_a_deeply_nested_text_is_hidden_and_breaks_no_answer(
    levels: int, pair: tuple[str, str]
) -> None:
    text = pair[0] * levels + '{"password": "planted-9"}' + pair[1] * levels
    for value in ({"note": text}, {text: 1}, {"key": {text: [text]}}, [text]):
        assert b"planted-9" not in orjson.dumps(masked(value))


@pytest.mark.parametrize("times", range(1, 12))
def test_a_credential_in_a_text_within_texts_is_hidden_and_breaks_no_answer(times: int) -> None:
    text = '{"password": "planted-9"}'
    for _ in range(times):
        text = orjson.dumps({"a": [[[[text]]]]}).decode()
    payload: Any = {"note": text}
    for _ in range(95):
        payload = {"a": payload}
    assert b"planted-9" not in orjson.dumps(masked(payload))


@pytest.mark.parametrize("before", ["", "id-", "a.b.c.d.e.f.", "x/", "_.", "="])
def test_a_token_is_hidden_whatever_stands_before_it(before: str) -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmVk"
    shown = masked(f"they sent {before}{token} twice")
    assert "c2lnbmVk" not in shown
    assert shown.startswith(f"they sent {before}{HIDDEN}")


@pytest.mark.parametrize(
    "text",
    [
        "authorization=Bearer planted9",
        "Authorization=basic planted9&a=1",
        "x-api-key=planted9 rest",
        "-----BEGIN PRIVATE KEY-----\nplanted9\n-----END PRIVATE KEY-----",
        "x -----BEGIN RSA PRIVATE KEY-----\nplanted9",
    ],
)
def test_a_form_of_a_credential_is_hidden_in_a_text(text: str) -> None:
    assert "planted9" not in str(masked({"note": text}))


@pytest.mark.parametrize("name", ["creds", "totp", "oauth", "JSESSIONID", "SAMLResponse", "saml"])
def test_a_name_of_a_credential_hides_its_value(name: str) -> None:
    assert masked({name: "planted9"}) == {name: HIDDEN}
