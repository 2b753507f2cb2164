"""Below a path of a host: every address that a page, a header or an answer names begins with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import SettingsError
from tests.dashboard.api.asgi_client import Answer, AsgiClient
from tests.dashboard.api.conftest import client_of
from tests.dashboard.api.life import WORKER, Life

ADDRESS = re.compile(r'(?<![\w:-])(href|src|action|formaction|hx-[a-z:]+)="([^"]*)"')
NO_ADDRESSES = {"hx-target", "hx-swap", "hx-trigger", "hx-include", "hx-headers", "hx-sync"}
_FILES = (".js", ".css", ".svg", ".png", ".csv", ".jsonl")
HTML = {"accept": "text/html"}


async def _submitted(client: AsgiClient, root: str) -> str:
    accepted = await client.post(f"{root}/api/jobs", {"type": "echo"})
    return str(accepted.json["jobId"])


def _addresses(page: str) -> Iterator[tuple[str, str]]:
    for name, value in ADDRESS.findall(page):
        if name not in NO_ADDRESSES and "/" in value:
            yield name, value.replace("&amp;", "&")


@pytest.mark.parametrize("root", ["/jobs", "/a/b"])
async def test_every_address_of_every_page_begins_with_the_root_path(
    root: str, backend: Backend, life: Life
) -> None:
    client = client_of(backend, root_path=root)
    done = await _submitted(client, root)
    broken = await _submitted(client, root)
    await life.start(done)
    await life.complete(done, {"rows": 3})
    await life.start(broken, lock="customer/7")
    await life.fail(broken)
    to_see, seen, asked = [f"{root}/"], set[str](), 0
    while to_see:
        address = to_see.pop()
        path = address.partition("?")[0].partition("#")[0]
        if path in seen or path.endswith(_FILES):
            continue
        seen.add(path)
        answer = await client.request("GET", address.partition("#")[0], headers=HTML)
        gone = f"/workers/{WORKER}" in address  # no row tells of the worker of `Life`
        assert answer.status == (404 if gone else 200), address
        asked += 1
        for name, found in _addresses(answer.body.decode()):
            assert found.startswith(f"{root}/"), (address, name, found)
            if name == "href":
                to_see.append(found)
    assert asked >= 12
    assert {f"{root}/jobs/{done}", f"{root}/dead-letters", f"{root}/docs"} <= seen


async def test_answers_and_headers_of_the_api_name_addresses_that_can_be_asked(
    backend: Backend,
) -> None:
    client = client_of(backend, root_path="/jobs")
    accepted = await client.post("/jobs/api/jobs", {"type": "echo"})
    assert accepted.status == 202
    assert accepted.headers["location"] == accepted.json["statusUrl"]
    assert (await client.get(accepted.json["statusUrl"])).json["type"] == "echo"
    all_of_them = {"action": "cancel", "filter": {"type": "echo"}, "expected": 1}
    action = await client.post("/jobs/api/jobs/actions", all_of_them)
    assert action.headers["location"] == action.json["statusUrl"], action.json
    assert (await client.get(action.json["statusUrl"])).status == 200
    description = (await client.get("/jobs/openapi.json")).json
    assert description["servers"] == [{"url": "/jobs"}]


async def test_a_form_leads_on_below_the_root_path_with_and_without_scripts(
    backend: Backend,
) -> None:
    client = client_of(backend, root_path="/jobs")
    form = {"content-type": "application/x-www-form-urlencoded", **HTML}
    plain = await client.request("POST", "/jobs/submit", body=b"type=echo", headers=form)
    assert _leads(plain, "location").startswith("/jobs/jobs/")
    scripted = form | {"hx-request": "true", "hx-request-type": "partial"}
    by_script = await client.request("POST", "/jobs/submit", body=b"type=echo", headers=scripted)
    assert _leads(by_script, "hx-redirect").startswith("/jobs/jobs/")


def _leads(answer: Answer, header: str) -> str:
    assert header in answer.headers, (answer.status, answer.body[:300])
    return answer.headers[header]


async def test_only_probes_are_answered_without_the_root_path(backend: Backend) -> None:
    client: AsgiClient = client_of(backend, root_path="/jobs")
    for path in ("/livez", "/readyz", "/jobs/livez", "/jobs", "/jobs/", "/jobs/api/jobs"):
        assert (await client.get(path)).status == 200, path
    for path in ("/", "/api/jobs", "/jobsx/", "/static/app.js", "/metrics", "//jobs/"):
        assert (await client.get(path)).status == 404, path


@pytest.mark.parametrize("path", ["jobs", "/jobs/", "/", "/a//b", "/a b", "/a/..", "/a?b", "/ä"])
def test_a_root_path_that_no_proxy_could_pass_on_is_refused(path: str) -> None:
    given: dict[str, Any] = {"root_path": path, "_env_file": None}
    with pytest.raises((SettingsError, ValueError), match="as /jobs"):
        Settings(**given)
