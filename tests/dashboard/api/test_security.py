"""Who is let in, and what is kept out."""

from __future__ import annotations

import time
from hashlib import sha256

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import SettingsError
from jobfleet_contracts.job_id import new_id
from jobfleet_dashboard.security.api_keys import ApiKeys, new_key
from jobfleet_dashboard.security.bind import check_bind
from jobfleet_dashboard.security.sessions import COOKIE
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of, options_with

KEYS = {role: new_key(f"{role}-key", role) for role in ("viewer", "submitter", "operator")}
JOB = {"type": "demo.steps"}


@pytest.fixture
def guarded(backend: Backend) -> AsgiClient:
    """A dashboard with one key per role."""
    return client_of(backend, api_keys=tuple(line for _, line in KEYS.values()))


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[role][0]}"}


async def test_without_a_key_the_api_is_401_and_probes_are_open(guarded: AsgiClient) -> None:
    for path in ("/api/jobs", "/api/workers", "/metrics", f"/api/jobs/{new_id()}"):
        answer = await guarded.get(path)
        assert (answer.status, answer.json["type"]) == (401, "not-authenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    for path in ("/livez", "/readyz", "/openapi.json"):
        assert (await guarded.get(path)).status == 200
    assert (await guarded.post("/api/jobs", JOB)).status == 401


async def test_a_key_that_nobody_has_is_told_from_none(guarded: AsgiClient) -> None:
    for sent in ({"X-API-Key": "typo"}, {"Authorization": "Bearer typo"}):
        answer = await guarded.request("GET", "/api/jobs", headers=sent)
        assert answer.json["detail"].startswith("the key that was sent is not known; ")
    assert (await guarded.get("/api/jobs")).json["detail"].startswith("send a key ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic YTpi"},
        {"X-API-Key": ""},
        {"X-API-Key": "\xff\x00"},
        {"Cookie": f"{COOKIE}=forged"},
    ],
)
async def test_a_wrong_key_is_401(guarded: AsgiClient, headers: dict[str, str]) -> None:
    assert (await guarded.request("GET", "/api/jobs", headers=headers)).status == 401


async def test_each_role_may_do_what_it_covers(guarded: AsgiClient) -> None:
    allowed: dict[str, tuple[int, int, int]] = {}
    for role in KEYS:
        read = await guarded.request("GET", "/api/jobs", headers=bearer(role))
        made = await guarded.post("/api/jobs", JOB, headers=bearer(role))
        acted = await guarded.post(f"/api/jobs/{new_id()}/cancel", headers=bearer(role))
        allowed[role] = (read.status, made.status, acted.status)
    assert allowed == {
        "viewer": (200, 403, 403),
        "submitter": (200, 202, 403),
        "operator": (200, 202, 404),
    }


async def test_who_did_it_stands_in_the_trail(guarded: AsgiClient) -> None:
    key = {"X-API-Key": KEYS["operator"][0]}
    job_id = (await guarded.post("/api/jobs", JOB, headers=key)).json["jobId"]
    await guarded.post(f"/api/jobs/{job_id}/cancel", headers=key)
    events = (await guarded.request("GET", f"/api/jobs/{job_id}", headers=key)).json["events"]
    assert [event["data"]["by"] for event in events] == ["operator-key", "operator-key"]


async def test_a_browser_without_a_session_is_sent_to_the_login(guarded: AsgiClient) -> None:
    headers = {"Accept": "text/html"}
    answer = await guarded.request("GET", "/jobs", headers=headers, query={"state": "failed"})
    assert answer.status == 303
    assert answer.headers["location"] == "/login?next=%2Fjobs%3Fstate%3Dfailed"


async def test_a_session_cookie_carries_the_role_of_its_key(guarded: AsgiClient) -> None:
    from starlette.responses import Response

    services = guarded.app.state.services
    response = Response()
    services.sessions.open(response, services.keys.find(KEYS["viewer"][0]), secure=True)
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "Secure" in cookie
    headers = {"Cookie": cookie.partition(";")[0]}
    assert (await guarded.request("GET", "/api/jobs", headers=headers)).status == 200
    assert (await guarded.post("/api/jobs", JOB, headers=headers)).status == 403


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("http", False)])
async def test_the_cookie_is_secure_where_the_browser_says_that_it_used_https(
    guarded: AsgiClient, scheme: str, secure: bool
) -> None:
    headers = {
        "host": "jobs.example",
        "Origin": f"{scheme}://jobs.example",
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "text/html",
    }
    body = f"key={KEYS['viewer'][0]}".encode()
    answer = await guarded.post("/login", body, headers=headers)
    assert answer.status == 303
    assert ("Secure" in answer.headers["set-cookie"]) is secure


async def test_a_replaced_key_ends_its_sessions(backend: Backend) -> None:
    from starlette.responses import Response

    lines = [new_key("ada", "viewer")[1] for _ in range(2)]
    old, new = (client_of(backend, api_keys=(line,), session_secret="s") for line in lines)
    response = Response()
    services = old.app.state.services
    services.sessions.open(response, services.keys.named("ada"), secure=False)
    headers = {"Cookie": response.headers["set-cookie"].partition(";")[0]}
    assert (await old.request("GET", "/api/jobs", headers=headers)).status == 200
    assert (await new.request("GET", "/api/jobs", headers=headers)).status == 401


