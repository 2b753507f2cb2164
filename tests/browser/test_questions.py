"""An operator's questions, answered by the pages alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from devtools.local_fleet import LocalFleet
from tests.browser.both_backends import on_both_backends
from tests.browser.listed import open_until_listed

pytestmark = pytest.mark.browser
EDGES = """() => {
  const own = document.querySelector("#worker .notice"), alarm = own.cloneNode(true);
  alarm.classList.add("bad");
  own.after(alarm);
  const edges = [own, alarm].map(notice => getComputedStyle(notice).borderLeftColor);
  alarm.remove();
  return edges;
}"""
"""Colours of the edges of a worker's notice, and of the same as an alarm."""


@on_both_backends
def test_what_failed_is_found_and_all_of_it_is_redriven(page: Page, fleet: LocalFleet) -> None:
    fails = {"steps": 2, "failAttempts": 1, "stepSeconds": 0}
    jobs = [fleet.submit(jobName=f"burst {n}", maxAttempts=1, payload=fails) for n in range(3)]
    group = ".groups a:has-text('DemoFailure')"
    open_until_listed(page, f"{fleet.address}/errors", group)
    page.locator(group).first.click()
    for job_id in jobs:
        open_until_listed(page, page.url, f"a[href='/jobs/{job_id}']")
    page.get_by_role("button", name="Redrive…").click()
    page.get_by_label("Reason, for the trail").fill("the cause is mended")
    page.locator("#question button[name=expected]").click()
    expect(page.locator("#action dd").first).to_have_text("ended")
    expect(page.locator("#action")).to_contain_text("the cause is mended")
    for job_id in jobs:
        statuses = [event["status"] for event in fleet.job(job_id)["events"]]
        assert statuses.count("Redriven") == 1
    page.goto(f"{fleet.address}/actions")
    expect(page.locator("main")).to_contain_text("the cause is mended")


def test_a_search_is_completed_while_it_is_typed_and_its_wrong_word_is_marked(
    page: Page, fleet: LocalFleet
) -> None:
    job_id = fleet.submit(jobName="found by its words", runAt="2126-01-01T00:00:00Z")
    page.goto(f"{fleet.address}/jobs")
    page.locator("#q").press_sequentially("state:sch", delay=20)
    expect(page.locator("#words option[value='state:scheduled']")).to_have_count(1)
    page.locator("#q").fill('state:scheduled "found by"')
    expect(page.locator(f"#job-{job_id}")).to_be_visible()
    page.locator("#q").fill("stat:scheduled")
    expect(page.locator("mark")).to_have_text("stat:scheduled")
    page.locator("#q").fill(job_id)
    page.wait_for_url(f"**/jobs/{job_id}")


@on_both_backends
def test_what_the_handler_said_is_read_on_the_jobs_page_while_it_runs(
    page: Page, fleet: LocalFleet
) -> None:
    job_id = fleet.submit("talk", payload=3, maxAttempts=1)
    page.goto(f"{fleet.address}/jobs/{job_id}")
    lines = page.locator("#log-lines > li:not([hidden])")
    expect(lines.filter(has_text="reading 3 rows")).to_be_visible()
    expect(lines.filter(has_text="row=2")).to_be_visible()  # without a reload
    expect(lines.filter(has_text="ValueError: no such customer")).to_be_visible()
    expect(lines.first).to_contain_text("row <b>refused</b>")
    expect(lines).to_have_count(5)
    assert "not-to-be-shown" not in page.content()
    page.locator("#attempts tbody a").first.click()
    expect(page.locator("pre")).to_contain_text("LookupError: the file is incomplete")
    page.get_by_role("link", name="Handler log").click()
    expect(page.locator(".log > li")).to_have_count(5)
    expect(page.locator(".log > li").first).to_contain_text("reading 3 rows")


@on_both_backends
def test_which_jobs_are_slow_and_what_their_worker_did(page: Page, fleet: LocalFleet) -> None:
    slow = {"steps": 4, "stepSeconds": 0.6, "failAttempts": 0}
    job = f"a[href='/jobs/{fleet.submit(jobName='the slow one', payload=slow)}']"
    open_until_listed(page, f"{fleet.address}/types", job)
    page.locator("th a", has_text="Type").click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Type")
    page.locator(job).click()
    page.locator("#attempts tbody a[href^='/workers/']").first.click()
    expect(page.locator("h1")).to_contain_text("Worker")
    expect(page.locator("#worker .notice")).to_contain_text("alive")
    own, alarm = page.evaluate(EDGES)
    assert own != alarm
    expect(page.locator(f"#worker {job}")).to_be_visible(timeout=20_000)  # after a heartbeat
