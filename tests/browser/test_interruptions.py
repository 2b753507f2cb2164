"""The dashboard goes away and comes back."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from devtools.local_fleet import LocalFleet
from tests.browser.both_backends import on_own_of_both_backends

pytestmark = pytest.mark.browser


@on_own_of_both_backends
def test_after_a_restart_of_the_dashboard_the_page_goes_on_and_nothing_is_missed(
    browser: Browser, own_settings: dict[str, Any], tmp_path: Path
) -> None:
    first = LocalFleet(data_dir=tmp_path, changes=own_settings)
    first.start()
    page = browser.new_context().new_page()  # its console may complain meanwhile
    page.goto(first.address)
    expect(page.locator("#live")).to_have_text("live")
    first.stop()
    expect(page.locator("#live")).to_have_text("reconnecting")
    port = int(first.address.rpartition(":")[2])
    second = LocalFleet(data_dir=tmp_path, port=port, changes=own_settings)
    second.start()
    second.submit(jobName="meanwhile", payload={"steps": 1, "stepSeconds": 0})
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#feed tr", has_text="meanwhile")).to_have_count(4)
    page.context.close()
    second.stop()
