"""``jobfleet up``: dashboard and workers on this machine."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from jobfleet_backends.settings import Settings, load_settings
from jobfleet_cli.event_loop import run_async
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.local_fleet import local_fleet, run_fleet
from jobfleet_cli.local_port import free_port
from jobfleet_cli.logging import configure_logging
from jobfleet_cli.stop_signals import StopSignals

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def up(
    workers: Annotated[int, typer.Option(min=1, max=100, help="Worker processes.")] = 2,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The dashboard's; 0 picks a free one.")
    ] = 8000,
) -> None:
    """Run dashboard and workers as processes of this machine, on the configured backend.

    A worker that died is started again. Ctrl-C: running jobs finish or are handed back.
    """
    settings = load_settings()
    configure_logging(settings)
    raise typer.Exit(run_async(_run(settings, workers, free_port(port))))


async def _run(settings: Settings, workers: int, port: int) -> ExitCode:
    fleet = local_fleet(settings, workers=workers, port=port, environment=os.environ)
    StopSignals(request=fleet.request_stop).start()
    return await run_fleet(fleet, port)
