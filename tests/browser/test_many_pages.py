"""One browser with more pages than it opens connections."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from devtools.local_fleet import LocalFleet

pytestmark = pytest.mark.browser
QUICK = {"steps": 1, "stepSeconds": 0}


def test_eight_pages_of_one_browser_are_all_brought_up_to_date(
    browser: Browser, fleet: LocalFleet
) -> None:
    context = browser.new_context()
    pages = [context.new_page() for _ in range(8)]
    for page in pages:
        page.goto(f"{fleet.address}/")
        expect(page.locator("#live")).to_have_text(("live", "every 3 s")[page in pages[4:]])
    job_id = fleet.submit(jobName="seen by all", payload=QUICK)
    for page in pages:
        expect(page.locator("#feed tr", has_text="seen by all").first).to_be_visible()
    pages[7].goto(f"{fleet.address}/jobs/{job_id}")
    expect(pages[7].locator("#live")).to_have_text("ended")
    pages[0].close()
    polling = [page.locator("#live") for page in pages[4:7]]

    def one_of_them_is_live() -> bool:
        pages[4].wait_for_timeout(100)
        return [place.text_content() for place in polling].count("live") == 1

    assert any(one_of_them_is_live() for _ in range(200))
    context.close()


def test_a_page_whose_scripts_come_late_is_live_all_the_same(page: Page, fleet: LocalFleet) -> None:
    """On a busy machine htmx began before its extension had come, and asked for nothing."""

    def late(route: Route) -> None:
        page.wait_for_timeout(700)
        route.continue_()

    page.route("**/*hx-sse*", late)
    page.goto(f"{fleet.address}/locks")
    expect(page.locator("#live")).to_have_text("live")
