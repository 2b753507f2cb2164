"""``jobfleet up``: dashboard and workers on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

import typer

from jobfleet_backends.settings import Settings
from jobfleet_cli.event_loop import run_async
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.local_fleet import local_fleet, reloaded, run_fleet
from jobfleet_cli.local_port import free_port
from jobfleet_cli.logging import configure_logging
from jobfleet_cli.session import storage_settings
from jobfleet_cli.stop_signals import StopSignals

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def up(
    workers: Annotated[int, typer.Option(min=1, max=100, help="Worker processes.")] = 2,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The dashboard's; 0 picks a free one.")
    ] = 8000,
    handlers: Annotated[
        str | None, typer.Option(metavar="PKG.MOD,...", help="Modules with handlers.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Jobs at once in each worker; default 10.")
    ] = None,
    queues: Annotated[str | None, typer.Option(metavar="A,B", help="Queues to serve.")] = None,
    max_jobs: Annotated[
        int | None, typer.Option(metavar="N", help="Replace a worker after this many jobs.")
    ] = None,
    max_memory: Annotated[
        int | None, typer.Option(metavar="MIB", help="Replace a worker that uses more memory.")
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Restart workers when a Python file changes.")
    ] = False,
) -> None:
    """Run dashboard and workers as processes of this machine, on the configured backend.

    A worker that died is started again. Ctrl-C: running jobs finish or are handed back.
    """
    flags = {
        "handlers": handlers,
        "concurrency": concurrency,
        "queues": queues,
        "max_jobs": max_jobs,
        "max_memory": max_memory,
    }
    settings = storage_settings(**flags)
    configure_logging(settings)
    raise typer.Exit(run_async(_run(settings, flags, workers, free_port(port), reload)))


async def _run(
    settings: Settings, flags: Mapping[str, object], workers: int, port: int, reload: bool
) -> ExitCode:
    fleet = local_fleet(
        settings,
        workers=workers,
        port=port,
        environment=os.environ,
        flags=flags,
        reloads=reload,
    )
    StopSignals(request=fleet.request_stop).start()
    if not reload:
        return await run_fleet(fleet, port, root_path=settings.root_path or "")
    async with reloaded(fleet):
        return await run_fleet(fleet, port, root_path=settings.root_path or "")
