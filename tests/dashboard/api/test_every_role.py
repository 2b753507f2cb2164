"""Every route asks for a role: nobody, a viewer, a submitter, an operator, a session that ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job_id import new_id
from jobfleet_dashboard.security.api_keys import new_key
from tests.dashboard.api.all_routes import addressed, all_routes
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import client_of

KEYS = {role: new_key(f"{role}-key", role) for role in ("viewer", "submitter", "operator")}
OPEN = {
    *("/livez", "/readyz", "/login", "/logout"),
    "/api/callbacks/jobs/{jobId:uuid}",  # a signature is the credential
}
SUBMITTING = {
    "/api/jobs",
    "/api/jobs/bulk",
    "/api/groups",
    "/api/groups/{jobId:uuid}/members",
    "/api/groups/{jobId:uuid}/seal",
    "/submit",
    "/submit/sample",
    "/schedules/{name}/run",
    "/api/schedules/{name}/run",
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def guarded(backend: Backend) -> AsgiClient:
    """A dashboard with one key per role."""
    return client_of(backend, api_keys=tuple(line for _, line in KEYS.values()))


def _asked(client: AsgiClient) -> Iterator[tuple[str, str, str]]:
    """Yield method, declared path and an address of every route that is not open."""
    for route in all_routes(client.app):
        for method in sorted((route.methods or set()) - {"HEAD"}):
            if route.path not in OPEN:
                address = addressed(route, new_id()).replace("{letter_id}", new_id())
                yield method, route.path, address


def _needed(method: str, path: str) -> str:
    if path in SUBMITTING and (method == "POST" or path == "/submit"):
        return "submitter"
    return "viewer" if method == "GET" else "operator"


async def test_without_a_key_every_route_but_the_open_ones_is_401(guarded: AsgiClient) -> None:
    asked = list(_asked(guarded))
    assert len(asked) > 25
    for method, _, address in asked:
        assert (await guarded.request(method, address)).status == 401, (method, address)


async def test_every_route_is_403_to_roles_below_its_own_and_to_no_other(
    guarded: AsgiClient,
) -> None:
    for method, path, address in _asked(guarded):
        refused = set()
        for role, (secret, _) in KEYS.items():
            headers = FORM | {"X-API-Key": secret}
            if (await guarded.request(method, address, headers=headers)).status == 403:
                refused.add(role)
        order = list(KEYS)
        expected = set(order[: order.index(_needed(method, path))])
        assert refused == expected, (method, path)


async def test_a_session_that_ended_opens_no_route(guarded: AsgiClient) -> None:
    key = KEYS["operator"][0]
    answer = await guarded.post("/login", f"key={key}".encode(), headers=FORM)
    cookie = FORM | {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert (await guarded.request("GET", "/api/jobs", headers=cookie)).status == 200
    await guarded.post("/logout", headers=cookie)
    for method, _, address in _asked(guarded):
        answer = await guarded.request(method, address, headers=cookie)
        assert answer.status == 401, (method, address)
