"""The final result is posted by a job of its own, signed, the same each time."""

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.ending import callback_job_id
from jobfleet_protocol.actions.signing_keys import SigningKeys
from tests.worker.builtin.conftest import SECRET, Workshop
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
    said = json.loads(body)
    assert (method, path, said["state"], said["result"]) == (
        "POST",
        "/done",
        "completed",
        {"steps": 1},
    )
    keys = SigningKeys([SECRET])
    assert keys.verify(body, headers)
    assert keys.verify(body, {k: v for k, v in headers.items() if k != "X-HMAC-SHA256"})
    assert headers["webhook-id"] == history[0].job_id
    assert history[0].data["request"]["payload"]["jobId"] == said["jobId"]


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
    assert len({(told["webhook-id"], body) for _, _, told, body in target.requests}) == 1


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
