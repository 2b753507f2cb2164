"""Every page is valid HTML: html-validate finds nothing but what is listed here with a reason."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.database import FILE_NAME
from tests.backends.sqlite.stored_jobs import (
    STORED_GROUP,
    store_jobs,
    store_waiters,
    stored_job_id,
)
from tests.dashboard.api.conftest import client_of
from tests.dashboard.costed_pages import PAGES, declare
from tests.dashboard.views.test_pages import HTML

VALIDATOR = Path(__file__).parents[2] / "node_modules/.bin/html-validate"
OTHERS = {
    "/login",
    "/nowhere",
    "/jobs?q=stat:x",
    "/jobs?state=failed",
    "/events?q=stat:x&window=1h",
}
WORDS = {"/jobs/words", "/events/words"}
"""They answer with options for a list alone."""
EXCEPTIONS: Mapping[str, str] = {
    "form-dup-name": "boxes of rows share a name, and so do the buttons of a form with actions",
    "doctype-style": "HTML takes it in small letters as well",
    "no-implicit-button-type": "a button within a form submits it, which is what is meant",
    "no-implicit-input-type": "an input without a type is a text",
    "prefer-native-element": "a region that scrolls is no part of the text",
    "wcag/h32": "the search in the bar is sent by Enter; other forms have a button",
}
BAD = "bad.html"


def _faults(folder: Path) -> list[tuple[str, str, str]]:
    config = folder / "rules.json"
    extends, rules = ["html-validate:recommended"], dict.fromkeys(EXCEPTIONS, "off")
    config.write_text(json.dumps({"root": True, "extends": extends, "rules": rules}))
    found = folder / "found.json"  # a pipe would be cut: the program ends before it is empty
    pages = sorted(str(page) for page in folder.glob("*.html"))
    ran = subprocess.run(
        [str(VALIDATOR), "--config", str(config), "--formatter", f"json={found}", *pages],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.exists(), ran.stderr
    return [
        (Path(page["filePath"]).name, fault["ruleId"], fault["message"])
        for page in json.loads(found.read_text())
        for fault in page["messages"]
    ]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every page of a dashboard that has jobs of each state."""
    folder, stored = tmp_path_factory.mktemp("pages"), tmp_path_factory.mktemp("stored")

    async def write() -> None:
        backend = await open_backend(Settings(data_dir=stored, _env_file=None))
        store_jobs(stored / FILE_NAME, 60, steps="[1,2,3,4]")
        store_waiters(stored / FILE_NAME, 10)
        action_id = await declare(backend, stored_job_id(7))
        client = client_of(backend)
        names = {"job": stored_job_id(7), "group": STORED_GROUP, "action": action_id}
        shown = {page.partition("?")[0] for page in PAGES} - WORDS
        shown = {page for page in shown if not page.startswith("/api/")}
        for number, page in enumerate(sorted(shown | OTHERS)):
            path, _, query = page.format(**names).partition("?")
            asked: Any = parse_qsl(query)
            answer = await client.request("GET", path, headers=HTML, query=asked)
            name = f"{number:02}{path.replace('/', '_')}.html"
            (folder / name).write_bytes(answer.body)
        await backend.close()

    asyncio.run(write())
    return folder


def test_every_page_is_valid_html_and_a_fault_would_be_found(pages: Path) -> None:
    (pages / BAD).write_text("<!doctype html><p><div></div></p>")
    faults = _faults(pages)
    assert [fault for fault in faults if fault[0] != BAD] == []
    assert "close-order" in {rule for _, rule, _ in faults}
