"""What happened in a range of time: the page of events, and what the API says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_dashboard.views.events.event_filter import parse_filter
from jobfleet_dashboard.views.events.range_chart import read_chart
from jobfleet_protocol.reading import event_search
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit
from tests.dashboard.views.test_pages import look

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_page_and_api_find_the_same_events(client: AsgiClient, life: Life) -> None:
    job_id = await submit(client, type="crm.sync", jobName="Acme")
    await life.start(job_id)
    await submit(client, type="mail.send", jobName="Zenith")
    asked = {"q": "type:crm.* status:started"}
    page = (await client.request("GET", "/events", query=asked)).body.decode()
    assert (page.count('<tr id="e-'), "Acme" in page, "Zenith" in page) == (1, True, False)
    found = (await client.request("GET", "/api/events", query=asked)).json
    assert [(item["jobId"], item["status"]) for item in found["items"]] == [(job_id, "Started")]
    ages_ago = {"since": "2020-01-01T02:00:00Z", "until": "2020-01-01T02:10:00Z"}
    page = (await client.request("GET", "/events", query=ages_ago)).body.decode()
    assert "No event matches this filter" in page
    assert "since=2020-01-01T01%3A50%3A00Z&until=2020-01-01T02%3A00%3A00Z" in unescape(page)


async def test_a_bounded_look_says_how_far_back_it_went_and_goes_on(
    client: AsgiClient, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_search, "LOOKED_AT", 1)
    monkeypatch.setattr(event_search, "MAX_LOOKS", 2)
    for _ in range(3):
        await life.start(await submit(client, type="t"))
    page = await look(client, "/events?q=-error:x")
    assert "Searched back to" in page
    assert ">Go on</a>" in page


async def test_a_word_that_does_not_fit_is_marked_and_a_time_without_a_zone_is_utc(
    client: AsgiClient,
) -> None:
    page = await look(client, "/events?q=a+stat:x&since=2026-03-01T02:00&until=2026-03-01T02:10")
    assert "<mark>stat:x</mark>" in page
    assert 'value="2026-03-01T02:00" data-moment="2026-03-01T02:00:00Z"' in page


@pytest.mark.parametrize(
    ("span", "bars", "unit"),
    [
        (timedelta(seconds=30), 1, "min"),
        (timedelta(minutes=10), 10, "min"),
        (timedelta(hours=3), 180, "min"),
        (timedelta(hours=5), 5, "h"),
        (timedelta(days=7), 168, "h"),
        (timedelta(days=9), None, ""),
    ],
)
async def test_a_range_has_as_many_bars_as_can_be_told_apart(
    backend: Backend, span: timedelta, bars: int | None, unit: str
) -> None:
    found = await read_chart(backend.reader, NOON - span, NOON, now=NOON)
    assert (found and len(found.chart.bars)) == bars
    assert found is None or found.unit == unit


async def test_a_range_that_is_too_long_for_a_chart_says_so_and_leads_to_its_end(
    client: AsgiClient,
) -> None:
    long = "/events?q=type:a&since=2026-01-01T00:00:00Z&until=2026-03-01T12:00:00Z"
    page = await look(client, long)
    assert "A chart covers up to 8 days" in page
    part = "/events?q=type%3Aa&since=2026-02-21T12%3A00%3A00Z&until=2026-03-01T12%3A00%3A00Z"
    assert f'href="{part}"' in unescape(page)
    shorter = await look(client, part)
    assert "A chart covers" not in shorter
    assert ">02-21 12:00</time>" in shorter  # eight times a day have the same time of day
    assert 'data-clock="day"' in shorter


def test_an_open_range_is_live_and_a_closed_one_is_not() -> None:
    assert parse_filter([("window", "1h")]).is_live
    assert parse_filter([("since", "2026-03-01T02:00:00Z")]).is_live
    assert not parse_filter([("until", "2026-03-01T02:00:00Z")]).is_live
    assert not parse_filter([("q", "stat:x")]).is_live
