"""A third party's result over HTTP: signed, once, for the job that waits."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.callback_target import CallbackTarget
from jobfleet_contracts.event import Event, JobFacts
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.callbacks import CALLBACK_REFUSED
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.actions.signing_keys import SigningKeys, delivery_keys
from jobfleet_protocol.actions.submission import opening_change
from jobfleet_protocol.audit.verification import Verifier
from jobfleet_protocol.trail.transitions import Change, draft
from tests.dashboard.api.asgi_client import Answer, AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.life import WORKER, Life

SECRET = "a secret that is shared"
STANDARD = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@pytest.fixture
def dashboard(backend: Backend) -> AsgiClient:
    """A dashboard that knows two secrets."""
    return client_of(backend, callback_secrets=(SECRET, STANDARD))


@pytest.fixture
async def waiting(dashboard: AsgiClient, life: Life) -> str:
    """A job that waits for its callback."""
    answer = await dashboard.post("/api/jobs", {"type": "external.call"})
    job_id: str = answer.json["jobId"]
    await life.start(job_id)
    await life.write(job_id, Change(kind=Status.WAITING, worker_id=WORKER, due_at=_in_an_hour()))
    return job_id


def _in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def completed(job_id: str, **fields: Any) -> bytes:
    return json.dumps({"jobId": job_id, "status": "completed"} | fields).encode()


def plain(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-HMAC-SHA256": hmac.digest(secret.encode(), body, "sha256").hex()}


def standard(body: bytes, *, at: float = 0.0, key: bytes | None = None) -> dict[str, str]:
    key = key or base64.b64decode(STANDARD.removeprefix("whsec_"))
    stamp = str(int(time.time() + at))
    signed = hmac.digest(key, f"msg-1.{stamp}.".encode() + body, "sha256")
    return {
        "webhook-id": "msg-1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


async def send(
    dashboard: AsgiClient, job_id: str, body: bytes, headers: dict[str, str], **query: Any
) -> Answer:
    path = f"/api/callbacks/jobs/{job_id}"
    return await dashboard.request("POST", path, body=body, headers=headers, query=query)


async def test_a_signed_result_ends_the_job_and_stands_in_its_answer(
    dashboard: AsgiClient, waiting: str
) -> None:
    body = completed(waiting, payload={"rows": 7}, message="done", extra="ignored")
    answer = await send(dashboard, waiting, body, plain(body))
    assert (answer.status, answer.json) == (200, {"jobId": waiting, "state": "completed"})
    job = (await dashboard.get(f"/api/jobs/{waiting}")).json
    assert (job["state"], job["result"]) == ("completed", {"rows": 7})
    assert job["events"][-1]["message"] == "done"


@pytest.mark.parametrize(
    ("status", "state"), [("failed", State.FAILED), ("cancelled", State.CANCELLED)]
)
async def test_a_third_party_may_report_failure_and_cancellation(
    dashboard: AsgiClient, waiting: str, status: str, state: State
) -> None:
    body = json.dumps({"jobId": waiting, "status": status, "error": "out of paper"}).encode()
    assert (await send(dashboard, waiting, body, plain(body))).json["state"] == state
    job = (await dashboard.get(f"/api/jobs/{waiting}")).json
    assert job["events"][-1]["data"]["error"]["message"] == "out of paper"


@pytest.mark.parametrize("by", [plain, standard])
async def test_each_secret_and_each_way_of_signing_is_good(
    dashboard: AsgiClient, waiting: str, by: Any
) -> None:
    body = completed(waiting)
    assert (await send(dashboard, waiting, body, by(body))).status == 200


async def test_the_same_body_again_is_accepted_and_adds_nothing(
    dashboard: AsgiClient, backend: Backend, waiting: str
) -> None:
    body = completed(waiting, payload="x" * 40_000)
    for _ in range(3):
        assert (await send(dashboard, waiting, body, standard(body))).status == 200
    history = await backend.trail.history(waiting)
    assert [e.status for e in history] == ["Queued", "Started", "Waiting", "Completed"]


async def test_another_result_after_the_end_is_refused(dashboard: AsgiClient, waiting: str) -> None:
    first, second = completed(waiting), completed(waiting, payload=2)
    await send(dashboard, waiting, first, plain(first))
    answer = await send(dashboard, waiting, second, plain(second))
    assert (answer.status, answer.json["type"]) == (409, "action-refused")


async def test_two_results_at_once_leave_one_ending(
    dashboard: AsgiClient, backend: Backend, waiting: str
) -> None:
    bodies = [completed(waiting, payload=n) for n in range(8)]
    answers = await asyncio.gather(*(send(dashboard, waiting, b, plain(b)) for b in bodies))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert len(await backend.trail.history(waiting)) == 4


async def test_a_job_that_does_not_wait_takes_no_result(dashboard: AsgiClient, life: Life) -> None:
    job_id = (await dashboard.post("/api/jobs", {"type": "demo.steps"})).json["jobId"]
    body = completed(job_id)
    assert (await send(dashboard, job_id, body, plain(body))).status == 409
    await life.start(job_id)
    assert (await send(dashboard, job_id, body, plain(body))).status == 409


async def test_a_result_for_another_incarnation_is_refused(
    dashboard: AsgiClient, waiting: str
) -> None:
    body = completed(waiting)
    second = {"incarnation": 2, "token": SigningKeys([SECRET]).address_token(waiting, 2)}
    assert (await send(dashboard, waiting, body, plain(body), **second)).status == 409
    assert (await send(dashboard, waiting, body, plain(body), incarnation=1)).status == 200


async def test_a_signed_body_cannot_be_sent_again_to_a_later_incarnation(
    dashboard: AsgiClient, waiting: str, life: Life
) -> None:
    """Who has seen one signed result, and its address, knows nothing that ends the next run."""
    body = completed(waiting)
    first = {"incarnation": 1, "token": SigningKeys([SECRET]).address_token(waiting, 1)}
    await life.write(waiting, Change(kind=Status.FAILED, worker_id=WORKER, message="no luck"))
    assert (await dashboard.post(f"/api/jobs/{waiting}/redrive")).status == 202
    await life.start(waiting)
    await life.write(waiting, Change(kind=Status.WAITING, worker_id=WORKER, due_at=_in_an_hour()))
    replayed: list[dict[str, Any]] = [
        {"incarnation": 2},
        {"incarnation": 2, "token": ""},
        {"incarnation": 2, "token": first["token"]},
        {"incarnation": "02", "token": first["token"]},
        {"incarnation": 2, "token": "\u00e9"},
    ]
    for query in replayed:
        assert (await send(dashboard, waiting, body, plain(body), **query)).status == 401
    assert (await send(dashboard, waiting, body, plain(body), **first)).status == 409
    other = SigningKeys(["another secret of ours"]).address_token(waiting, 2)
    forged = await send(dashboard, waiting, body, plain(body), incarnation=2, token=other)
    assert forged.status == 401
    token = SigningKeys([SECRET]).address_token(waiting, 2)
    taken = await send(dashboard, waiting, body, plain(body), incarnation=2, token=token)
    assert (taken.status, taken.json["state"]) == (200, "completed")


async def test_what_we_sign_cannot_be_sent_back_to_us(dashboard: AsgiClient, waiting: str) -> None:
    body = completed(waiting)
    ours = delivery_keys([SECRET]).sign(body, message_id="m", at=datetime.now(UTC))
    assert (await send(dashboard, waiting, body, ours)).status == 401


async def test_a_body_that_names_another_job_is_refused(
    dashboard: AsgiClient, waiting: str
) -> None:
    body = completed(new_id())
    answer = await send(dashboard, waiting, body, plain(body))
    assert (answer.status, answer.json["field"]) == (400, "jobId")


async def test_an_unknown_job_is_404_for_who_signs_and_401_for_others(
    dashboard: AsgiClient,
) -> None:
    job_id = new_id()
    body = completed(job_id)
    assert (await send(dashboard, job_id, body, plain(body))).status == 404
    assert (await send(dashboard, job_id, body, {})).status == 401


async def test_without_a_secret_every_callback_is_401(client: AsgiClient) -> None:
    body = completed(new_id())
    for headers in (plain(body), plain(body, ""), standard(body), standard(body, key=b"")):
        assert (await send(client, new_id(), body, headers)).status == 401


def malformed(body: bytes) -> list[dict[str, str]]:
    good, signed = plain(body)["X-HMAC-SHA256"], standard(body)
    mac = signed["webhook-signature"]
    return [
        {},
        *({"X-HMAC-SHA256": each} for each in bad_hex(good)),
        *(signed | {"webhook-signature": each} for each in bad_list(mac)),
        *(signed | {"webhook-timestamp": each} for each in BAD_TIMES),
        signed | {"webhook-id": "another"},
        signed | {"webhook-id": ""},
        {k: v for k, v in signed.items() if k != "webhook-id"},
        {k: v for k, v in signed.items() if k != "webhook-timestamp"},
        {k: v for k, v in signed.items() if k != "webhook-signature"},
        standard(body, at=-600),
        standard(body, at=600),
        standard(body, key=b"another key"),
        plain(body, "another secret"),
    ]


BAD_TIMES = ["", "now", "nan", "inf", "-1", "1e400", "99999999999999999999", "2026-01-31", "\xb2"]


def bad_hex(good: str) -> list[str]:
    return [
        "",
        "0",
        "zz",
        good[:-1],
        good + "0",
        good[:-2] + "é",
        "sha256=" + good,
        "\x00",
        "ÿ" * 64,
    ]


def bad_list(mac: str) -> list[str]:
    return [
        "",
        "v1",
        "v1,",
        ",",
        "v1,v1,x",
        "v2," + mac[3:],
        "v1,é",
        mac[:-4],
        " ",
        "v1,%%%",
        "v1a,x",
    ]


async def test_whatever_is_malformed_is_401_and_never_500(
    dashboard: AsgiClient, backend: Backend, waiting: str
) -> None:
    body = completed(waiting)
    headers = malformed(body)
    assert len(headers) >= 30
    for each in headers:
        answer = await send(dashboard, waiting, body, each)
        assert (answer.status, answer.json["type"]) == (401, "bad-signature"), each
    assert len(await backend.trail.history(waiting)) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{",
        b'{"jobId":1,"status":"completed"}',
        b'{"jobId":"JOB"}',
        b'{"jobId":"JOB","status":"done"}',
        b'{"jobId":"JOB","status":"completed","message":7}',
        b'{"jobId":"JOB","status":"completed","payload":NaN}',
        b'{"jobId":"JOB","status":"completed","payload":"\\ud800"}',
        b'{"jobId":"JOB","status":"completed","payload":{"a":["\\u001b[2J"]}}',
        b'{"jobId":"JOB","status":"failed","error":"\\u0000"}',
        b'{"jobId":"JOB","status":"completed","payload":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"jobId":"JOB","status":"completed","payload":' + b"[" * 200 + b"]" * 200 + b"}",
    ],
)
async def test_a_signed_body_that_does_not_fit_is_400_and_an_unsigned_one_401(
    dashboard: AsgiClient, waiting: str, body: bytes
) -> None:
    body = body.replace(b"JOB", waiting.encode())
    assert (await send(dashboard, waiting, body, plain(body))).status == 400
    assert (await send(dashboard, waiting, body, standard(body, key=b"x"))).status == 401


@pytest.mark.parametrize("incarnation", ["0", "-1", "x", "", "1.5", "\u0661", "9" * 30])
async def test_an_incarnation_that_is_no_number_is_400(
    dashboard: AsgiClient, waiting: str, incarnation: str
) -> None:
    body = completed(waiting)
    assert (
        await send(dashboard, waiting, body, plain(body), incarnation=incarnation)
    ).status == 400


async def test_a_body_over_a_mebibyte_is_413(dashboard: AsgiClient, waiting: str) -> None:
    body = completed(waiting, payload="x" * 1024 * 1024)
    assert (await send(dashboard, waiting, body, plain(body))).status == 413


@pytest.mark.parametrize("sign", [plain, standard])
async def test_a_signed_body_over_the_limit_leaves_a_log_line_and_one_event(
    dashboard: AsgiClient, backend: Backend, waiting: str, sign: Any
) -> None:
    body = completed(waiting, payload="x" * 1_500_000)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            assert (await send(dashboard, waiting, body, sign(body))).status == 413
    refused = [each for each in logs if each["event"] == CALLBACK_REFUSED]
    assert {each["job_id"] for each in refused} == {waiting}
    events = await backend.trail.history(waiting)
    messages = [event.message for event in events if "refused" in event.data]
    assert len(messages) == 1
    assert f"{len(body):,} bytes" in messages[0]
    small = completed(waiting)
    assert (await send(dashboard, waiting, small, sign(small))).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        plain(b"another body"),
        standard(b"another body"),
        {"X-HMAC-SHA256": "é" * 64},
        {"webhook-id": "a", "webhook-timestamp": "x", "webhook-signature": "v1,é v1,====, ,"},
    ],
    ids=["none", "plain", "standard", "garbage", "standard garbage"],
)
async def test_an_unsigned_body_over_the_limit_is_401_and_leaves_no_event(
    dashboard: AsgiClient, backend: Backend, waiting: str, headers: dict[str, str]
) -> None:
    body = completed(waiting, payload="x" * 1_500_000)
    assert (await send(dashboard, waiting, body, headers)).status == 401
    assert len(await backend.trail.history(waiting)) == 3


async def test_a_stale_signature_of_a_body_over_the_limit_is_401(
    dashboard: AsgiClient, waiting: str
) -> None:
    body = completed(waiting, payload="x" * 1_500_000)
    assert (await send(dashboard, waiting, body, standard(body, at=-600))).status == 401


async def test_the_job_that_asked_for_a_callback_gets_its_own(
    dashboard: AsgiClient, backend: Backend, life: Life
) -> None:
    asked = {"type": "external.call", "callbackUrl": "https://example.org/done"}
    job_id = (await dashboard.post("/api/jobs", asked)).json["jobId"]
    await life.start(job_id)
    await life.write(job_id, Change(kind=Status.WAITING, worker_id=WORKER, due_at=_in_an_hour()))
    body = completed(job_id)
    await send(dashboard, job_id, body, plain(body))
    delivery = await backend.trail.read(callback_job_id(job_id, 1), 1)
    assert delivery is not None
    assert delivery.data["request"]["payload"] == {"jobId": job_id, "incarnation": 1}


async def test_a_job_whose_callback_jobs_id_is_taken_says_that_nobody_delivers_its_result(
    dashboard: AsgiClient, backend: Backend
) -> None:
    asked = {"type": "demo.steps", "callbackUrl": "https://example.org/done"}
    conflicts = {}
    for taken_by in ("another job", "nobody"):
        job_id = (await dashboard.post("/api/jobs", asked)).json["jobId"]
        taken = JobRequest(job_id=callback_job_id(job_id, 1), type="demo.steps")
        if taken_by == "another job":
            await backend.trail.insert([_opening(taken)])
        assert (await dashboard.post(f"/api/jobs/{job_id}/cancel")).status == 202
        job = (await dashboard.get(f"/api/jobs/{job_id}")).json
        page = (await dashboard.get(f"/jobs/{job_id}")).body.decode()
        assert job["callbackJobId"] == taken.job_id
        conflicts[taken_by] = job["callbackConflict"]
        assert ("the result is not delivered" in page) is (taken_by == "another job")
    assert conflicts["nobody"] is None
    assert conflicts["another job"].startswith(
        "the result is not delivered: another job has the id "
    )


def _opening(request: JobRequest) -> Event:
    """Event 1 as somebody writes it straight into storage: no entrance takes such an id."""
    now = datetime.now(UTC)
    defaults = JobDefaults(
        max_attempts=1, retry_delay_seconds=1, retry_max_seconds=1, timeout_seconds=1
    )
    change = opening_change(request, defaults, now=now, by="somebody")
    return draft(None, JobFacts.of(request), change, occurred_at=now)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"jobId":"x","status":"done"}', "status"),
        (b'{"payload":18446744073709551616}', "64 bits"),
        (b"[" * 2000, "not valid JSON"),
    ],
)
async def test_a_signed_answer_that_is_refused_stands_in_the_jobs_trail_once(
    dashboard: AsgiClient, backend: Backend, waiting: str, body: bytes, reason: str
) -> None:
    before = len(await backend.trail.history(waiting))
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            assert (await send(dashboard, waiting, body, plain(body))).status == 400
        assert (await send(dashboard, waiting, body, {})).status == 401
    refusals = [each for each in logs if each["event"] == "callback.refused" and "job_id" in each]
    assert {each["job_id"] for each in refusals} == {waiting}
    assert reason in refusals[0]["reason"]
    added = (await backend.trail.history(waiting))[before:]
    assert len(added) == 1
    assert "an answer came and was refused" in added[0].message
    assert reason in added[0].message
    good = completed(waiting)
    assert (await send(dashboard, waiting, good, plain(good))).status == 200
    verifier = Verifier()
    verifier.add(await backend.trail.history(waiting))
    found = [each for each in verifier.finish() if (each.sequence or 0) > before]
    assert found == []


async def test_a_third_party_that_sends_ever_new_nonsense_does_not_fill_the_trail(
    dashboard: AsgiClient, backend: Backend, waiting: str
) -> None:
    before = len(await backend.trail.history(waiting))
    for number in range(30):
        body = completed(waiting, status="done", number=number)
        assert (await send(dashboard, waiting, body, plain(body))).status == 400
    assert len(await backend.trail.history(waiting)) == before + 20
    good = completed(waiting)
    assert (await send(dashboard, waiting, good, plain(good))).status == 200


BANK = "a secret of the bank"
OTHER = "a secret of another"
PARTIES = {
    "BANK": CallbackTarget((BANK,), ("bank.example", "*.bank.example")),
    "OTHER": CallbackTarget((OTHER,)),
}


@pytest.mark.parametrize(
    ("payload", "good"),
    [
        ({"targetUrl": "https://bank.example/score"}, BANK),
        ({"targetUrl": "https://api.bank.example:8443/score"}, BANK),
        ({"targetUrl": "https://elsewhere.example/", "callbackSecret": "BANK"}, BANK),
        ({"targetUrl": "https://bank.example/", "callbackSecret": "OTHER"}, OTHER),
        ({"targetUrl": "https://elsewhere.example/"}, SECRET),
        ({"targetUrl": "https://bank.example.evil.example/"}, SECRET),
        ({"targetUrl": "https://elsewhere.example/", "callbackSecret": "NOBODY"}, None),
        (None, SECRET),
    ],
)
async def test_only_the_secret_of_a_jobs_own_third_party_ends_it(
    backend: Backend, life: Life, payload: Any, good: str | None
) -> None:
    dashboard = client_of(backend, callback_secrets=(SECRET,), callback_targets=PARTIES)
    answer = await dashboard.post("/api/jobs", {"type": "external.call", "payload": payload})
    job_id = answer.json["jobId"]
    await life.start(job_id)
    await life.write(job_id, Change(kind=Status.WAITING, worker_id=WORKER, due_at=_in_an_hour()))
    body = completed(job_id)
    for secret in (SECRET, BANK, OTHER):
        if secret != good:
            refused = await send(dashboard, job_id, body, plain(body, secret))
            assert refused.status == 401, secret
    garbage = json.dumps({"jobId": job_id, "status": "nonsense"}).encode()
    for secret in {SECRET, BANK, OTHER} - {good}:
        assert (await send(dashboard, job_id, garbage, plain(garbage, secret))).status == 401
    if good is not None:
        assert (await send(dashboard, job_id, body, plain(body, good))).status == 200
    job = (await dashboard.get(f"/api/jobs/{job_id}")).json
    assert "refused" not in json.dumps(job["events"])
