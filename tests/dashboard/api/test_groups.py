"""Groups over HTTP: opened, filled, sealed, and told of."""

from __future__ import annotations

from jobfleet_contracts.backend import Backend
from jobfleet_protocol.actions.group_counts import member_id
from tests.dashboard.api.asgi_client import AsgiClient


async def test_a_group_is_opened_filled_and_sealed(client: AsgiClient, backend: Backend) -> None:
    body = {"name": "imports", "onFailure": "hold", "then": [{"type": "report"}]}
    key = {"Idempotency-Key": "imports/1"}
    opened = await client.post("/api/groups", body, headers=key)
    assert (opened.status, opened.json["state"]) == (202, "waiting")
    group = opened.json["jobId"]
    assert (await client.post("/api/groups", body, headers=key)).json["jobId"] == group
    jobs = [{"type": "demo.steps"}, {"type": "bad type"}, {"type": "demo.steps"}]
    answer = await client.post(f"/api/groups/{group}/members", {"first": 0, "jobs": jobs})
    items = answer.json["items"]
    assert [items[0]["jobId"], items[2]["jobId"]] == [member_id(group, 0), member_id(group, 2)]
    assert items[1]["error"]["field"] == "type"
    again = await client.post(f"/api/groups/{group}/members", {"first": 1, "jobs": jobs[2:]})
    assert again.json["items"][0]["jobId"] == member_id(group, 1)
    assert (await client.post(f"/api/groups/{group}/seal", {"total": 3})).status == 202
    late = await client.post(f"/api/groups/{group}/members", {"first": 3, "jobs": jobs[:1]})
    assert late.json["items"][0]["error"]["type"] == "action-refused"
    await client.post(f"/api/jobs/{member_id(group, 1)}/cancel")
    standing = (await client.get(f"/api/groups/{group}")).json
    assert (standing["total"], standing["ended"]) == (3, 1)
    for path in ("/", "/events", f"/jobs/{group}"):
        page = await client.request("GET", path, headers={"Accept": "text/html"})
        assert (page.status, b"Sealed" in page.body) == (200, True), path
    assert standing["states"] == {"cancelled": 1}
    assert standing["bad"] == [{"index": 1, "jobId": member_id(group, 1)}]
    assert await backend.trail.newest(member_id(group, 3)) is None


async def test_what_does_not_fit_is_refused_and_named(client: AsgiClient) -> None:
    for body, field in (
        ({"onFailure": "stop"}, "onFailure"),
        ({"sealSeconds": "1"}, "sealSeconds"),
        ({"sealSeconds": 0.1}, "sealSeconds"),
        ({"then": [{"type": "report", "results": {"a": "others"}}]}, "then.0.results.a"),
        ({"type": "report"}, "type"),
    ):
        answer = await client.post("/api/groups", body)
        assert (answer.status, answer.json["field"]) == (400, field), body
    job = (await client.post("/api/jobs", {"type": "demo.steps"})).json["jobId"]
    assert (await client.get(f"/api/groups/{job}")).status == 409
    assert (await client.post(f"/api/groups/{job}/seal", {"total": 1})).status == 409


async def test_a_third_party_cannot_end_a_group_nor_can_a_redrive(client: AsgiClient) -> None:
    group = (await client.post("/api/groups", {"name": "imports"})).json["jobId"]
    assert (await client.post(f"/api/jobs/{group}/cancel")).json["state"] == "waiting"
    assert (await client.get(f"/api/groups/{group}")).json["cancelRequested"] is True
    refused = await client.post(f"/api/jobs/{group}/redrive")
    assert refused.status == 409
    assert "redrive its members" in refused.json["detail"]
