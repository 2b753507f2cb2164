"""An open backend for commands that ask once and end."""

from __future__ import annotations

import asyncio
import getpass
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from typing import Any, TypeVar

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings, load_settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.event_loop import run_to_an_end
from jobfleet_cli.logging import configure_logging
from jobfleet_cli.patience import OUTAGE_SECONDS, Patience, patient
from jobfleet_cli.redaction import redacted_servers
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.terminal_text import visible
from jobfleet_contracts.backend import AskServers, Backend, Probe
from jobfleet_contracts.errors import BackendUnavailable, JobfleetError, SettingsError
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.actions.write_side import WriteSide

T = TypeVar("T")

OPEN_SECONDS = 8.0
LOOK_SECONDS = 2.5
"""So long a command may be quiet before the servers are asked."""
PROBE_SECONDS = 6.0
"""Longer than the 5 s of a backend's own probe, which names the server and the remedy."""
CLOSE_SECONDS = 2.0
SETTLE_SECONDS = 1.0
"""For changes that a command has begun and no longer waits for."""


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with; the backend's reads wait through outages.

    Attributes:
        patience: waits through outages with other calls that may be repeated.
    """

    settings: Settings
    backend: Backend
    clock: Clock
    patience: Patience
    writes: WriteSide


def storage_settings(**flags: Any) -> Settings:
    """Load the settings of a command that opens the storage itself.

    Raises:
        SettingsError: the configuration is wrong, or names a dashboard elsewhere.
    """
    settings = load_settings(**flags)
    if settings.url is not None:
        raise SettingsError(
            f"`{command_name()}` needs the storage, and JOBFLEET_URL names a dashboard, "
            f"{settings.url}: unset it where the storage is configured"
        )
    return settings


def command_name() -> str:
    """Return the command that runs, as ``jobfleet jobs watch``."""
    words = takewhile(lambda word: not word.startswith("-"), sys.argv[1:])
    return " ".join(["jobfleet", *islice(words, 2)])


def in_session(
    work: Callable[[Session], Awaitable[T]],
    *,
    remote: Callable[[RemoteDashboard], Awaitable[T]] | None = None,
    **flags: Any,
) -> T:
    """Open the configured backend, do ``work``, close; or ask the dashboard of ``JOBFLEET_URL``.

    Args:
        remote: what the command does over the API; ``None`` if it needs the storage.
        flags: settings given as flags; ``None`` does not count.

    Raises:
        SettingsError: the configuration is wrong.
        BackendUnavailable: a server is away; names its address and the remedy. That takes 10 s,
            or 60 s if the servers answered this command before.
    """
    settings = load_settings(**flags)
    if settings.url is not None and remote is not None:
        configure_logging(settings, one_shot=True)
        return run_to_an_end(_asked(settings, remote))
    configure_logging(settings, one_shot=True)
    return run_to_an_end(_opened(storage_settings(**flags), work))


async def _asked(settings: Settings, remote: Callable[[RemoteDashboard], Awaitable[T]]) -> T:
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    async with RemoteDashboard(url=str(settings.url), key=key) as dashboard:
        try:
            return await remote(dashboard)
        except JobfleetError:
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            # Answers are read field by field: these show that the server is not a dashboard.
            message = f"JOBFLEET_URL: {settings.url} answers in another form than a dashboard does"
            raise SettingsError(f"{message}: {type(error).__name__}: {error}") from error


def who() -> str:
    """Return who acts, for the trail: the user's name on this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "cli"


async def ask_probes(probe: AskServers, backend_name: str) -> Sequence[Probe]:
    """Return what a backend's probe answers in time, or that it does not answer."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await probe()
    except TimeoutError:
        return [Probe(backend_name, "backend", ok=False, detail="no answer")]


async def _opened(settings: Settings, work: Callable[[Session], Awaitable[T]]) -> T:
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            backend = await open_backend(settings)
    except TimeoutError as error:
        raise BackendUnavailable(
            f"backend {settings.backend} cannot be opened within {OPEN_SECONDS:g} s; "
            f"jobfleet doctor says which server does not answer; {redacted_servers(settings)}"
        ) from error
    patience = Patience()
    clock, reading = SystemClock(), patient(backend, patience)
    writes = WriteSide.wire(backend=reading, clock=clock, defaults=settings.job_defaults)
    session = Session(settings, reading, clock, patience, writes)
    try:
        ask = partial(ask_probes, backend.probe, backend.name)
        return await _guarded(ask, patience, work(session))
    finally:
        await writes.settle(SETTLE_SECONDS)
        await _close(backend.close)


async def _guarded(ask: AskServers, patience: Patience, work: Awaitable[T]) -> T:
    """Let ``work`` run for as long as it takes, but wait for silent servers only so long."""
    worker = asyncio.ensure_future(work)
    watch = asyncio.create_task(_lasting_failure(ask, patience), name="reachability-watch")
    try:
        await asyncio.wait({worker, watch}, return_when=asyncio.FIRST_COMPLETED)
        if worker.done():
            return worker.result()
        raise _unreachable(watch.result())
    except BackendUnavailable as error:
        raise await _with_address(ask, error) from error
    finally:
        worker.cancel()
        watch.cancel()
        await asyncio.gather(worker, watch, return_exceptions=True)


async def _lasting_failure(ask: AskServers, patience: Patience) -> Probe:
    """Return what has not answered for as long as a command waits; say once that it waits."""
    silent_since: float | None = None
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        asked = time.monotonic()
        failed = await _failed_probe(ask)
        if failed is None:
            patience.answered, silent_since = True, None
            continue
        if failed.lasting or not patience.answered:
            return failed
        if silent_since is None:
            silent_since = asked
            _print_waiting(failed)
        if time.monotonic() - silent_since > OUTAGE_SECONDS:
            return failed


def _print_waiting(probe: Probe) -> None:
    where = visible(f"{probe.part} at {probe.address}: {probe.detail}")
    print(f"{where}; waiting for it up to {OUTAGE_SECONDS:g} s", file=sys.stderr)


async def _failed_probe(ask: AskServers) -> Probe | None:
    """Return what cannot be reached; jobs are accepted without the broker, so it never counts."""
    probes = await ask()
    return next((probe for probe in probes if not probe.ok and probe.part != "broker"), None)


async def _with_address(ask: AskServers, error: BackendUnavailable) -> BackendUnavailable:
    failed = await _failed_probe(ask)
    return error if failed is None else _unreachable(failed)


def _unreachable(probe: Probe) -> BackendUnavailable:
    detail = f": {probe.detail}" if probe.detail else ""
    remedy = f". {probe.remedy}" if probe.remedy else ""
    return BackendUnavailable(f"{probe.part} at {probe.address} cannot be reached{detail}{remedy}")


async def _close(close: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await close()
    except (TimeoutError, BackendUnavailable):
        return
