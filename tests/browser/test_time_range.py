"""What happened between two times: dragged over a chart, picked, and in which zone it is shown."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from devtools.local_fleet import LocalFleet
from tests.browser.both_backends import on_both_backends

pytestmark = pytest.mark.browser
ZONE = "Asia/Kolkata"
QUICK = {"steps": 1, "stepSeconds": 0.05}


@pytest.fixture
def far_away(browser: Browser) -> Iterator[Page]:
    """A page whose reader lives five and a half hours east of UTC."""
    context = browser.new_context(timezone_id=ZONE)
    yield context.new_page()
    context.close()


@on_both_backends
def test_a_range_is_dragged_over_a_chart_and_shown_in_the_zone_of_its_reader(
    far_away: Page, fleet: LocalFleet
) -> None:
    page = far_away
    fleet.submit(jobName="within the range", payload=QUICK)
    page.goto(fleet.address)
    expect(page.locator("#live")).to_have_text("live")
    box = page.locator(".plot").first.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 1, middle, steps=4)
    expect(page.locator(".veil")).to_be_visible()
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"/events\?since=.*Z&until=.*Z$"))
    since = re.search(r"T(\d\d)%3A(\d\d)%3A00Z", page.url)
    assert since is not None
    local = (int(since[1]) * 60 + int(since[2]) + 330) % 1440
    shown = page.locator("#since").input_value()
    assert shown.endswith(f"T{local // 60:02}:{local % 60:02}")
    expect(page.get_by_role("link", name="within the range").first).to_be_visible()

    page.keyboard.press("u")  # holds for all pages
    assert page.locator("#since").input_value().endswith(f"T{since[1]}:{since[2]}")
    page.goto(f"{fleet.address}/jobs")
    expect(page.locator("label[for=since]")).to_have_text("From UTC")
    page.locator("#since").fill("2026-01-31T02:00")
    expect(page).to_have_url(re.compile(r"/jobs\?since=2026-01-31T02%3A00%3A00Z$"))
    page.locator("#window").select_option("1h")  # the one that was touched last stands
    expect(page).to_have_url(re.compile(r"/jobs\?window=1h$"))


def test_a_bar_is_a_link_to_what_happened_in_its_time(page: Page, fleet: LocalFleet) -> None:
    fleet.submit(jobName="in a bar", payload=QUICK)
    page.goto(f"{fleet.address}/events")
    bar = page.locator(".plot a").last
    address = bar.get_attribute("href")
    bar.click(force=True)
    expect(page).to_have_url(f"{fleet.address}{address}")


def test_events_arrive_and_without_scripts_a_range_is_in_utc(
    page: Page, fleet: LocalFleet, browser: Browser
) -> None:
    page.goto(f"{fleet.address}/events?q=arrives+here")
    expect(page.locator("#live")).to_have_text("live")
    fleet.submit(jobName="arrives here", payload=QUICK)
    expect(page.locator("#feed tr").first).to_contain_text("arrives here")

    context = browser.new_context(java_script_enabled=False, timezone_id=ZONE)
    plain = context.new_page()
    plain.goto(f"{fleet.address}/events")
    plain.locator("#since").fill("2026-01-31T02:00")
    plain.get_by_role("button", name="Filter").click()
    expect(plain.locator("label[for=since]")).to_have_text("From UTC")
    assert plain.locator("#since").input_value() == "2026-01-31T02:00"
    expect(plain.locator("#feed tr").first).to_be_visible()
    context.close()


def test_the_current_tab_is_in_sight_on_a_phone_and_a_pause_ends_in_the_zone_of_its_reader(
    far_away: Page, fleet: LocalFleet
) -> None:
    page = far_away
    page.set_viewport_size({"width": 375, "height": 800})
    page.goto(f"{fleet.address}/queues")
    expect(page.locator(".bar nav [aria-current]")).to_be_in_viewport()
    page.goto(f"{fleet.address}/actions")
    expect(page.locator(".bar nav [aria-current]")).to_be_in_viewport(ratio=1)
    page.goto(f"{fleet.address}/queues")
    page.get_by_label("Name", exact=True).fill("nobody-waits-here")
    page.get_by_label("Until").fill("2099-01-31T02:00")
    page.get_by_role("button", name="Pause", exact=True).first.click()
    row = page.locator("#queues tr", has_text="nobody-waits-here")
    expect(row.locator("time[datetime='2099-01-30T20:30:00.000Z']")).to_be_visible()
