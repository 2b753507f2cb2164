"""``jobfleet demo``: a whole fleet with sample jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from jobfleet_backends.settings import load_settings
from jobfleet_cli.demo_run import DemoRun
from jobfleet_cli.event_loop import run_async
from jobfleet_cli.local_port import free_port
from jobfleet_cli.logging import configure_logging

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def demo(
    jobs: Annotated[int, typer.Option(min=0, max=100_000, help="Sample jobs.")] = 20,
    workers: Annotated[int, typer.Option(min=1, max=100, help="Worker processes.")] = 2,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The dashboard's; 0 picks a free one.")
    ] = 8000,
    exit_when_done: Annotated[
        bool, typer.Option("--exit-when-done", help="End when all sample jobs have ended.")
    ] = False,
) -> None:
    """Run the whole fleet here, on files of its own: no server or account is needed.

    With JOBFLEET_BACKEND=postgres it runs in a schema of its own instead, which ends in _demo.

    Prints the dashboard's address. With --exit-when-done the last line is
    `20 completed, 0 failed`; exit 0 if none failed.
    """
    settings = load_settings()
    configure_logging(settings)
    run = DemoRun(
        settings=settings,
        jobs=jobs,
        workers=workers,
        port=free_port(port),
        exit_when_done=exit_when_done,
    )
    raise typer.Exit(run_async(run.run()))
