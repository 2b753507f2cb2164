"""A name that stands twice in one object is refused wherever a body comes from outside."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from jobfleet_backends.rabbitmq.message_codec import decode_message as decode_amqp
from jobfleet_backends.rabbitmq.message_codec import encode_message as encode_amqp
from jobfleet_backends.sql.message_codec import decode_message as decode_row
from jobfleet_contracts.codec import refuse_repeated_names
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.message import JobMessage, MalformedMessage
from tests.backends.rabbitmq.received import received
from tests.dashboard.api.all_routes import addressed, all_routes
from tests.dashboard.api.conftest import client_of
from tests.entrances.entrances import Site

NO_BODY = {"/api/actions/{actionId:uuid}/stop"}
"""Routes that read nothing of a body."""
SECRET = "a secret of the third party"
TWICE = "occurs twice in one object; send it once"


async def test_every_route_that_takes_json_refuses_it(site: Site) -> None:
    dashboard = site.dashboard
    asked = 0
    for route in all_routes(dashboard.app):
        if not route.path.startswith("/api/") or route.path in NO_BODY:
            continue
        if "/callbacks/" in route.path:
            continue
        for method in (route.methods or set()) - {"GET", "HEAD"}:
            body = b'{"reason": "a", "reason": "b"}'
            answer = await dashboard.request(method, addressed(route, new_id()), body=body)
            assert (answer.status, answer.json["detail"]) == (400, f"reason {TWICE}"), route.path
            asked += 1
    assert asked > 20


@pytest.mark.parametrize("twice", ['"status": "failed"', '"payload": {"paid": 0, "paid": 1}'])
async def test_a_signed_callback_with_it_is_refused(site: Site, twice: str) -> None:
    job_id = new_id()
    body = f'{{"jobId": "{job_id}", {twice}, "status": "completed"}}'.encode()
    signed = {"X-HMAC-SHA256": hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()}
    dashboard = client_of(site.backend, callback_secrets=(SECRET,))
    path = f"/api/callbacks/jobs/{job_id}"
    answer = await dashboard.request("POST", path, body=body, headers=signed)
    assert answer.status == 400
    assert TWICE in answer.json["detail"]


def test_a_foreign_message_with_it_is_malformed() -> None:
    body = f'{{"jobId": "{new_id()}", "type": "a", "type": "b"}}'.encode()
    for read in (decode_row(body, None), decode_amqp(received(body, headers={}), key=b"k" * 32)):
        assert isinstance(read, MalformedMessage)
        assert read.reason == f"type {TWICE}"


def test_the_fleets_own_message_is_taken_at_its_word() -> None:
    """Its code was made by who holds the key of the fleet; reading it twice would cost each job."""
    key = b"k" * 32
    sent = encode_amqp(JobMessage(request=JobRequest(type="a", job_id=new_id())), key=key)
    read = decode_amqp(received(sent.body, headers=dict(sent.headers)), key=key)
    assert isinstance(read, JobMessage)


def test_the_name_is_told_at_any_depth_and_none_without_one() -> None:
    with pytest.raises(InvalidRequest, match=f"size {TWICE}") as refused:
        refuse_repeated_names('{"rows": [{"size": 1, "size": 1}]}')
    assert refused.value.field == "size"
    refuse_repeated_names(json.dumps({"a": {"a": [{"a": 1}, {"a": 2}]}}))
