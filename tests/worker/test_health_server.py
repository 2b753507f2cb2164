"""The worker's own port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest

from jobfleet_contracts.backend import Probe
from jobfleet_contracts.errors import BackendUnavailable, SettingsError
from jobfleet_worker.metrics import health_server
from jobfleet_worker.metrics.health_server import HealthServer


class Parts:
    """A backend whose parts fail as told."""

    def __init__(self) -> None:
        self.probes: Sequence[Probe] = [Probe("storage", "s", ok=True)]
        self.error: Exception | None = None
        self.hangs = False

    async def probe(self) -> Sequence[Probe]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return self.probes

    async def metrics(self) -> bytes:
        return b"jobfleet_fenced_total 0.0\n"


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
async def server(parts: Parts) -> AsyncIterator[HealthServer]:
    made = HealthServer(host="127.0.0.1", port=0, probe=parts.probe, metrics=parts.metrics)
    await made.start()
    yield made
    await made.stop()


async def get(server: HealthServer, path: str) -> tuple[int, str, str]:
    address = f"http://127.0.0.1:{server.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_a_living_worker_says_so(server: HealthServer) -> None:
    assert (await get(server, "/livez"))[0] == 200


async def test_ready_names_each_part(server: HealthServer) -> None:
    status, _, text = await get(server, "/readyz")
    assert (status, '"storage"' in text) == (200, True)


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


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_on_loopback_a_stranger_s_name_for_this_machine_is_refused(
    server: HealthServer, path: str
) -> None:
    """A page of a stranger may make its own name point here, and read what the port answers."""
    address = f"http://127.0.0.1:{server.port}{path}"
    async with aiohttp.ClientSession() as session:
        for host, status in (("evil.example", 403), ("localhost:1", 200), ("[::1]", 200)):
            async with session.get(address, headers={"Host": host}) as answer:
                assert answer.status == status, host


async def test_a_port_in_use_is_one_clear_line(server: HealthServer, parts: Parts) -> None:
    second = HealthServer(
        host="127.0.0.1", port=server.port, probe=parts.probe, metrics=parts.metrics
    )
    with pytest.raises(SettingsError, match=f"JOBFLEET_METRICS_PORT: 127.0.0.1:{server.port}"):
        await second.start()
