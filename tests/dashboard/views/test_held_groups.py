"""A group that its members hold says so wherever the group is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_protocol.actions.group_counts import member_id
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.views.test_pages import PARTIAL, look

HELD = "held by 2 members that did not complete: redrive or dismiss them"


async def a_group(client: AsgiClient, cancelled: Sequence[int], **body: Any) -> str:
    """Seal a group of two members and cancel some of them."""
    opened = await client.post("/api/groups", {"name": "imports", **body})
    group = str(opened.json["jobId"])
    jobs = [{"type": "demo.steps"}] * 2
    await client.post(f"/api/groups/{group}/members", {"first": 0, "jobs": jobs})
    await client.post(f"/api/groups/{group}/seal", {"total": 2})
    for index in cancelled:
        await client.post(f"/api/jobs/{member_id(group, index)}/cancel")
    return group


async def test_a_held_group_is_told_on_its_job_page_in_lists_and_in_the_verdict(
    client: AsgiClient,
) -> None:
    group = await a_group(client, (0, 1), onFailure="hold")
    for path in (f"/jobs/{group}", "/jobs", "/jobs?type=group.wait"):
        page = await look(client, path)
        assert f'href="/groups/{group}">held by 2 members' in page, path
    assert f'">{HELD}' in await look(client, f"/jobs/{group}")
    assert "held by 2 members" in await look(client, "/stream/jobs", PARTIAL)
    (problem,) = [
        one for one in (await client.get("/api/verdict")).json["problems"] if one["kind"] == "held"
    ]
    assert problem["text"] == f"Group imports is {HELD}."
    assert problem["link"] == f"/groups/{group}"
    assert f"Group imports is {HELD}." in await look(client, "/")


@pytest.mark.parametrize(
    ("cancelled", "policy"), [((0,), "hold"), ((0, 1), "continue")], ids=["open member", "ended"]
)
async def test_a_group_that_nobody_holds_is_not_said_to_be_held(
    client: AsgiClient, backend: Backend, cancelled: Sequence[int], policy: str
) -> None:
    group = await a_group(client, cancelled, onFailure=policy)
    for path in (f"/jobs/{group}", "/jobs", "/"):
        assert "held by" not in await look(client, path), path
    assert await backend.trail.newest(group) is not None


async def test_the_job_page_of_a_group_says_nothing_of_attempts_and_logs(
    client: AsgiClient,
) -> None:
    group = await a_group(client, (0, 1))
    page = await look(client, f"/jobs/{group}")
    for line in (
        "<dt>due",
        "not started",
        "attempt 0",
        "<dt>attempt",
        "Attempts</h2>",
        "Handler log",
        "<dt>epoch",
    ):
        assert line not in page, line
    member = await look(client, f"/jobs/{member_id(group, 0)}")
    for line in ("not started", "<dt>attempt", "Attempts</h2>", "Handler log", "<dt>epoch"):
        assert line in member, line
