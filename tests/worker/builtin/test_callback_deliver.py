"""The final result is posted by a job of its own, signed, the same each time."""

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
import structlog

from jobfleet_contracts.callback_target import CallbackTarget
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import internal_job_id
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.ending import CALLBACK_CONFLICT
from jobfleet_protocol.actions.final_result import callback_job_id
from jobfleet_protocol.actions.signing_keys import SigningKeys, delivery_keys
from jobfleet_protocol.trail.tombstone import tombstone_of
from tests.worker.builtin.conftest import SECRET, Workshop
from tests.worker.key_ring import KeyRing
from tests.worker.outbound.target_server import TargetServer, answering

_SOON = timedelta(milliseconds=10)


async def _delivered(workshop: Workshop, target: TargetServer, **fields: str) -> Sequence[Event]:
    payload = {"steps": 1, "stepSeconds": 0}
    job_id = await workshop.submit("demo.steps", payload, callbackUrl=target.url("/done"), **fields)
    return await workshop.until_ended(callback_job_id(job_id, 1))


async def test_the_result_is_posted_with_both_signatures(
    workshop: Workshop, target: TargetServer
) -> None:
    workshop.start()
    history = await _delivered(workshop, target)
    method, path, headers, body = target.requests[0]
    result = json.loads(body)
    assert (method, path, result["state"], result["result"]) == (
        "POST",
        "/done",
        "completed",
        {"steps": 1},
    )
    keys = delivery_keys([SECRET])
    assert keys.verify(body, headers)
    assert keys.verify(body, {k: v for k, v in headers.items() if k != "X-HMAC-SHA256"})
    assert not SigningKeys([SECRET]).verify(body, headers), "a third party's key must not fit"
    assert headers["webhook-id"] == history[0].job_id
    assert history[0].data["request"]["payload"]["jobId"] == result["jobId"]


async def test_a_receiver_gets_the_clear_result_of_a_job_whose_trail_is_encoded(
    workshop: Workshop, target: TargetServer
) -> None:
    workshop.encode_with(KeyRing("k1"))
    workshop.start()
    history = await _delivered(workshop, target)
    result = json.loads(target.requests[0][3])
    assert (result["state"], result["result"]) == ("completed", {"steps": 1})
    ending = (await workshop.backend.trail.history(result["jobId"]))[-1]
    assert ending.data["result"].keys() == {"$encoded"}
    assert history[-1].data["result"].keys() == {"$encoded"}


