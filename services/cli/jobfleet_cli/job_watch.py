"""``jobfleet jobs watch``: what happens, while it happens."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live

from jobfleet_cli.answer import print_json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.fleet_source import Fleet
from jobfleet_cli.job_history import event_cells
from jobfleet_cli.standard_streams import terminal_output
from jobfleet_cli.terminal_text import visible
from jobfleet_cli.watch_screen import FleetView, event_line, fleet_screen
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status

KEPT_EVENTS = 200


async def watch_job(fleet: Fleet, job_id: str, *, as_json: bool) -> ExitCode:
    """Print each event of one job until its end; exit 1 unless it completed."""
    console = Console(file=terminal_output())
    lines = sys.stdout.isatty() and not as_json
    async for event in fleet.events_of(job_id):
        if lines:
            console.print(event_line(event))
        else:
            _print_event(event, as_json=as_json)
        state = event.after.state
    return ExitCode.DONE if state is State.COMPLETED else ExitCode.NO


async def watch_fleet(fleet: Fleet, *, as_json: bool) -> ExitCode:
    """Show the whole fleet until Ctrl-C; lines of events where no terminal is."""
    if not as_json and sys.stdout.isatty():
        await _show_fleet(fleet)
        return ExitCode.DONE
    async for events in fleet.events():
        for event in events:
            _print_event(event, as_json=as_json, with_job=True)
    return ExitCode.DONE


async def _show_fleet(fleet: Fleet) -> None:
    console = Console(file=terminal_output())
    recent = deque(await fleet.recent(KEPT_EVENTS), maxlen=KEPT_EVENTS)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        async for events in fleet.events():
            shown = {event.event_id for event in recent}
            recent.extendleft(event for event in events if event.event_id not in shown)
            view = await _look(fleet, recent)
            screen = fleet_screen(view, width=console.width, height=console.height)
            live.update(screen, refresh=True)


async def _look(fleet: Fleet, recent: Sequence[Event]) -> FleetView:
    found = await fleet.look()
    steps = (event for event in reversed(recent) if event.is_readable and event.kind is Status.STEP)
    return FleetView(
        now=found.now,
        counts=found.counts,
        workers=found.workers,
        progress={
            event.job_id: (event.data["step"], event.data["of"])
            for event in steps
            if isinstance(event.data.get("step"), int) and isinstance(event.data.get("of"), int)
        },
        recent=recent,
    )


def _print_event(event: Event, *, as_json: bool, with_job: bool = False) -> None:
    if as_json:
        print_json(event.to_json())
        return
    job = (event.job_id, event.facts.job_name) if with_job else ()
    print("  ".join(visible(cell) for cell in (*job, *event_cells(event)) if cell), flush=True)
