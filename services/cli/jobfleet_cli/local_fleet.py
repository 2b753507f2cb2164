"""One dashboard and some workers on this machine, and the address to look at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from jobfleet_backends.settings import Settings
from jobfleet_cli.child_process import ChildProcess
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.fleet import Fleet
from jobfleet_cli.local_port import HOST, wait_until_listening
from jobfleet_cli.standard_streams import announce

_METRICS_PORT = "JOBFLEET_METRICS_PORT"


def local_fleet(
    settings: Settings, *, workers: int, port: int, environment: Mapping[str, str]
) -> Fleet:
    """Return the fleet, not yet started.

    Args:
        environment: what the children see; they read ``.env`` themselves.
    """
    dashboard = ChildProcess(
        name="dashboard",
        arguments=["dashboard", "--host", HOST, "--port", str(port)],
        environment=environment,
    )
    crew = [
        ChildProcess(
            name=f"worker-{number}",
            arguments=["worker"],
            environment={**environment, **_own_port(settings, number)},
        )
        for number in range(1, workers + 1)
    ]
    return Fleet(children=[dashboard, *crew], drain_seconds=settings.drain_seconds)


def _own_port(settings: Settings, number: int) -> Mapping[str, str]:
    """Each worker of one machine has a metrics port of its own: the one that is set, the next..."""
    port = settings.metrics_port
    return {_METRICS_PORT: str(port + number - 1)} if port else {}


async def run_fleet(
    fleet: Fleet, port: int, *, when_ready: Callable[[], Awaitable[None]] | None = None
) -> ExitCode:
    """Run the fleet until it stops; print the dashboard's address once it listens.

    Args:
        when_ready: what to do then, beside the running fleet; cancelled when that stops.

    Raises:
        BackendUnavailable: the dashboard does not answer; the fleet has been stopped.
    """
    running = asyncio.create_task(fleet.run(), name="fleet")
    ready = asyncio.create_task(_when_listening(port, when_ready), name="fleet-ready")
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


async def _when_listening(port: int, then: Callable[[], Awaitable[None]] | None) -> None:
    await wait_until_listening(port)
    announce(f"Dashboard: http://{HOST}:{port}")
    if then is not None:
        await then()
