"""The dashboard below a path of a host, behind the nginx of `deploy/nginx`."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from devtools.local_fleet import LocalFleet
from devtools.servers.polling import wait_until

pytestmark = pytest.mark.browser

LOCATIONS = Path(__file__).parents[2] / "deploy" / "nginx" / "jobfleet.conf"
CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 127.0.0.1:{port}; {locations} }}
}}
"""


@pytest.fixture(params=["/jobs", pytest.param("/a/b", marks=pytest.mark.full)])
def root(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(root: str, tmp_path: Path) -> Iterator[str]:
    """Where a browser finds the dashboard."""
    fleet = LocalFleet(data_dir=tmp_path / "data", changes={"root_path": root})
    fleet.start()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    behind = fleet.address.removesuffix(root)
    locations = LOCATIONS.read_text().replace("http://127.0.0.1:8000", behind)
    file = tmp_path / "nginx.conf"
    file.write_text(
        CONFIGURATION.format(
            folder=tmp_path, port=port, locations=re.sub(r"/jobs\b", root, locations)
        )
    )
    proxy = subprocess.Popen(["nginx", "-p", str(tmp_path), "-e", "error.log", "-c", str(file)])
    try:
        wait_until("nginx listens", lambda: _answers(port), timeout_seconds=120)
        yield f"http://127.0.0.1:{port}{root}"
    finally:
        proxy.terminate()
        proxy.wait(20)
        fleet.stop()


def test_pages_forms_streams_and_the_api_work_below_a_path(
    page: Page, site: str, root: str
) -> None:
    page.goto(site)
    expect(page.locator("#live")).to_have_text("live")
    below = re.compile(f"^{re.escape(root)}/events")
    expect(page.locator(".plot").first).to_have_attribute("data-range", below)
    expect(page.locator(".plot a").first).to_have_attribute("href", below)
    page.get_by_role("button", name="Submit a sample job").click()
    expect(page).to_have_url(re.compile(re.escape(f"{site}/jobs/")))
    expect(page.locator("#head")).to_contain_text("completed")
    page.keyboard.press("g")
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(re.escape(f"{site}/jobs")))
    page.get_by_role("link", name="sample: ten steps").first.click()
    expect(page.get_by_role("heading", name="sample: ten steps")).to_be_visible()
    accepted = page.request.post(f"{site}/api/jobs", data={"type": "echo"}).json()
    host = re.sub(r"(?<=\d)/.*", "", site)
    assert page.request.get(host + accepted["statusUrl"]).json()["type"] == "echo"
    assert page.request.get(f"{site}/api/jobs/export.csv").text().count("\n") >= 3


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
