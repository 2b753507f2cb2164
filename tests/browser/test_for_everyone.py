"""Keyboard, themes, phones, no scripts, and what axe finds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from devtools.local_fleet import LocalFleet
from tests.browser.conftest import HANDLERS
from tests.browser.listed import open_until_listed

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
PAGES = (
    "/",
    "/jobs",
    "/events",
    "/events?since=2026-01-31T02:00:00Z&until=2026-01-31T02:10:00Z&q=stat:x",
    "/schedules",
    "/workers",
    "/locks",
    "/errors",
    "/types",
    "/actions",
    "/actions/jobs",
    "/dead-letters",
    "/login",
    "/nowhere",
)
SCHEDULES = ("/schedules/often", "/schedules/nightly")
RULES = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']"
CONTRAST = "{type: 'rule', values: ['color-contrast']}"
WIDE: ViewportSize = {"width": 1280, "height": 720}
PHONE: ViewportSize = {"width": 375, "height": 800}
LONG = {"steps": 100, "stepSeconds": 60}


@dataclass(frozen=True)
class Visit:
    """What was found on one page; violations as rule and element."""

    light: list[list[str]]
    dark: list[list[str]]
    forced: list[list[str]]
    phone_width: int


@pytest.fixture(scope="module")
def busy_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    """A fleet whose jobs are these tests' own, so that every run sees the same pages."""
    folder = tmp_path_factory.mktemp("busy")
    changes = {"no_handler_seconds": 0.0}
    fleet = LocalFleet(data_dir=folder, changes=changes, handlers=HANDLERS)
    fleet.start()
    yield fleet
    fleet.stop()


@pytest.fixture(scope="module")
def visits(browser: Browser, busy_fleet: LocalFleet) -> Mapping[str, Visit]:
    """Every page, loaded once and judged in both themes and on a phone."""
    running = busy_fleet.submit(jobName="for everyone", lockKey="shared", payload=LONG)
    busy_fleet.submit(jobName="waits for it", lockKey="shared", payload=LONG)
    for name in ("no.such", "nor.this"):
        busy_fleet.submit(name, jobName="dead")
    talked = busy_fleet.submit("talk", payload=0, maxAttempts=1)
    busy_fleet.declare("nightly", cron="0 3 * * *", timezone="Europe/Berlin")
    busy_fleet.declare("often", everySeconds=1)
    busy_fleet.pause("nightly", "closing the books")
    context = browser.new_context(bypass_csp=True)
    context.add_init_script(path=AXE)
    page = context.new_page()
    page.goto(f"{busy_fleet.address}/dead-letters")
    expect(page.locator(".dead tbody tr")).to_have_count(3)
    page.goto(f"{busy_fleet.address}/errors")
    group = page.locator(".groups a").first.get_attribute("href")
    paths = (
        *PAGES,
        *SCHEDULES,
        f"/jobs/{running}",
        f"/jobs/{talked}",
        f"/jobs/{talked}/log",
        f"/jobs/{talked}/attempts/1",
        str(group),
        f"/submit?from={running}",
    )
    found = {path: visit(page, busy_fleet.address + path) for path in paths}
    context.close()
    return found


def visit(page: Page, address: str) -> Visit:
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)
    page.goto(address)
    expect(page.locator("#live")).not_to_have_text("connecting")
    light = violations(page, RULES)
    page.emulate_media(color_scheme="dark")
    dark = violations(page, CONTRAST)
    page.emulate_media(color_scheme="light", forced_colors="active")
    forced = violations(page, CONTRAST) + unmarked_tabs(page)
    page.emulate_media(forced_colors="none")
    page.set_viewport_size(PHONE)
    return Visit(light, dark, forced, page.evaluate("document.documentElement.scrollWidth"))


def unmarked_tabs(page: Page) -> list[list[str]]:
    """Return current tabs that look like the others, whatever colours the reader has forced."""
    marked: list[list[str]] = page.evaluate(
        """[...document.querySelectorAll("nav [aria-current]")].filter((tab) => {
        const other = [...tab.parentNode.children].find((one) => !one.hasAttribute("aria-current"));
        const look = (one) => getComputedStyle(one).borderBottomColor;
        return other && look(tab) === look(other);
    }).map((tab) => ["current tab", tab.textContent])"""
    )
    return marked


def violations(page: Page, rules: str) -> list[list[str]]:
    """Return rule and element of everything that axe finds."""
    found: list[list[str]] = page.evaluate(
        f"""axe.run({{runOnly: {rules}, resultTypes: ['violations']}}).then((found) =>
        found.violations.flatMap((one) => one.nodes.map((node) => [one.id, node.html])))"""
    )
    return found


def test_axe_finds_nothing_on_any_page_in_either_theme(visits: Mapping[str, Visit]) -> None:
    assert {path: seen.light for path, seen in visits.items() if seen.light} == {}
    assert {path: seen.dark for path, seen in visits.items() if seen.dark} == {}


def test_in_forced_colours_texts_can_be_read_and_the_current_tab_is_marked(
    visits: Mapping[str, Visit],
) -> None:
    assert {path: seen.forced for path, seen in visits.items() if seen.forced} == {}


def test_no_page_is_wider_than_a_phone(visits: Mapping[str, Visit]) -> None:
    assert {path for path, seen in visits.items() if seen.phone_width > PHONE["width"]} == set()


def test_a_job_is_found_and_cancelled_with_the_keyboard_alone(
    page: Page, fleet: LocalFleet
) -> None:
    fleet.submit(jobName="typed for", payload=LONG)
    page.goto(fleet.address)
    page.keyboard.press("g")
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("typed for")
    expect(page).to_have_url(re.compile(r"q=typed\+for$"))  # later answers would deselect
    expect(page.locator("#rows tr")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_text("1 selected")).to_be_visible()
    walk_to(page, page.get_by_role("button", name="Cancel…"), "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Leave them")).to_be_focused()
    walk_to(page, page.get_by_role("button", name="Cancel 1 job"), "Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_have_text("Cancelled 1 job.")


def walk_to(page: Page, goal: Locator, key: str) -> None:
    """Press the key until the focus is there."""
    expect(goal).to_be_visible()
    for _ in range(20):
        if goal.evaluate("place => place === document.activeElement"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} does not lead to it")


def test_enter_opens_the_row_that_the_keyboard_is_at(page: Page, fleet: LocalFleet) -> None:
    fleet.submit(jobName="opened by a key", payload={"steps": 1, "stepSeconds": 0})
    open_until_listed(page, f"{fleet.address}/jobs?q=opened+by", "#rows tr")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("opened by a key")


def test_help_and_theme_are_a_key_away(browser: Browser, fleet: LocalFleet) -> None:
    page = browser.new_context().new_page()  # the theme is kept in it
    page.goto(fleet.address)
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("t")
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.context.close()


def test_reading_and_acting_work_without_scripts(browser: Browser, fleet: LocalFleet) -> None:
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
    open_until_listed(page, f"{fleet.address}/jobs?q=by+hand", "#rows tr")
    page.get_by_label("Select by hand").check()
    page.get_by_role("button", name="Redrive…").click()
    expect(page.locator("main")).to_contain_text("edrive")
    context.close()