async def test_it_is_repeated_with_the_same_id_and_body_until_it_is_taken(
    workshop: Workshop, target: TargetServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([503, 404, 200])

    async def answer(request: object) -> object:
        return await answering(next(answers))(request)  # type: ignore[arg-type]

    target.answer = answer  # type: ignore[assignment]
    monkeypatch.setattr("jobfleet_worker.run.outcome_record.retry_delay", lambda *_: _SOON)
    workshop.start()
    history = await _delivered(workshop, target)
    assert history[-1].after.state is State.COMPLETED
    assert len(target.requests) == 3
    assert len({(headers["webhook-id"], body) for _, _, headers, body in target.requests}) == 1


async def test_410_stops_it(workshop: Workshop, target: TargetServer) -> None:
    workshop.start()
    target.answer = answering(410)
    history = await _delivered(workshop, target)
    assert history[-1].after.state is State.FAILED
    assert len(target.requests) == 1


async def test_a_callback_into_the_private_network_is_refused(
    workshop: Workshop, target: TargetServer
) -> None:
    workshop.start(allow_private_targets=False)
    history = await _delivered(workshop, target)
    assert "loopback" in history[-1].message
    assert target.requests == []


async def test_of_a_removed_history_the_delivery_fails_saying_so(
    workshop: Workshop, target: TargetServer
) -> None:
    job_id = await workshop.submit("demo.steps", {}, callbackUrl=target.url("/done"))
    await _remove(workshop, job_id)
    workshop.start()
    history = await workshop.until_ended(callback_job_id(job_id, 1))
    assert history[-1].after.state is State.FAILED
    assert f"the history of job {job_id} was removed" in history[-1].message
    assert target.requests == []


@pytest.mark.parametrize(
    "payload",
    [
        {"url": "http://127.0.0.1:1/mine", "jobId": "V", "body": {"status": "completed"}},
        {"jobId": "V", "incarnation": 1},
        {"jobId": "V", "incarnation": 2},
        {"jobId": "V"},
    ],
)
async def test_a_delivery_that_we_did_not_make_signs_nothing(
    workshop: Workshop, target: TargetServer, payload: dict[str, object]
) -> None:
    """Even where one is in the trail: id, job and incarnation have to belong together."""
    victim = await workshop.submit("demo.steps", {}, callbackUrl=target.url("/done"))
    forged = JobRequest(
        job_id=internal_job_id("forged", victim),
        type="callback.deliver",
        payload=payload | {"jobId": victim},
    )
    await workshop.submitter.submit_internal(forged, by="test")
    workshop.start()
    history = await workshop.until_ended(forged.job_id)
    assert history[-1].after.state is State.FAILED
    assert {path for _, path, _, _ in target.requests} <= {"/done"}
    for _, _, headers, body in target.requests:
        assert json.loads(body)["jobId"] == victim
        assert headers["webhook-id"] == callback_job_id(victim, 1)


async def test_each_incarnation_delivers_its_own_end(
    workshop: Workshop, target: TargetServer
) -> None:
    """Also after the job has gone on, and after its dead letter was dismissed."""
    job_id = await workshop.submit("demo.steps", {"bad": 1}, callbackUrl=target.url("/done"))
    await workshop.writes.canceller.cancel(job_id, by="ann", reason="first")
    await workshop.writes.redriver.redrive(job_id, by="ann")
    await workshop.writes.canceller.cancel(job_id, by="ann", reason="second")
    workshop.start()
    for incarnation in (1, 2):
        await workshop.until_ended(callback_job_id(job_id, incarnation))
    results = {json.loads(body)["incarnation"]: json.loads(body) for *_, body in target.requests}
    assert "first" in results[1]["error"]["message"]
    assert "second" in results[2]["error"]["message"]


async def test_a_third_party_gets_no_traceback(workshop: Workshop, target: TargetServer) -> None:
    plan = {"steps": 1, "stepSeconds": 0, "failAttempts": 1, "message": "no luck"}
    url = target.url("/done")
    job_id = await workshop.submit("demo.steps", plan, callbackUrl=url, maxAttempts=1)
    workshop.start()
    ended = (await workshop.until_ended(job_id))[-1]
    assert "Traceback" in ended.data["error"]["traceback"]
    await workshop.until_ended(callback_job_id(job_id, 1))
    ((*_, body),) = target.requests
    assert set(json.loads(body)["error"]) == {"type", "message"}


async def test_a_taken_id_of_a_callback_is_logged_as_an_error(
    workshop: Workshop, target: TargetServer
) -> None:
    """Nobody can take it through an entrance; who writes into storage can."""
    job_id = await workshop.submit("demo.steps", {}, callbackUrl=target.url("/done"))
    taken = JobRequest(job_id=callback_job_id(job_id, 1), type="callback.deliver", payload={})
    await workshop.submitter.submit_internal(taken, by="test")
    with structlog.testing.capture_logs() as logs:
        await workshop.writes.canceller.cancel(job_id, by="ann")
    assert [
        (each["log_level"], each["job_id"]) for each in logs if each["event"] == CALLBACK_CONFLICT
    ] == [("error", job_id)]
    rows = (await workshop.backend.reader.open_rows()).items
    assert job_id not in [row.facts.job_id for row in rows]


async def _remove(workshop: Workshop, job_id: str) -> None:
    """As the retention does it, at its end."""
    await workshop.writes.canceller.cancel(job_id, by="ann")
    head = await workshop.backend.trail.newest(job_id)
    assert head is not None
    stone = tombstone_of(head, head, digest=None, message="history removed")
    assert workshop.backend.retention is not None
    await workshop.backend.retention.forget(stone, last=head.sequence)


async def test_what_goes_to_a_third_party_with_a_secret_of_its_own_is_signed_with_that(
    workshop: Workshop, target: TargetServer
) -> None:
    own = CallbackTarget(("a secret of the target",), ("127.0.0.1",))
    workshop.start(callback_targets={"TARGET": own})
    await _delivered(workshop, target)
    _, _, headers, body = target.requests[0]
    assert delivery_keys(own.secrets).verify(body, headers)
    assert not delivery_keys([SECRET]).verify(body, headers)
