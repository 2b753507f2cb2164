"""Finding jobs, and acting on several."""

import pytest
from playwright.sync_api import Page, expect

from devtools.local_fleet import LocalFleet

pytestmark = pytest.mark.browser
QUICK = {"steps": 1, "stepSeconds": 0.05}
SLOW = {"steps": 100, "stepSeconds": 1}


def test_a_filter_is_the_address_and_survives_reload_and_back(
    page: Page, fleet: LocalFleet
) -> None:
    fleet.submit(jobName="needle in the hay", payload=QUICK)
    page.goto(f"{fleet.address}/jobs")
    page.locator("#q").fill("needle")
    expect(page).to_have_url(f"{fleet.address}/jobs?q=needle")
    expect(page.locator("#rows tr")).to_have_count(1)
    page.reload()
    expect(page.locator("#q")).to_have_value("needle")
    page.get_by_role("link", name="needle in the hay").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("needle in the hay")
    page.go_back()
    expect(page.locator("#rows tr")).to_have_count(1)


def test_back_within_the_list_brings_the_earlier_filter_and_a_whole_page(
    page: Page, fleet: LocalFleet
) -> None:
    fleet.submit(jobName="first of two", payload=QUICK)
    page.goto(f"{fleet.address}/jobs?q=first+of+two")
    page.locator(".chip", has_text="failed").click()
    expect(page.get_by_text("No job matches this filter")).to_be_visible()
    page.go_back()
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("nav[aria-label=Pages]")).to_be_visible()


def test_new_jobs_are_counted_on_top_instead_of_moving_the_rows(
    page: Page, fleet: LocalFleet
) -> None:
    fleet.submit(jobName="arrival 0", payload=QUICK)
    page.goto(f"{fleet.address}/jobs?q=arrival")
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#rows tr")).to_have_count(1)
    for number in (1, 2):
        fleet.submit(jobName=f"arrival {number}", payload=QUICK)
    expect(page.locator("#arrived")).to_have_text("2 new")
    expect(page.locator("#rows tr")).to_have_count(1)
    page.locator("#arrived").click()
    expect(page.locator("#rows tr")).to_have_count(3)


def test_a_row_changes_in_place(page: Page, fleet: LocalFleet) -> None:
    job_id = fleet.submit(jobName="changing row", payload={"steps": 3, "stepSeconds": 0.4})
    page.goto(f"{fleet.address}/jobs?q=changing")
    row = page.locator(f"#job-{job_id}")
    expect(row).to_contain_text("running")
    expect(row).to_contain_text("completed")


def test_selected_jobs_are_cancelled_after_a_question_with_their_exact_number(
    page: Page, fleet: LocalFleet
) -> None:
    for number in range(3):
        fleet.submit(jobName=f"stop me {number}", payload=SLOW)
    page.goto(f"{fleet.address}/jobs?q=stop+me")
    expect(page.locator("#rows tr")).to_have_count(3)
    page.get_by_label("Select stop me 0").check()
    page.get_by_label("Select stop me 1").check()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel 2 jobs").click()
    expect(page.locator("#rows tr", has_text="cancelled")).to_have_count(2)
    page.get_by_label("All that match").check()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel 1 job").click()
    expect(page.locator("#rows tr", has_text="cancelled")).to_have_count(3)


def test_a_wrong_filter_is_named(page: Page, fleet: LocalFleet) -> None:
    page.goto(f"{fleet.address}/jobs?state=lost&since=yesterday")
    expect(page.get_by_text("there is no 'lost'")).to_be_visible()
    expect(page.get_by_text("since: 'yesterday' is no time")).to_be_visible()
