"""Backend: opened, asked, closed."""

from __future__ import annotations

from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from tests.conformance.jobs import a_life


async def test_the_probe_names_each_part_and_finds_it_well(backend: Backend) -> None:
    probes = await backend.probe()
    assert probes
    assert all(probe.ok for probe in probes), probes
    assert all(probe.address and probe.part for probe in probes)


async def test_a_backend_bears_its_name(settings: Settings, backend: Backend) -> None:
    assert backend.name == settings.backend


async def test_closing_twice_is_harmless(backend: Backend) -> None:
    await backend.close()
    await backend.close()


async def test_closing_writes_what_was_queued(backend: Backend, other: Backend) -> None:
    backend.index.record(a_life())
    await backend.close()
    assert sum((await other.reader.counts()).values()) == 1
