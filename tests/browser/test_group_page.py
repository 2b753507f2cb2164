"""What somebody does with a group of jobs on its page."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from devtools.local_fleet import LocalFleet

pytestmark = pytest.mark.browser
FAILS_ONCE = {"steps": 1, "stepSeconds": 0, "failAttempts": 1}


def test_members_are_listed_those_that_failed_are_redriven_and_the_group_is_cancelled(
    page: Page, fleet: LocalFleet
) -> None:
    jobs: list[dict[str, Any]] = [
        {"jobName": "fails once", "maxAttempts": 1, "payload": FAILS_ONCE},
        {"jobName": "waits for nobody", "queue": "unserved", "payload": {"steps": 1}},
    ]
    group = fleet.submit_group("two of a kind", jobs)
    page.goto(f"{fleet.address}/groups/{group}")
    expect(page.get_by_role("heading", level=1)).to_have_text("two of a kind")
    members = page.locator("#members tbody tr")
    expect(members).to_have_count(2)
    expect(members.nth(0)).to_contain_text("failed")
    expect(members.nth(1)).to_contain_text("queued")
    page.get_by_role("button", name="Redrive members").click()
    page.get_by_role("button", name="Redrive members that did not complete").click()
    expect(page).to_have_url(re.compile("/actions/"))
    expect(page.locator("main")).to_contain_text("1 job")
    page.goto(f"{fleet.address}/groups/{group}")
    members.nth(0).get_by_role("link").click()
    expect(page.locator("#history")).to_contain_text("Redriven")
    page.goto(f"{fleet.address}/groups/{group}")
    page.get_by_role("button", name="Cancel").first.click()
    page.get_by_label("Reason").first.fill("no longer wanted")
    page.get_by_role("button", name="this group").click()
    expect(page).to_have_url(re.compile("/actions/"))
    page.goto(f"{fleet.address}/groups/{group}")
    expect(page.locator("#standing")).to_contain_text("cancelled")
    expect(members.nth(1)).to_contain_text("cancelled")
