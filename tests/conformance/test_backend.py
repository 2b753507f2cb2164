"""Backend: opened, asked, closed."""

from __future__ import annotations

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable
from tests.conformance.jobs import a_life, a_message, queued


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


async def test_a_closed_backend_says_that_it_is_unavailable(backend: Backend) -> None:
    await backend.close()
    for call in (
        backend.trail.insert([queued()]),
        backend.trail.newest(queued().job_id),
        backend.queue.publish(a_message(), timeout=0.5),
    ):
        with pytest.raises(BackendUnavailable):
            await call


async def test_closing_writes_what_was_queued(backend: Backend, other: Backend) -> None:
    backend.index.record(a_life())
    await backend.close()
    assert sum((await other.reader.counts()).values()) == 1
