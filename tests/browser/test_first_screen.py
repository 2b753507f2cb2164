"""The first minute of somebody new."""

import pytest
from playwright.sync_api import Page, expect

from devtools.local_fleet import LocalFleet
from tests.browser.both_backends import on_own_of_both_backends

pytestmark = pytest.mark.browser


@on_own_of_both_backends
def test_a_sample_job_is_submitted_from_the_empty_screen_and_watched_to_its_end(
    page: Page, empty_fleet: LocalFleet
) -> None:
    page.goto(empty_fleet.address)
    expect(page.get_by_text("No job has been submitted yet")).to_be_visible()
    page.get_by_role("button", name="Submit a sample job").click()
    expect(page.get_by_role("heading", name="sample: ten steps")).to_be_visible()
    expect(page.locator("#head")).to_contain_text("running on worker")
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#head")).to_contain_text("completed")
    expect(page.locator("#history > li")).to_have_count(4)
    expect(page.locator("#history .steps li")).to_have_count(10)
    expect(page.locator("#live")).to_have_text("ended")


def test_the_feed_and_the_counts_move_while_somebody_looks(page: Page, fleet: LocalFleet) -> None:
    page.goto(fleet.address)
    expect(page.locator("#live")).to_have_text("live")
    fleet.submit(jobName="seen live", payload={"steps": 2, "stepSeconds": 0.1})
    row = page.locator("#feed tr", has_text="seen live")
    expect(row.filter(has_text="Completed")).to_be_visible()
    expect(row).to_have_count(5)


def test_events_wait_on_top_while_the_pointer_is_over_them(page: Page, fleet: LocalFleet) -> None:
    fleet.submit(jobName="before", payload={"steps": 1, "stepSeconds": 0})
    page.goto(fleet.address)
    expect(page.locator("#live")).to_have_text("live")
    rows = page.locator("#feed tr", has_text="before")
    expect(rows.filter(has_text="Completed")).to_be_visible()  # nothing of it comes any more
    row = rows.first
    row.hover()
    place = row.bounding_box()
    fleet.submit("no.such", jobName="arrives now")
    expect(page.locator("#held")).to_have_text("3 new")
    assert row.bounding_box() == place
    page.mouse.move(0, 0)
    expect(page.locator("#feed tr", has_text="arrives now")).to_have_count(3)
    expect(page.locator("#held")).to_be_hidden()


def test_further_problems_stay_within_the_screen(page: Page, fleet: LocalFleet) -> None:
    for queue in ("unserved-one", "unserved-two"):
        fleet.submit(queue=queue)
    for width in (375, 800):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(fleet.address)
        page.locator(".problems summary").click()
        edge = "list => [list.getBoundingClientRect().left, list.getBoundingClientRect().right]"
        left, right = page.locator(".problems ul").evaluate(edge)
        assert left >= 0
        assert right <= width
