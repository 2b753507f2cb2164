"""Finding jobs, and acting on several."""

import re

import pytest
from playwright.sync_api import Page, expect

from devtools.local_fleet import LocalFleet
from tests.browser.both_backends import on_both_backends
from tests.browser.listed import open_until_listed

pytestmark = pytest.mark.browser
QUICK = {"steps": 1, "stepSeconds": 0.05}
SLOW = {"steps": 100, "stepSeconds": 60}
MOST_SHIFT = 0.01
"""Browsers call a layout shift good below 0.1 (web.dev/cls); ten times less stays unseen."""
SUM_OF_SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => list.getEntries().forEach((one) => { shifted += one.value; }))
  .observe({ type: "layout-shift", buffered: true });
"""


@on_both_backends
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
    open_until_listed(page, f"{fleet.address}/jobs?q=first+of+two", "#rows tr")
    page.locator(".chip", has_text="failed").click()
    expect(page.get_by_text("No job matches this filter")).to_be_visible()
    page.go_back()
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("nav[aria-label=Pages]")).to_be_visible()


def test_new_jobs_are_counted_on_top_instead_of_moving_the_rows(
    page: Page, fleet: LocalFleet
) -> None:
    fleet.submit(jobName="arrival 0", payload=QUICK)
    open_until_listed(page, f"{fleet.address}/jobs?q=arrival", "#rows tr")
    expect(page.locator("#live")).to_have_text("live")
    for number in (1, 2):
        fleet.submit(jobName=f"arrival {number}", payload=QUICK)
    expect(page.locator("#arrived")).to_have_text("2 new")
    expect(page.locator("#rows tr")).to_have_count(1)
    page.locator("#arrived").click()
    expect(page.locator("#rows tr")).to_have_count(3)


def test_rows_change_in_place_and_nothing_shifts(page: Page, fleet: LocalFleet) -> None:
    job_id = fleet.submit(jobName="changing row", payload=SLOW)
    fleet.submit(jobName="changing row below", payload=QUICK)
    page.add_init_script(SUM_OF_SHIFTS)
    open_until_listed(page, f"{fleet.address}/jobs?q=changing", "#rows tr", 2)
    row = page.locator(f"#job-{job_id}")
    expect(row).to_contain_text("running")
    expect(page.locator("#live")).to_have_text("live")
    place = row.bounding_box()
    fleet.act("cancel", job_id)
    fleet.submit(jobName="changing row on top", payload=QUICK)
    expect(row).to_contain_text("cancelled")
    expect(page.locator("#arrived")).to_have_text("1 new")
    assert row.bounding_box() == place
    assert page.evaluate("shifted") < MOST_SHIFT


def place_of(page: Page, selector: str) -> tuple[float, float, float]:
    """Return where a part begins and how wide it is; a list that new jobs reach may grow."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"]


@pytest.mark.parametrize("path", ["jobs", "events"])
def test_nothing_shifts_on_a_slow_page_or_when_the_stream_is_lost(
    page: Page, fleet: LocalFleet, path: str
) -> None:
    page.goto(f"{fleet.address}/{path}")
    expect(page.locator("#live")).to_have_text("live")
    marked = ["#window", "#q", "#main", "#search", ".bar nav"]
    places = [place_of(page, one) for one in marked]
    # A slow browser shows a form before all of it has come.
    page.evaluate("document.querySelectorAll('.moment').forEach((one) => { one.hidden = true; })")
    page.locator("#live").evaluate(
        "(sign) => { sign.textContent = 'reconnecting, as of 23:30:16' }"
    )
    assert [place_of(page, one) for one in marked] == places


@on_both_backends
def test_all_that_match_are_cancelled_with_their_exact_number_beyond_the_page(
    page: Page, fleet: LocalFleet
) -> None:
    count = 230 if fleet.is_embedded else 60
    fleet.submit_many(
        {"type": "demo.steps", "jobName": f"due later {n}", "runAt": "2126-01-01T00:00:00Z"}
        for n in range(count)
    )
    open_until_listed(page, f"{fleet.address}/jobs?q=due+later", "#rows tr", 50)
    page.get_by_label("All that match").check()
    expect(page.get_by_text("all that match", exact=True)).to_be_visible()
    page.get_by_role("button", name="Cancel…").click()
    expect(page.locator("#question")).to_contain_text(f"and {count - 8} more")
    page.get_by_role("button", name=f"Cancel {count} jobs").click()
    expect(page.locator("#action dd").first).to_have_text("ended")
    page.goto(f"{fleet.address}/jobs?q=due+later")
    expect(page.locator("#rows tr", has_text="cancelled")).to_have_count(50)


def test_selected_jobs_are_cancelled_after_a_question_with_their_exact_number(
    page: Page, fleet: LocalFleet
) -> None:
    for number in range(3):
        fleet.submit(jobName=f"stop me {number}", payload=SLOW)
    open_until_listed(page, f"{fleet.address}/jobs?q=stop+me", "#rows tr", 3)
    page.get_by_label("Select stop me 0").check()
    page.get_by_label("Select stop me 1").check()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel 2 jobs").click()
    expect(page.locator("#notice")).to_have_text("Cancelled 2 jobs.")
    expect(page).to_have_url(f"{fleet.address}/jobs?q=stop+me")  # said once, not at each reload
    expect(page.locator("#rows tr", has_text="cancelled")).to_have_count(2)


def test_a_wrong_filter_is_named(page: Page, fleet: LocalFleet) -> None:
    page.goto(f"{fleet.address}/jobs?state=lost&since=yesterday")
    expect(page.get_by_text("'lost' is none of")).to_be_visible()
    expect(page.get_by_text("since: 'yesterday' is not a time")).to_be_visible()


def test_back_leaves_each_filter_once_and_then_the_list(page: Page, fleet: LocalFleet) -> None:
    fleet.submit(jobName="way back", payload=QUICK)
    page.goto(f"{fleet.address}/workers")
    page.goto(f"{fleet.address}/jobs?q=way+back")  # other tests leave failed jobs
    for state in ("failed", "cancelled"):
        page.locator(".chip", has_text=state).click()
        expect(page).to_have_url(re.compile(f"state={state}"))
    page.go_back()
    expect(page).to_have_url(f"{fleet.address}/jobs?state=failed&q=way+back")
    expect(page.get_by_text("No job matches this filter")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(f"{fleet.address}/jobs?q=way+back")
    expect(page.locator("#rows tr", has_text="way back")).to_have_count(1)
    page.go_back()
    expect(page).to_have_url(f"{fleet.address}/workers")


def test_typing_makes_no_entries_for_back(page: Page, fleet: LocalFleet) -> None:
    fleet.submit(jobName="typed away", payload=QUICK)
    page.goto(f"{fleet.address}/workers")
    page.goto(f"{fleet.address}/jobs")
    for text in ("typed", "typed away"):
        page.locator("#q").fill(text)
        expect(page).to_have_url(f"{fleet.address}/jobs?q={text.replace(' ', '+')}")
    page.go_back()
    expect(page).to_have_url(f"{fleet.address}/workers")
