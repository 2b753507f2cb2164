"""Writes docs/screenshots/*.png: every page of a fleet at work, in both themes and on a phone."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect, sync_playwright

from devtools.chromium import FLAGS, find_chromium
from devtools.local_fleet import LocalFleet
from jobfleet_contracts.codec import format_time

FOLDER = Path(__file__).parents[1] / "docs" / "screenshots"
WIDE = {"width": 1280, "height": 860}
PHONE = {"width": 375, "height": 812}
SETTLE_SECONDS = 12.0
"""So long the sample jobs work before the pictures are taken."""


def main() -> None:
    """Start a fleet, give it work, and take the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        fleet = LocalFleet(data_dir=Path(folder), workers=2)
        fleet.start()
        try:
            shots = list(_pages(_work(fleet)))
            time.sleep(SETTLE_SECONDS)
            with sync_playwright() as playwright:
                path = find_chromium()
                browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
                for name, address in shots:
                    _shoot(browser, fleet, name, address)
                browser.close()
        finally:
            fleet.stop()
    print(f"{FOLDER}: {len(list(FOLDER.glob('*.png')))} pictures", file=sys.stderr)


def _work(fleet: LocalFleet) -> dict[str, str]:
    """Submit jobs of all fates; return the ids of two worth a page."""
    for number in range(14):
        payload: dict[str, Any] = {"steps": 4 + number % 5, "stepSeconds": 0.3}
        fleet.submit(jobName=f"sort parcels {number + 1}", payload=payload)
    for number in (17, 18):
        broken = {"steps": 4, "stepSeconds": 0.1, "failAttempts": 9}
        fleet.submit(jobName=f"resize photo {number}", maxAttempts=1, payload=broken)
    fleet.submit("archive.tar", jobName="archive spring orders")
    slow = {"steps": 4, "stepSeconds": 5}
    fleet.submit(jobName="call slow printer", maxAttempts=1, timeoutSeconds=1, payload=slow)
    _declare(fleet)
    tonight = format_time(datetime.now(UTC) + timedelta(hours=9))
    fleet.submit(jobName="nightly close", runAt=tonight)
    long = {"steps": 120, "stepSeconds": 2}
    running = fleet.submit(jobName="import customers", lockKey="customer-42", payload=long)
    _wait_until_running(fleet, running)
    fleet.submit(jobName="bill customers", lockKey="customer-42", payload=slow)
    flaky = {"steps": 6, "stepSeconds": 0.3, "failAttempts": 2}
    retried = fleet.submit(jobName="render map", retryDelaySeconds=2, payload=flaky)
    return {"running": running, "retried": retried}


def _declare(fleet: LocalFleet) -> None:
    short = {"steps": 2, "stepSeconds": 0.2}
    fleet.declare("count-stock", jobName="count stock", everySeconds=2, payload=short)
    fleet.declare("daily-report", cron="0 6 * * MON-FRI", timezone="Europe/Berlin")
    fleet.declare("send-invoices", type="invoices.send", cron="0 9 1 * *", timezone="UTC")
    fleet.declare("tidy-up", cron="30 2 * * *", timezone="America/New_York")
    fleet.pause("tidy-up", "closing the books")


def _wait_until_running(fleet: LocalFleet, job_id: str) -> None:
    until = time.monotonic() + SETTLE_SECONDS
    while fleet.job(job_id)["state"] != "running":
        if time.monotonic() > until:
            raise TimeoutError("the job that holds the lock does not start")
        time.sleep(0.1)


def _pages(jobs: dict[str, str]) -> Iterator[tuple[str, str]]:
    yield "overview", "/"
    yield "jobs", "/jobs"
    yield "events", "/events?q=-status:step"
    yield "job-running", f"/jobs/{jobs['running']}"
    yield "job-retried", f"/jobs/{jobs['retried']}"
    yield "queues", "/queues"
    yield "types", "/types"
    yield "schedules", "/schedules"
    yield "schedule", "/schedules/count-stock"
    yield "workers", "/workers"
    yield "locks", "/locks"
    yield "errors", "/errors"
    yield "dead-letters", "/dead-letters"
    yield "actions", "/actions"
    yield "submit", f"/submit?from={jobs['running']}"
    yield "login", "/login"
    yield "unknown-job", "/jobs/01a00000-0000-7000-8000-000000000000"


def _shoot(browser: Browser, fleet: LocalFleet, name: str, address: str) -> None:
    variants = (("light", WIDE, ""), ("dark", WIDE, "-dark"), ("light", PHONE, "-phone"))
    for scheme, size, suffix in variants:
        options: dict[str, Any] = {"color_scheme": scheme, "viewport": size}
        context = browser.new_context(**options)
        page = context.new_page()
        page.goto(fleet.address + address)
        expect(page.locator("#live")).not_to_have_text("connecting", timeout=60_000)
        page.wait_for_timeout(400)
        page.screenshot(path=str(FOLDER / f"{name}{suffix}.png"))
        context.close()


if __name__ == "__main__":
    main()
