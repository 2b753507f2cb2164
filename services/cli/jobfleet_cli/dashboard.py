"""``jobfleet dashboard``: dashboard and REST API."""

from __future__ import annotations

from typing import Annotated

import typer

from jobfleet_cli.dashboard_process import dashboard_options, run_dashboard
from jobfleet_cli.event_loop import run_async
from jobfleet_cli.logging import configure_logging
from jobfleet_cli.session import storage_settings

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def dashboard(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8000,
    stop_with_parent: Annotated[bool, typer.Option("--stop-with-parent", hidden=True)] = False,
) -> None:
    """Serve the dashboard and the REST API until SIGTERM or Ctrl-C."""
    settings = storage_settings()
    configure_logging(settings)
    options = dashboard_options(settings, host=host, port=port)
    run_async(run_dashboard(settings, options, child=stop_with_parent))
