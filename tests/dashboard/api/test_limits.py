"""Named limits through the REST API and on the page ``/locks``."""

from __future__ import annotations

from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from tests.dashboard.api.asgi_client import Answer, AsgiClient

LIMIT = "/api/limits/api-stripe"


async def put(client: AsgiClient, path: str, body: dict[str, Any]) -> Answer:
    return await client.request("PUT", path, body=body)


async def test_a_limit_is_set_shown_changed_and_removed(client: AsgiClient) -> None:
    assert (await client.get("/api/limits")).json == {"items": []}
    body = {"slots": 5, "rate": "10/second", "reason": "their contract"}
    answer = await put(client, LIMIT, body)
    assert answer.status == 200
    found = (await client.get(LIMIT)).json
    assert found == answer.json
    assert (found["name"], found["slots"], found["rate"]) == ("api-stripe", 5, "10/second")
    assert (found["burst"], found["used"], found["holders"]) == (1, 0, [])
    assert found["reason"] == "their contract"
    assert found["setBy"]
    assert (await client.get("/api/limits")).json == {"items": [found]}
    page = (await client.get("/locks")).body.decode()
    assert "api-stripe" in page
    assert "0 of 5" in page
    assert "10/second" in page
    assert (await put(client, LIMIT, {"slots": 2})).json["rate"] is None
    assert (await client.request("DELETE", LIMIT)).status == 202
    assert (await client.get(LIMIT)).status == 404
    assert (await client.get("/api/limits")).json == {"items": []}
    kinds = [e["kind"] for e in (await client.get(f"{LIMIT}/history")).json["items"]]
    assert kinds == ["Removed", "Set", "Set"]
    first = (await client.get(f"{LIMIT}/history", limit=2)).json
    rest = (await client.get(f"{LIMIT}/history", limit=2, cursor=first["next"])).json
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "slots"),
        ({"slots": None, "rate": None}, "slots"),
        ({"slots": 0}, "slots"),
        ({"slots": 1001}, "slots"),
        ({"slots": 2.5}, "slots"),
        ({"slots": True}, "slots"),
        ({"slots": "5"}, "slots"),
        ({"slots": []}, "slots"),
        ({"rate": "10"}, "rate"),
        ({"rate": "0/second"}, "rate"),
        ({"rate": 10}, "rate"),
        ({"rate": "10/second", "burst": 0}, "burst"),
        ({"rate": "10/second", "burst": "2"}, "burst"),
        ({"slots": 1, "burst": 3}, "burst"),
        ({"slots": 1, "reason": 5}, "reason"),
        ({"slots": 1, "max": 3}, "max"),
    ],
)
async def test_a_value_that_does_not_fit_is_refused_with_its_field(
    client: AsgiClient, body: dict[str, Any], field: str
) -> None:
    answer = await put(client, LIMIT, body)
    assert (answer.status, answer.json["field"]) == (400, field), answer.json
    assert (await client.get("/api/limits")).json == {"items": []}


async def test_a_limit_that_does_not_exist_is_404(client: AsgiClient) -> None:
    for answer in (
        await client.get(LIMIT),
        await client.get(f"{LIMIT}/history"),
        await client.request("DELETE", LIMIT),
    ):
        assert (answer.status, answer.json["type"]) == (404, "unknown-limit")
    assert (await put(client, "/api/limits/has space", {"slots": 1})).status == 400


async def test_no_credential_in_the_reason_of_a_limit_is_shown(
    client: AsgiClient, backend: Backend
) -> None:
    reason = "until curl -H 'X-Api-Key: hunter22' works"
    assert (await put(client, LIMIT, {"slots": 1, "reason": reason})).status == 200
    for path in (LIMIT, "/api/limits", f"{LIMIT}/history", "/locks"):
        assert "hunter22" not in (await client.get(path)).body.decode()


async def test_what_a_job_names_as_limits_is_checked(client: AsgiClient) -> None:
    for limits in (["a", "a"], list("abcd"), ["has space"], "a", [5]):
        answer = await client.post("/api/jobs", {"type": "demo.steps", "limits": limits})
        assert answer.status == 400
        assert answer.json["field"].startswith("limits")
    answer = await client.post("/api/jobs", {"type": "demo.steps", "limits": ["api-stripe"]})
    assert answer.status == 202
