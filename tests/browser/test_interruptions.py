"""The dashboard goes away and comes back."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from devtools.local_fleet import LocalFleet

pytestmark = pytest.mark.browser


def test_after_a_restart_of_the_dashboard_the_page_goes_on_and_nothing_is_missed(
    browser: Browser, tmp_path: Path
) -> None:
    first = LocalFleet(data_dir=tmp_path)
    first.start()
    page = browser.new_context().new_page()
    page.goto(first.address)
    expect(page.locator("#live")).to_have_text("live")
    first.stop()
    expect(page.locator("#live")).to_have_text("reconnecting")
    second = LocalFleet(data_dir=tmp_path, port=int(first.address.rpartition(":")[2]))
    second.start()
    second.submit(jobName="meanwhile", payload={"steps": 1, "stepSeconds": 0})
    expect(page.locator("#live")).to_have_text("live", timeout=20_000)
    expect(page.locator("#feed tr", has_text="meanwhile")).to_have_count(4)
    page.context.close()
    second.stop()
