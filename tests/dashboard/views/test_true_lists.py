"""Lists say only what is so: counts, pauses, errors of a search, addresses without a page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.test_jobs import submit
from tests.dashboard.views.test_pages import HTML, PARTIAL, look


async def test_states_carry_counts_of_the_fleet_only_where_the_list_is_the_fleets(
    client: AsgiClient,
) -> None:
    await submit(client, type="demo.steps")
    await submit(client, type="demo.other")
    for query, counted in (
        ("", ["2"]),
        ("?state=queued", ["2"]),
        ("?type=demo.other", []),
        ("?q=demo", []),
        ("?state=queued&queue=default", []),
        ("?window=1h", []),
    ):
        page = await look(client, f"/jobs{query}")
        assert re.findall(r'id="count-queued">\s*([0-9]+)', page) == counted, query
        news = await look(client, f"/stream/jobs{query}", PARTIAL)
        assert re.findall(r'"#count-queued"[^>]*>\s*([0-9]+)', news) == counted, query


async def test_a_search_that_cannot_be_read_is_told_once(client: AsgiClient) -> None:
    await submit(client)
    page = await look(client, "/jobs?q=foo:bar")
    assert 'role="alert"' in page
    assert "No job matches" not in page
    assert "No job matches" in await look(client, "/jobs?q=nothing-like-it")


@pytest.mark.parametrize("section", ["workers", "types", "queues", "actions"])
async def test_an_address_below_a_list_says_what_is_missing_and_leads_to_the_list(
    client: AsgiClient, section: str
) -> None:
    answer = await client.request("GET", f"/{section}/%3Cb%3Ex", headers=HTML)
    page = answer.body.decode()
    assert answer.status == 404
    assert f'href="/{section}">All {section}</a>' in page
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    assert "GET /" not in page


async def test_the_end_of_a_pause_has_one_form_in_every_sentence(
    client: AsgiClient,
) -> None:
    job_id = await submit(client, type="demo.steps")
    end = (datetime.now(UTC) + timedelta(hours=1)).replace(second=0, microsecond=0)
    body = {"until": end.isoformat(), "reason": "provider down"}
    await client.post("/api/queues/default/pause", body)
    for path in ("/", f"/jobs/{job_id}", f"/jobs/{job_id}/waiting"):
        assert f"until {end:%Y-%m-%d %H:%M} UTC" in await look(client, path), path
