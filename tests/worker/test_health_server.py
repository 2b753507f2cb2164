"""The worker's own port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest

from jobfleet_contracts.backend import Probe
from jobfleet_contracts.errors import BackendUnavailable, SettingsError
from jobfleet_worker.metrics import health_server
from jobfleet_worker.metrics.health_server import HealthServer

KEY = "jf_viewer"
NAMES = ("db.example", "version 9", "ask Ann", "pay.out")


class Parts:
    """A backend whose parts fail as told."""

    def __init__(self) -> None:
        self.probes: Sequence[Probe] = [
            Probe("storage", "db.example:5432", ok=True, detail="version 9", remedy="ask Ann")
        ]
        self.error: Exception | None = None
        self.hangs = False

    async def probe(self) -> Sequence[Probe]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return self.probes

    async def metrics(self, *, named: bool) -> bytes:
        text = b"jobfleet_fenced_total 0.0\n"
        return text + b'jobfleet_retries_total{type="pay.out"} 0.0\n' if named else text


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
async def server(parts: Parts) -> AsyncIterator[HealthServer]:
    async with serving(parts) as made:
        yield made


@asynccontextmanager
async def serving(
    parts: Parts, may_see_names: Callable[[str | None], bool] = lambda key: key == KEY
) -> AsyncIterator[HealthServer]:
    made = HealthServer(
        host="127.0.0.1",
        port=0,
        probe=parts.probe,
        metrics=parts.metrics,
        may_see_names=may_see_names,
    )
    await made.start()
    yield made
    await made.stop()


async def get(
    server: HealthServer, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    address = f"http://127.0.0.1:{server.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(address, headers=headers) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_a_living_worker_says_so(server: HealthServer) -> None:
    assert (await get(server, "/livez"))[0] == 200


async def test_ready_names_each_part(server: HealthServer) -> None:
    status, _, text = await get(server, "/readyz")
    assert (status, '"storage"' in text) == (200, True)


async def test_a_stranger_on_the_machine_sees_no_names_whatever_he_asks(
    server: HealthServer, parts: Parts
) -> None:
    parts.probes = [*parts.probes, Probe("broker", "db.example", ok=False, detail="version 9")]
    assert server.paths == ("/livez", "/readyz", "/metrics")
    for path in server.paths:
        for headers in ({}, {"X-API-Key": "jf_wrong"}, {"Authorization": f"Basic {KEY}"}):
            _, _, text = await get(server, path, headers)
            assert [name for name in NAMES if name in text] == [], (path, headers)


@pytest.mark.parametrize("headers", [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}])
async def test_who_has_a_key_sees_addresses_and_types(
    server: HealthServer, headers: dict[str, str]
) -> None:
    text = "".join([(await get(server, path, headers))[2] for path in server.paths])
    assert [name for name in NAMES if name not in text] == []


async def test_a_wrong_key_is_refused_and_never_answered_with_less(server: HealthServer) -> None:
    status, _, text = await get(server, "/metrics", {"X-API-Key": "jf_wrong"})
    assert (status, "JOBFLEET_API_KEYS" in text) == (401, True)
    assert (await get(server, "/readyz", {"X-API-Key": "jf_wrong"}))[0] == 200


async def test_a_trusted_network_needs_no_key(parts: Parts) -> None:
    async with serving(parts, lambda _: True) as server:
        text = "".join([(await get(server, path))[2] for path in server.paths])
    assert [name for name in NAMES if name not in text] == []


async def test_not_ready_says_which_part_is_away(server: HealthServer, parts: Parts) -> None:
    parts.probes = [*parts.probes, Probe("broker", "b", ok=False, detail="refused")]
    status, _, text = await get(server, "/readyz")
    assert status == 503
    assert '"part": "broker", "ok": false' in text
    assert '"part": "storage", "ok": true' in text


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_probe_that_fails_or_hangs_is_not_ready(
    server: HealthServer, parts: Parts, hangs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_server, "PROBE_SECONDS", 0.05)
    parts.hangs, parts.error = hangs, BackendUnavailable("gone")
    assert (await get(server, "/readyz"))[0] == 503


async def test_metrics_are_prometheus_text(server: HealthServer) -> None:
    status, kind, text = await get(server, "/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    assert "jobfleet_fenced_total" in text


async def test_on_loopback_a_stranger_s_name_for_this_machine_is_refused(
    server: HealthServer,
) -> None:
    """A page of a stranger may make its own name point here, and read what the port answers."""
    for path in server.paths:
        for host, status in (("evil.example", 403), ("localhost:1", 200), ("[::1]", 200)):
            assert (await get(server, path, {"Host": host}))[0] == status, (path, host)


async def test_a_port_in_use_is_one_clear_line(server: HealthServer, parts: Parts) -> None:
    second = HealthServer(
        host="127.0.0.1",
        port=server.port,
        probe=parts.probe,
        metrics=parts.metrics,
        may_see_names=lambda _: False,
    )
    with pytest.raises(SettingsError, match=f"JOBFLEET_METRICS_PORT: 127.0.0.1:{server.port}"):
        await second.start()
