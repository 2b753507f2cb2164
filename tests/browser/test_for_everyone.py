"""Keyboard, themes, phones, no scripts, and what axe finds."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from devtools.local_fleet import LocalFleet

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
PAGES = ("/", "/jobs", "/workers", "/locks", "/dead-letters", "/submit", "/login", "/nowhere")
RULES = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']"
CONTRAST = "{type: 'rule', values: ['color-contrast']}"


@pytest.fixture(scope="module")
def busy(fleet: LocalFleet) -> list[str]:
    """Addresses of pages with something on each of them."""
    running = fleet.submit(jobName="for everyone", lockKey="shared", payload={"steps": 500})
    fleet.submit(jobName="waits for it", lockKey="shared", payload={"steps": 1})
    failed = fleet.submit("no.such", jobName="dead")
    return [*PAGES, f"/jobs/{running}", f"/jobs/{failed}", f"/submit?from={running}"]


def test_axe_finds_nothing_on_any_page_in_either_theme(
    browser: Browser, fleet: LocalFleet, busy: list[str]
) -> None:
    context = browser.new_context(color_scheme="light", bypass_csp=True)
    page = context.new_page()
    for path in busy:
        page.emulate_media(color_scheme="light")
        page.goto(fleet.address + path)
        page.evaluate(AXE.read_text())
        assert violations(page, RULES) == [], f"{path} in light"
        page.emulate_media(color_scheme="dark")
        assert violations(page, "{type: 'rule', values: ['color-contrast']}") == [], (
            f"{path} in dark"
        )
    context.close()


def violations(page: Page, rules: str) -> list[tuple[str, str]]:
    """Return rule and element of everything that axe finds."""
    found = page.evaluate(f"axe.run({{runOnly: {rules}}})")["violations"]
    return [(one["id"], node["html"][:200]) for one in found for node in one["nodes"]]


def test_no_page_is_wider_than_a_phone(
    browser: Browser, fleet: LocalFleet, busy: list[str]
) -> None:
    context = browser.new_context(viewport={"width": 375, "height": 800})
    page = context.new_page()
    for path in busy:
        page.goto(fleet.address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path
    context.close()


def test_everything_is_reached_with_the_keyboard(
    page: Page, fleet: LocalFleet, busy: list[str]
) -> None:
    page.goto(fleet.address)
    page.keyboard.press("g")
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("for everyone")
    expect(page.locator("#rows tr")).to_have_count(1)
    page.locator("#q").blur()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("for everyone")


def test_help_and_theme_are_a_key_away(page: Page, fleet: LocalFleet) -> None:
    page.goto(fleet.address)
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_reading_and_acting_work_without_scripts(
    browser: Browser, fleet: LocalFleet, busy: list[str]
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{fleet.address}/submit")
    page.get_by_label("Type").fill("demo.steps")
    page.get_by_label("Name", exact=True).fill("by hand")
    page.get_by_label("Payload").fill('{"steps": 90, "stepSeconds": 1}')
    page.get_by_role("button", name="Submit job").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel this job").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("by hand")
    page.goto(f"{fleet.address}/jobs?q=by+hand")
    page.get_by_label("Select by hand").check()
    page.get_by_role("button", name="Redrive…").click()
    expect(page.locator("main")).to_contain_text("edrive")
    context.close()
