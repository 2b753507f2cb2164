"""An open backend for commands that ask once and end."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings, load_settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.event_loop import run_async
from jobfleet_cli.logging import configure_logging
from jobfleet_contracts.backend import Backend, Probe
from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.ports import Clock

T = TypeVar("T")

OPEN_SECONDS = 8.0
PATIENCE_SECONDS = 3.0
"""So long a command may be quiet before the servers are asked; all in all 10 s to exit 3."""
PROBE_SECONDS = 4.5
CLOSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with."""

    settings: Settings
    backend: Backend
    clock: Clock


def in_session(work: Callable[[Session], Awaitable[T]], **flags: Any) -> T:
    """Open the configured backend, do ``work``, close.

    Args:
        flags: settings given as flags; ``None`` does not count.

    Raises:
        SettingsError: the configuration is wrong.
        BackendUnavailable: a server is away; names the address, within 10 s.
    """
    settings = load_settings(**flags)
    configure_logging(settings, one_shot=True)
    return run_async(_opened(settings, work))


def who() -> str:
    """Return who acts, for the trail: the user's name on this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "cli"


async def ask_probes(backend: Backend) -> Sequence[Probe]:
    """Ask each server whether it can be used; one that is silent for 4.5 s cannot."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await backend.probe()
    except TimeoutError:
        return [Probe(backend.name, "backend", ok=False, detail="no answer")]


async def _opened(settings: Settings, work: Callable[[Session], Awaitable[T]]) -> T:
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            backend = await open_backend(settings)
    except TimeoutError as error:
        raise BackendUnavailable(f"backend {settings.backend} cannot be opened in time") from error
    try:
        return await _guarded(backend, work(Session(settings, backend, SystemClock())))
    finally:
        await _close(backend)


async def _guarded(backend: Backend, work: Awaitable[T]) -> T:
    """Let ``work`` run for as long as it takes, but only while the servers answer."""
    worker = asyncio.ensure_future(work)
    watch = asyncio.create_task(_first_failure(backend), name="reachability-watch")
    try:
        await asyncio.wait({worker, watch}, return_when=asyncio.FIRST_COMPLETED)
        if worker.done():
            return worker.result()
        raise _unreachable(watch.result())
    except BackendUnavailable as error:
        raise await _with_address(backend, error) from error
    finally:
        worker.cancel()
        watch.cancel()
        await asyncio.gather(worker, watch, return_exceptions=True)


async def _first_failure(backend: Backend) -> Probe:
    while True:
        await asyncio.sleep(PATIENCE_SECONDS)
        if failed := await _failed_probe(backend):
            return failed


async def _failed_probe(backend: Backend) -> Probe | None:
    """Return what cannot be reached; jobs are accepted without the broker, so it never counts."""
    probes = await ask_probes(backend)
    return next((probe for probe in probes if not probe.ok and probe.part != "broker"), None)


async def _with_address(backend: Backend, error: BackendUnavailable) -> BackendUnavailable:
    failed = await _failed_probe(backend)
    return error if failed is None else _unreachable(failed)


def _unreachable(probe: Probe) -> BackendUnavailable:
    detail = f": {probe.detail}" if probe.detail else ""
    remedy = f". {probe.remedy}" if probe.remedy else ""
    return BackendUnavailable(f"{probe.part} at {probe.address} cannot be reached{detail}{remedy}")


async def _close(backend: Backend) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await backend.close()
    except (TimeoutError, BackendUnavailable):
        return
