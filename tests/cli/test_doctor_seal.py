"""``jobfleet doctor`` says that the fleet is sealed, since when, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.doctor import seal_probes
from jobfleet_contracts.codec import format_time
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_protocol.control.seals import Seals


class Away:
    """A control log that does not answer."""

    async def newest(self, *_: Any) -> Any:
        raise BackendUnavailable("the log does not answer")


async def test_the_seal_is_named_while_it_is_in_force(tmp_path: Path) -> None:
    backend = await open_backend(Settings(data_dir=tmp_path, _env_file=None))
    seals = Seals(log=backend.control_log, clock=SystemClock())
    assert list(await seal_probes(backend.control_log, "here")) == []
    seal = await seals.put("m", by="anna", reason="moves to a server")
    (probe,) = await seal_probes(backend.control_log, "here")
    assert not probe.ok
    assert probe.address == "here"
    for text in ("anna", format_time(seal.since), "moves to a server", "takes no jobs"):
        assert text in probe.detail
    assert "jobfleet audit unseal" in probe.remedy
    away: Any = Away()
    (probe,) = await seal_probes(away, "here")
    assert (probe.ok, probe.detail) == (False, "the log does not answer")
    await seals.lift(by="anna", reason="")
    assert list(await seal_probes(backend.control_log, "here")) == []
    await backend.close()