STRANGE_HOSTS = [
    *("evil.example", "evil.example:8000", "127.0.0.1.evil.example:8000", "", "[::2]", "0.0.0.0"),
    *("[::1].evil.example", "[::1]evil.example", "[::1]:80.evil.example", "[::1]:", "[::1", "::1"),
    *("[localhost]", "[[::1]]", "[::1]]", "[127.0.0.1].evil.example", "[::1]@evil.example"),
    *("localhost.evil.example", "localhost:80@evil.example", "evil.example:80:localhost"),
    *("localhost@evil.example", "evil.example/localhost", "evil.example#.localhost", "localhost "),
    *(
        "localhost,evil.example",
        "xlocalhost",
        "127.0.0.1:99999999",
        "127.0.0.1:x",
        "127.0.0.\u0661",
    ),
    *("2130706433", "0x7f.1", "localhost\t", "[::1%lo]", "evil.example\\.localhost"),
]


@pytest.mark.parametrize("host", STRANGE_HOSTS)
async def test_a_strange_host_name_is_refused_without_keys(client: AsgiClient, host: str) -> None:
    answer = await client.request(
        "GET", "/api/jobs", headers={"host": host.encode().decode("latin-1")}
    )
    assert (answer.status, answer.json["type"]) == (403, "cross-site-request")


async def test_signed_callbacks_come_by_any_name(client: AsgiClient) -> None:
    path = f"/api/callbacks/jobs/{new_id()}"
    answer = await client.post(path, {}, headers={"host": "tunnel.example"})
    assert answer.status != 403


@pytest.mark.parametrize(
    "host", ["localhost:8000", "127.0.0.1", "127.0.0.2:1", "[::1]:8000", "[::1]", "LOCALHOST"]
)
async def test_this_machine_s_names_are_accepted(client: AsgiClient, host: str) -> None:
    assert (await client.request("GET", "/api/jobs", headers={"host": host})).status == 200


async def test_a_trusted_network_has_names_of_its_own(backend: Backend) -> None:
    client = client_of(backend, trust_network=True)
    answer = await client.request("GET", "/api/jobs", headers={"host": "dashboard:8000"})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 202),
        ({"Origin": "http://localhost"}, 202),
        ({}, 202),
    ],
)
async def test_changes_are_taken_from_this_site_and_from_programs_only(
    client: AsgiClient, headers: dict[str, str], status: int
) -> None:
    assert (await client.post("/api/jobs", JOB, headers=headers)).status == status


async def test_a_form_that_names_a_slow_codec_holds_nobody_up(guarded: AsgiClient) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\n%b\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x; charset=punycode"}
    began = time.monotonic()
    answer = await guarded.post("/login", part % (b"abcxyz" * 20_000), headers=kind)
    assert (answer.status, answer.json["type"]) == (415, "unsupported-media-type")
    assert time.monotonic() - began < 1


async def test_every_answer_forbids_inline_scripts_frames_and_other_hosts(
    client: AsgiClient,
) -> None:
    for path in ("/api/jobs", "/docs", "/nowhere", "/static/swagger-ui/swagger-ui.css"):
        headers = (await client.get(path)).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"]


def test_a_dashboard_without_keys_listens_on_loopback_only() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        check_bind(host, options_with())
    for host in ("0.0.0.0", "192.168.1.5", "", "example.com"):
        with pytest.raises(SettingsError, match="JOBFLEET_API_KEYS"):
            check_bind(host, options_with())
        check_bind(host, options_with(trust_network=True))
        check_bind(host, options_with(api_keys=(KEYS["viewer"][1],)))


@pytest.mark.parametrize(
    "lines",
    [
        ("ada",),
        ("ada:admin:" + "0" * 64,),
        ("ada:viewer:secret-in-clear",),
        (":viewer:" + "0" * 64,),
        ("ada:viewer:" + "0" * 64, "ada:viewer:" + "1" * 64),
    ],
)
def test_a_bad_key_line_stops_the_start_without_showing_it(lines: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="JOBFLEET_API_KEYS") as caught:
        ApiKeys(lines)
    assert "secret-in-clear" not in str(caught.value)


def test_a_new_key_is_known_by_its_hash() -> None:
    secret, line = new_key("ci", "submitter")
    assert line == f"ci:submitter:{sha256(secret.encode()).hexdigest()}"
    found = ApiKeys([line]).find(secret)
    assert found is not None
    assert found.principal.name == "ci"
    with pytest.raises(SettingsError):
        new_key("ci", "admin")


async def test_an_answer_that_refuses_is_never_kept(client: AsgiClient) -> None:
    """Kept for a year, a 404 of one replica would hide the file that another one has."""
    for path in ("/static/none.js?v=1", "/static/app.js/none?v=1", "/static/none.js"):
        answer = await client.get(path)
        assert (answer.status, answer.headers["cache-control"]) == (404, "no-store"), path
    kept = await client.get("/static/app.js?v=1")
    assert (kept.status, "immutable" in kept.headers["cache-control"]) == (200, True)
