"""The first minute of somebody new."""

import pytest
from playwright.sync_api import Page, expect

from devtools.local_fleet import LocalFleet

pytestmark = pytest.mark.browser


def test_a_sample_job_is_submitted_from_the_empty_screen_and_watched_to_its_end(
    page: Page, empty_fleet: LocalFleet
) -> None:
    page.goto(empty_fleet.address)
    expect(page.get_by_text("No job has been submitted yet")).to_be_visible()
    page.get_by_role("button", name="Submit a sample job").click()
    expect(page.get_by_role("heading", name="sample: ten steps")).to_be_visible()
    expect(page.locator("#head")).to_contain_text("running on worker")
    expect(page.locator("#head progress")).to_have_attribute("value", "3", timeout=10_000)
    expect(page.locator("#live")).to_have_text("live")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel this job").click()
    expect(page.locator("#head")).to_contain_text("cancelled")
    expect(page.locator("#live")).to_have_text("ended")


def test_the_feed_and_the_counts_move_while_somebody_looks(page: Page, fleet: LocalFleet) -> None:
    page.goto(fleet.address)
    expect(page.locator("#live")).to_have_text("live")
    fleet.submit(jobName="seen live", payload={"steps": 2, "stepSeconds": 0.1})
    row = page.locator("#feed tr", has_text="seen live")
    expect(row.filter(has_text="Completed")).to_be_visible()
    expect(row).to_have_count(5)
