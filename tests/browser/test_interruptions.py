"""The dashboard goes away and comes back, or what it reads from."""

import sqlite3
from contextlib import closing
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
    expect(page.locator("#live")).to_contain_text("reconnecting, as of")
    port = int(first.address.rpartition(":")[2])
    second = LocalFleet(data_dir=tmp_path, port=port, changes=own_settings)
    second.start()
    second.submit(jobName="meanwhile", payload={"steps": 1, "stepSeconds": 0})
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#feed tr", has_text="meanwhile")).to_have_count(4)
    page.context.close()
    second.stop()


def test_while_storage_fails_pages_say_so_and_then_go_on_without_a_reload(
    browser: Browser, empty_fleet: LocalFleet, tmp_path: Path
) -> None:
    page, late = (browser.new_context().new_page() for _ in range(2))
    page.goto(f"{empty_fleet.address}/workers")
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate("window.kept = 'not loaded again'")
    with closing(sqlite3.connect(tmp_path / "jobfleet.db", timeout=20)) as database:
        database.execute("ALTER TABLE workers RENAME TO gone")
        empty_fleet.submit("no.such")  # news, so that the page is brought up to date at once
        expect(page.locator("#live")).to_contain_text("reconnecting, as of")
        ages = page.locator("time[data-tick=ago]").all_inner_texts()
        late.goto(f"{empty_fleet.address}/workers")
        expect(late.get_by_role("heading", level=1)).to_have_text("Backend unavailable")
        # Two turns of the page's timer, which would have moved every span.
        page.evaluate("new Promise((over) => setTimeout(over, 2200))")
        assert page.locator("time[data-tick=ago]").all_inner_texts() == ages
        database.execute("ALTER TABLE gone RENAME TO workers")
    expect(page.locator("#live")).to_have_text("live")
    assert page.evaluate("window.kept") == "not loaded again"
    expect(late.get_by_role("heading", level=1)).to_have_text("Workers")
    for opened in (page, late):
        opened.context.close()
