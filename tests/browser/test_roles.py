"""What people with different keys see and may do."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from devtools.local_fleet import LocalFleet

pytestmark = pytest.mark.browser
KEYS = {"viewer": "a key to look with", "operator": "a key to act with"}


@pytest.fixture
def guarded_fleet(tmp_path: Path) -> Iterator[LocalFleet]:
    """A fleet that asks for keys."""
    entries = (f"{role}:{role}:{sha256(key.encode()).hexdigest()}" for role, key in KEYS.items())
    fleet = LocalFleet(data_dir=tmp_path, changes={"api_keys": tuple(entries)})
    fleet.start()
    yield fleet
    fleet.stop()


def logged_in(browser: Browser, fleet: LocalFleet, role: str) -> Page:
    """Open the first page as somebody with that role's key; it leads by way of the login."""
    page = browser.new_context().new_page()
    page.goto(fleet.address)
    page.get_by_label("Key", exact=True).fill(KEYS[role])
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".who")).to_contain_text(role)
    return page


def test_a_viewer_sees_what_an_operator_does_and_is_offered_nothing_to_do(
    browser: Browser, guarded_fleet: LocalFleet
) -> None:
    operator = logged_in(browser, guarded_fleet, "operator")
    operator.goto(f"{guarded_fleet.address}/submit")
    operator.get_by_label("Type").fill("demo.steps")
    operator.get_by_label("Payload").fill('{"steps": 90, "stepSeconds": 1}')
    operator.get_by_role("button", name="Submit job").click()
    expect(operator.locator("#head")).to_contain_text("running on worker")
    viewer = logged_in(browser, guarded_fleet, "viewer")
    viewer.goto(operator.url)
    expect(viewer.locator("#live")).to_have_text("live")
    for offer in ("Cancel", "Submit", "Resubmit with changes"):
        expect(viewer.get_by_text(offer, exact=True)).to_have_count(0)
    operator.get_by_role("button", name="Cancel").click()
    operator.get_by_role("button", name="Cancel this job").click()
    expect(viewer.locator("#head")).to_contain_text("cancelled")
    expect(viewer.get_by_text("Redrive", exact=True)).to_have_count(0)
    for page in (operator, viewer):
        page.context.close()
