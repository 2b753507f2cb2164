"""What somebody does with one job."""

import pytest
from playwright.sync_api import Page, expect

from devtools.local_fleet import LocalFleet
from tests.browser.both_backends import on_both_backends
from tests.browser.listed import open_until_listed

pytestmark = pytest.mark.browser
QUICK = {"steps": 1, "stepSeconds": 0}
HOSTILE = '<script>document.title="taken"</script><img src=x onerror=alert(1)> & "q"'


@on_both_backends
def test_a_running_job_is_cancelled_with_a_reason_that_the_trail_keeps(
    page: Page, fleet: LocalFleet
) -> None:
    job_id = fleet.submit(jobName="long one", payload={"steps": 100, "stepSeconds": 1})
    page.goto(f"{fleet.address}/jobs/{job_id}")
    expect(page.locator("#head")).to_contain_text("running on worker")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_label("Reason").fill("wrong customer")
    page.get_by_role("button", name="Cancel this job").click()
    expect(page.locator("#head")).to_contain_text("cancelled")
    expect(page.locator("#history")).to_contain_text("CancelRequested")
    assert "wrong customer" in str(fleet.job(job_id)["events"])


@on_both_backends
def test_two_browsers_see_each_others_action(page: Page, fleet: LocalFleet) -> None:
    job_id = fleet.submit(jobName="watched by two", payload={"steps": 100, "stepSeconds": 1})
    page.goto(f"{fleet.address}/jobs/{job_id}")
    other = page.context.new_page()
    other.goto(f"{fleet.address}/jobs/{job_id}")
    expect(other.locator("#live")).to_have_text("live")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel this job").click()
    expect(other.locator("#head")).to_contain_text("cancelled")
    other.close()


def test_what_a_job_waited_for_is_gone_as_soon_as_it_has_ended(
    page: Page, fleet: LocalFleet
) -> None:
    job_id = fleet.submit(jobName="waits for nobody", queue="unserved", payload=QUICK)
    page.goto(f"{fleet.address}/jobs/{job_id}")
    expect(page.locator("#waiting")).to_contain_text("No live worker serves queue unserved")
    expect(page.locator("#live")).to_have_text("live")
    fleet.act("cancel", job_id)
    expect(page.locator("#head")).to_contain_text("cancelled")
    expect(page.locator("#waiting")).to_have_css("display", "none", timeout=1)


@on_both_backends
def test_a_dead_letter_is_redriven_from_the_list_of_dead_jobs(
    page: Page, fleet: LocalFleet
) -> None:
    job_id = fleet.submit(
        jobName="dies first",
        maxAttempts=1,
        payload={"steps": 2, "failAttempts": 1, "stepSeconds": 0},
    )
    page.goto(f"{fleet.address}/jobs/{job_id}")
    expect(page.locator("#head")).to_contain_text("failed")
    row = f"#dead-{job_id}"
    open_until_listed(page, f"{fleet.address}/dead-letters", row)
    page.locator(row).get_by_role("checkbox").check()
    page.locator(".dead").get_by_role("button", name="Redrive…").click()
    page.get_by_role("button", name="Redrive 1 job").click()
    expect(page.locator("#notice")).to_have_text("Redriven 1 job.")
    assert "Redriven" in [event["status"] for event in fleet.job(job_id)["events"]]


def test_the_page_of_an_ended_job_notices_that_somebody_redrove_it(
    page: Page, fleet: LocalFleet
) -> None:
    job_id = fleet.submit(jobName="ended once", runAt="2126-01-01T00:00:00Z")
    fleet.act("cancel", job_id)
    page.goto(f"{fleet.address}/jobs/{job_id}")
    expect(page.locator("#live")).to_have_text("ended")
    fleet.act("redrive", job_id)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#head")).not_to_contain_text("cancelled")
    expect(page.locator("#history")).to_contain_text("Redriven")


def test_a_job_and_the_job_that_delivers_its_callback_lead_to_each_other(
    page: Page, fleet: LocalFleet
) -> None:
    url = "http://127.0.0.1:9/results"
    job_id = fleet.submit(jobName="asks for a callback", callbackUrl=url, payload=QUICK)
    page.goto(f"{fleet.address}/jobs/{job_id}")
    page.locator("#facts").get_by_role("link", name="job ").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("callback of asks for a callback")
    page.locator("#facts").get_by_role("link", name="job ").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("asks for a callback")


def test_what_is_copied_bears_the_address_in_the_browser(page: Page, fleet: LocalFleet) -> None:
    job_id = fleet.submit(jobName="copied", payload=QUICK)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{fleet.address}/jobs/{job_id}")
    page.get_by_role("button", name="Copy cURL").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"curl -sS {fleet.address}/api/jobs/{job_id}"


def test_a_job_is_submitted_again_with_changes(page: Page, fleet: LocalFleet) -> None:
    job_id = fleet.submit(jobName="first try", payload={"steps": 1, "stepSeconds": 0})
    page.goto(f"{fleet.address}/jobs/{job_id}")
    page.get_by_role("link", name="Resubmit with changes").click()
    page.get_by_label("Name", exact=True).fill("second try")
    page.get_by_label("Payload").fill('{"steps": 2')
    expect(page.locator("#payload-json")).to_contain_text("Not JSON yet")
    page.get_by_role("button", name="Submit job").click()
    expect(page.locator("#problem")).to_contain_text("payload")
    page.get_by_label("Payload").fill('{"steps": 2, "stepSeconds": 0}')
    page.get_by_role("button", name="Submit job").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("second try")


def test_hostile_names_payloads_and_errors_are_shown_as_text(page: Page, fleet: LocalFleet) -> None:
    job_id = fleet.submit("no.such.type", jobName=HOSTILE, payload={HOSTILE: HOSTILE})
    for path in (f"/jobs/{job_id}", "/", "/jobs", "/dead-letters"):
        page.goto(fleet.address + path)
        expect(page.get_by_text(HOSTILE).first).to_be_visible()
        expect(page).not_to_have_title("taken")


def test_an_unknown_job_is_a_page_that_offers_search(page: Page, fleet: LocalFleet) -> None:
    page.goto(f"{fleet.address}/jobs/01a00000-0000-7000-8000-000000000000")
    expect(page.get_by_role("heading", name="Unknown job")).to_be_visible()
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(f"{fleet.address}/jobs?q=01a00000-0000-7000-8000-000000000000")
