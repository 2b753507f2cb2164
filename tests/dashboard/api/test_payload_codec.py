"""Encrypted values at a dashboard: clear with the codec, a label without it, and never stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from jobfleet_backends.open_backend import with_coder
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.state import Status
from jobfleet_contracts.value_coder import ValueCoder
from jobfleet_protocol.actions.signing_keys import SigningKeys
from jobfleet_protocol.trail.transitions import Change
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.life import WORKER, Life
from tests.worker.key_ring import KeyRing

WORD = "Ada-Lovelace-of-London"
LABEL = "encrypted (key k1)"
SECRET = "a secret that is shared"
PAYLOAD = {"customer": WORD, "targetUrl": "https://partner.example.org/pay"}


class OnlyEncodes(KeyRing):
    """A dashboard with it takes values in, and shows none."""

    def decode(self, data: bytes, key_id: str) -> bytes:
        raise LookupError(key_id)


def with_codec(backend: Backend, codec: KeyRing) -> AsgiClient:
    return client_of(with_coder(backend, ValueCoder(codec)), callback_secrets=(SECRET,))


@pytest.fixture
def keyed(backend: Backend) -> AsgiClient:
    return with_codec(backend, KeyRing("k1"))


@pytest.fixture
def blind(backend: Backend) -> AsgiClient:
    return client_of(backend, callback_secrets=(SECRET,))


async def text(client: AsgiClient, path: str, **query: str) -> str:
    return (await client.get(path, **query)).body.decode()


async def submitted(client: AsgiClient, job_type: str = "order.pay") -> str:
    answer = await client.post(
        "/api/jobs", {"type": job_type, "payload": PAYLOAD, "description": WORD}
    )
    assert answer.status in {201, 202}, answer.json
    return str(answer.json["jobId"])


async def test_a_job_s_page_shows_clear_text_with_the_codec_and_a_label_without_it(
    backend: Backend, keyed: AsgiClient, blind: AsgiClient
) -> None:
    job_id = await submitted(keyed)
    assert WORD not in repr(await backend.trail.history(job_id))
    assert (await keyed.get(f"/api/jobs/{job_id}")).json["payload"] == PAYLOAD
    assert WORD in await text(keyed, f"/jobs/{job_id}")
    only_encodes = with_codec(backend, OnlyEncodes("k1"))
    for client in (blind, only_encodes):
        assert (await client.get(f"/api/jobs/{job_id}")).json["payload"] == LABEL
        page = await text(client, f"/jobs/{job_id}")
        assert LABEL in page
        assert WORD not in page
        assert "$encoded" not in page
        assert LABEL not in await text(client, "/submit", **{"from": job_id})
    for path in ("/api/jobs", "/api/events", "/jobs", "/events", "/api/jobs/export.csv"):
        for client in (keyed, blind):
            shown = await text(client, path)
            assert WORD not in shown
            assert "$encoded" not in shown
    cancelled = await blind.post(f"/api/jobs/{job_id}/cancel", {})
    assert cancelled.json["state"] == "cancelled"


async def test_a_third_party_s_result_is_stored_encoded_or_not_at_all(
    backend: Backend, keyed: AsgiClient, blind: AsgiClient, life: Life
) -> None:
    job_id = await submitted(keyed, "external.call")
    await life.start(job_id)
    due = datetime.now(UTC) + timedelta(hours=1)
    await life.write(job_id, Change(kind=Status.WAITING, worker_id=WORKER, due_at=due))
    body = json.dumps(
        {"jobId": job_id, "status": "completed", "payload": {"who": WORD}, "message": f"for {WORD}"}
    ).encode()
    path = f"/api/callbacks/jobs/{job_id}"
    headers = SigningKeys([SECRET]).sign(body, message_id="m1", at=datetime.now(UTC))
    refused = await blind.request("POST", path, body=body, headers=headers)
    assert refused.status == 503
    assert "JOBFLEET_PAYLOAD_CODEC" in refused.json["detail"]
    assert WORD not in refused.body.decode()
    taken = await keyed.request("POST", path, body=body, headers=headers)
    assert taken.json["state"] == "completed"
    assert WORD not in repr(await backend.trail.history(job_id))
    record = (await keyed.get(f"/api/jobs/{job_id}")).json
    assert record["result"] == {"who": WORD}
    assert record["events"][-1]["message"] == f"for {WORD}"
    assert (await blind.get(f"/api/jobs/{job_id}")).json["result"] == LABEL
