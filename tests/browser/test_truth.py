"""What the pages say is true, and can be seen at every width."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from devtools.local_fleet import LocalFleet
from tests.browser.both_backends import on_both_backends, on_own_of_both_backends

pytestmark = pytest.mark.browser
ONE_WIDTH = (800, *(pytest.param(width, marks=pytest.mark.full) for width in (375, 1280, 1440)))
QUICK = {"steps": 1, "stepSeconds": 0}
DIES = {"steps": 2, "failAttempts": 9, "stepSeconds": 0}


@on_own_of_both_backends
def test_failing_jobs_are_the_first_thing_that_the_first_screen_and_every_title_say(
    page: Page, empty_fleet: LocalFleet
) -> None:
    fleet = empty_fleet  # where other tests' jobs end well, eleven deaths are few
    for number in range(11):
        fleet.submit(jobName=f"dies {number}", maxAttempts=1, payload=DIES)
    page.goto(fleet.address)
    expect(page.locator("#fleet")).to_contain_text(re.compile(r"demo\.steps: \d+ of \d+ failed in"))
    expect(page).to_have_title(re.compile(r"^\(\d+\) Overview"))
    page.goto(f"{fleet.address}/workers")
    expect(page).to_have_title(re.compile(r"^\(\d+\) Workers"))
    page.goto(fleet.address)
    page.locator("#fleet a", has_text="demo.steps").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Errors")


@on_both_backends
def test_a_long_job_folds_its_steps_and_tells_its_attempts(page: Page, fleet: LocalFleet) -> None:
    job_id = fleet.submit(jobName="many steps", payload={"steps": 120, "stepSeconds": 0.01})
    page.goto(f"{fleet.address}/jobs/{job_id}")
    expect(page.locator("#head")).to_contain_text("completed")
    page.reload()
    lines = page.locator("#history > li")
    expect(lines).to_have_count(4)
    fold = page.locator("#history .steps")
    expect(fold).to_contain_text(re.compile(r"\d+ steps"))
    expect(page.locator("#attempts tbody tr")).to_have_count(1)
    assert int(lines.last.locator(".seq").inner_text()) > 20


@pytest.mark.parametrize("width", ONE_WIDTH)
def test_an_error_can_be_read_in_every_list(page: Page, fleet: LocalFleet, width: int) -> None:
    name = "a name of one hundred and ninety characters " * 4
    job_id = fleet.submit(jobName=name.strip(), maxAttempts=1, payload=DIES)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{fleet.address}/jobs/{job_id}")
    expect(page.locator("#head")).to_contain_text("failed on purpose")
    for path, row in (
        (f"/jobs?q={job_id[-8:]}&state=failed", f"#job-{job_id}"),
        (f"/jobs/{job_id}", "#attempts tbody tr"),
        ("/dead-letters", f"#dead-{job_id}"),
    ):
        page.goto(fleet.address + path)
        message = page.locator(row).get_by_text("failed on purpose").locator("visible=true").first
        expect(message).to_be_visible()
        box, line = message.bounding_box(), page.locator(row).first.bounding_box()
        assert box is not None
        assert line is not None
        assert box["width"] >= 80
        assert line["height"] <= 160
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1280, "height": 720})


def test_a_form_leads_to_its_error_and_doubts_a_type_that_nobody_handles(
    page: Page, fleet: LocalFleet
) -> None:
    page.set_viewport_size({"width": 375, "height": 500})
    page.goto(f"{fleet.address}/submit")
    assert set(page.locator("#submit input").evaluate_all("all => all.map(i => i.type)")) <= {
        "hidden",
        "text",
        "number",
    }
    page.get_by_label("Type").fill("demo.step")
    page.get_by_label("Lock slots").fill("900")
    page.get_by_role("button", name="Submit job").click()
    expect(page.get_by_label("Lock slots")).to_be_focused()
    expect(page.locator("#problem")).to_be_in_viewport()
    page.get_by_label("Lock slots").fill("")
    page.get_by_role("button", name="Submit job").click()
    expect(page.locator("#problem")).to_contain_text("Did you mean demo.steps?")
    expect(page.get_by_label("Type")).to_be_focused()
    page.get_by_role("button", name="Submit anyway").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("demo.step")
    page.set_viewport_size({"width": 1280, "height": 720})


def test_json_folds_and_a_filter_is_saved_in_the_browser(page: Page, fleet: LocalFleet) -> None:
    payload = {**QUICK, "message": "", "rows": [{"n": number} for number in range(40)]}
    job_id = fleet.submit("no.such", jobName="folds", payload=payload)
    page.goto(f"{fleet.address}/jobs/{job_id}")
    tree = page.get_by_role("region", name="Payload").locator(".tree")
    rows = tree.locator("details", has_text='"rows"').last
    expect(rows).not_to_have_attribute("open", "")
    rows.locator("summary").first.click()
    expect(rows.get_by_text('"n": ').first).to_be_visible()
    page.goto(f"{fleet.address}/jobs?state=failed&type=demo.steps")
    page.get_by_text("Saved filters").click()
    page.get_by_placeholder("Name of this filter").fill("dead <b>steps</b>")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto(f"{fleet.address}/jobs")
    page.get_by_text("Saved filters").click()
    page.get_by_role("link", name="dead <b>steps</b>").click()
    expect(page).to_have_url(f"{fleet.address}/jobs?state=failed&type=demo.steps")
    page.get_by_text("Saved filters").click()
    page.get_by_role("button", name="Forget dead").click()
    expect(page.locator("#saved li")).to_have_count(0)


def test_paper_and_forced_colours_keep_what_counts(browser: Browser, fleet: LocalFleet) -> None:
    job_id = fleet.submit(jobName="printed", payload=QUICK)
    context = browser.new_context(forced_colors="active")
    page = context.new_page()
    page.goto(f"{fleet.address}/jobs/{job_id}")
    border = "all => all.map((node) => getComputedStyle(node).borderBottomColor)"
    (current,) = page.locator(".bar nav a[aria-current]").evaluate_all(border)
    assert current not in page.locator(".bar nav a:not([aria-current])").evaluate_all(border)
    page.emulate_media(media="print", forced_colors="none")
    expect(page.locator(".bar")).to_be_hidden()
    expect(page.locator("#history")).to_be_visible()
    context.close()
