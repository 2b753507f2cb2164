"""One dashboard and some workers on this machine, and the address to look at."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from watchfiles import PythonFilter, awatch

from jobfleet_backends.settings import Settings
from jobfleet_cli.child_process import ChildProcess
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.fleet import Fleet
from jobfleet_cli.local_port import HOST, wait_until_listening
from jobfleet_cli.standard_streams import announce
from jobfleet_cli.stop_signals import StopSignals

_METRICS_PORT = "JOBFLEET_METRICS_PORT"
_NO_FLAGS: Mapping[str, object] = MappingProxyType({})
_HANDS_BACK = {"JOBFLEET_DRAIN_SECONDS": "0"}
"""For a worker that reloads: a running job starts again on the new code, not after its end."""


def local_fleet(
    settings: Settings,
    *,
    workers: int,
    port: int,
    environment: Mapping[str, str],
    flags: Mapping[str, object] = _NO_FLAGS,
    reloads: bool = False,
) -> Fleet:
    """Return the fleet, not yet started.

    Args:
        environment: what the children see; they read ``.env`` themselves.
        flags: options of ``jobfleet worker`` by name, for each worker.
        reloads: workers hand running jobs back at once when they are asked to stop.
    """
    dashboard = ChildProcess(
        name="dashboard",
        arguments=["dashboard", "--host", HOST, "--port", str(port)],
        environment=environment,
    )
    worker_processes = [
        ChildProcess(
            name=f"worker-{number}",
            arguments=_worker_command(flags),
            environment={
                **environment,
                **_own_port(settings, number),
                **(_HANDS_BACK if reloads else {}),
            },
            reloads=reloads,
        )
        for number in range(1, workers + 1)
    ]
    return Fleet(children=[dashboard, *worker_processes], drain_seconds=settings.drain_seconds)


async def run_reloading(settings: Settings, flags: Mapping[str, object]) -> ExitCode:
    """Run one worker that starts anew whenever a Python file changes."""
    worker = ChildProcess(
        name="worker",
        arguments=_worker_command(flags),
        environment={**os.environ, **_HANDS_BACK},
        reloads=True,
    )
    fleet = Fleet(children=[worker], drain_seconds=settings.drain_seconds)
    StopSignals(request=fleet.request_stop).start()
    async with reloaded(fleet):
        return await fleet.run()


@asynccontextmanager
async def reloaded(fleet: Fleet) -> AsyncIterator[None]:
    """Reload the fleet's workers during the block when a Python file of this folder changes."""
    watching = asyncio.create_task(_watch(fleet), name="reload")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(fleet: Fleet) -> None:
    async for changes in awatch(Path.cwd(), watch_filter=PythonFilter()):
        fleet.reload(sorted(Path(path).name for _, path in changes))


def _worker_command(flags: Mapping[str, object]) -> list[str]:
    options = [
        (f"--{name.replace('_', '-')}", f"{value}") for name, value in flags.items() if value
    ]
    return ["worker", *(part for pair in options for part in pair)]


def _own_port(settings: Settings, number: int) -> Mapping[str, str]:
    """Each worker of one machine has a metrics port of its own: the one that is set, the next..."""
    port = settings.metrics_port
    return {_METRICS_PORT: str(port + number - 1)} if port else {}


async def run_fleet(
    fleet: Fleet,
    port: int,
    *,
    root_path: str = "",
    when_ready: Callable[[], Awaitable[None]] | None = None,
) -> ExitCode:
    """Run the fleet until it stops; print the dashboard's address once it listens.

    Args:
        root_path: what the dashboard is served below.
        when_ready: what to do then, beside the running fleet; cancelled when that stops.

    Raises:
        BackendUnavailable: the dashboard does not answer; the fleet has been stopped.
    """
    running = asyncio.create_task(fleet.run(), name="fleet")
    ready = asyncio.create_task(_when_listening(port, root_path, when_ready), name="fleet-ready")
    try:
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done() and ready.exception() is not None:
            fleet.request_stop()
        code = await running
        if ready.done():
            ready.result()
        return code
    finally:
        running.cancel()
        ready.cancel()
        await asyncio.gather(running, ready, return_exceptions=True)


async def _when_listening(
    port: int, root_path: str, then: Callable[[], Awaitable[None]] | None
) -> None:
    await wait_until_listening(port)
    announce(f"Dashboard: http://{HOST}:{port}{root_path}")
    if then is not None:
        await then()
