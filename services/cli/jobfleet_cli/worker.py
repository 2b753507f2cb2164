"""``jobfleet worker``: one worker process."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from jobfleet_cli.event_loop import loop_factory, run_async
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.local_fleet import run_reloading
from jobfleet_cli.logging import configure_logging
from jobfleet_cli.process_end import THREAD_SECONDS, end_lost, end_process
from jobfleet_cli.session import storage_settings
from jobfleet_cli.terminal_text import indented
from jobfleet_cli.tracing import export_traces
from jobfleet_cli.worker_process import run_worker
from jobfleet_worker.handlers.registry import HandlerImportError, Handlers
from jobfleet_worker.run.user_code_loop import LoopLost, run_through

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def worker(
    handlers: Annotated[
        str | None, typer.Option(metavar="PKG.MOD,...", help="Modules with handlers.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Jobs at once; default 10.")] = None,
    processes: Annotated[
        int | None, typer.Option(help='Handlers with run_in="process" at once; default: cores.')
    ] = None,
    queues: Annotated[str | None, typer.Option(metavar="A,B", help="Queues to serve.")] = None,
    max_jobs: Annotated[
        int | None, typer.Option(metavar="N", help="Drain and exit 0 after this many jobs.")
    ] = None,
    max_memory: Annotated[
        int | None, typer.Option(metavar="MIB", help="Drain and exit 0 when it uses more memory.")
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Restart whenever a Python file changes.")
    ] = False,
    stop_with_parent: Annotated[bool, typer.Option("--stop-with-parent", hidden=True)] = False,
) -> None:
    """Run jobs until Ctrl-C, SIGTERM or SIGHUP; then let them finish, or hand them back.

    A second Ctrl-C ends the process at once; its jobs are taken over by other workers.
    """
    flags = {
        "handlers": handlers,
        "concurrency": concurrency,
        "processes": processes,
        "queues": queues,
        "max_jobs": max_jobs,
        "max_memory": max_memory,
    }
    settings = storage_settings(**flags)
    configure_logging(settings)
    if reload:
        raise typer.Exit(run_async(run_reloading(settings, flags)))
    export_traces("jobfleet-worker")
    try:
        loaded = Handlers.load(settings.handlers)
    except HandlerImportError as error:
        print(f"error: {indented(str(error))}", file=sys.stderr)
        raise typer.Exit(ExitCode.USAGE) from None
    try:
        left = run_through(
            run_worker(settings, loaded, stop_with_parent=stop_with_parent),
            loop_factory=loop_factory(),
        )
    except LoopLost as error:
        end_lost(error)
        raise
    end_process(seconds=min(settings.drain_seconds, THREAD_SECONDS), callback_seconds=left)
