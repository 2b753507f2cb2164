"""``jobfleet doctor`` says how wrong this machine's clock is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_cli.doctor import clock_probes
from jobfleet_contracts.backend import Backend


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    opened = await open_backend(Settings(data_dir=tmp_path, _env_file=None))
    yield opened
    await opened.close()


@pytest.mark.parametrize(("seconds", "said"), [(3.04, "3.0 s ahead of"), (-60.0, "60.0 s behind")])
async def test_a_wrong_clock_is_named_with_what_follows(
    backend: Backend, seconds: float, said: str
) -> None:
    wrong = replace(backend, name="azure", clock_offset=lambda: seconds)
    (probe,) = clock_probes(wrong)
    assert not probe.ok
    assert said in probe.detail
    assert "fire no schedule" in probe.detail
    assert "NTP" in probe.remedy


async def test_a_right_clock_is_well_and_files_have_no_clock_of_their_own(backend: Backend) -> None:
    assert list(clock_probes(backend)) == []
    (probe,) = clock_probes(replace(backend, name="azure"))
    assert probe.ok
