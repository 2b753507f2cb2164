"""``jobfleet jobs watch``: what happens, while it happens."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence

from rich.console import Console
from rich.live import Live

from jobfleet_cli.answer import print_json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_history import event_cells
from jobfleet_cli.session import Session
from jobfleet_cli.standard_streams import terminal_output
from jobfleet_cli.terminal_text import visible
from jobfleet_cli.trail_reading import history_of
from jobfleet_cli.watch_screen import FleetView, event_line, fleet_screen
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.reading.readable_trail import ReadableTrail

LOOK_SECONDS = 0.5
KEPT_EVENTS = 200


async def watch_job(session: Session, job_id: str, *, as_json: bool) -> ExitCode:
    """Print each event of one job until its end; exit 1 unless it completed."""
    console = Console(file=terminal_output())
    lines = sys.stdout.isatty() and not as_json
    async for event in _events_of(session, job_id):
        if lines:
            console.print(event_line(event))
        else:
            _print_event(event, as_json=as_json)
        state = event.after.state
    return ExitCode.DONE if state is State.COMPLETED else ExitCode.NO


async def watch_fleet(session: Session, *, as_json: bool) -> ExitCode:
    """Show the whole fleet until Ctrl-C; lines of events where no terminal is."""
    if not as_json and sys.stdout.isatty():
        await _show_fleet(session)
        return ExitCode.DONE
    async for events in _fleet_events(session):
        for event in events:
            _print_event(event, as_json=as_json, with_job=True)
    return ExitCode.DONE


async def _show_fleet(session: Session) -> None:
    console = Console(file=terminal_output())
    before = await session.backend.reader.events(EventQuery(limit=KEPT_EVENTS))
    recent = deque((event.masked() for event in before.items), maxlen=KEPT_EVENTS)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        async for events in _fleet_events(session):
            shown = {event.event_id for event in recent}
            recent.extendleft(event for event in events if event.event_id not in shown)
            view = await _look(session, recent)
            screen = fleet_screen(view, width=console.width, height=console.height)
            live.update(screen, refresh=True)


async def _look(session: Session, recent: Sequence[Event]) -> FleetView:
    backend = session.backend
    counts, workers = await asyncio.gather(backend.reader.counts(), backend.directory.workers())
    steps = (event for event in reversed(recent) if event.is_readable and event.kind is Status.STEP)
    return FleetView(
        now=session.clock.now(),
        counts=counts,
        workers=workers,
        progress={
            event.job_id: (event.data["step"], event.data["of"])
            for event in steps
            if isinstance(event.data.get("step"), int) and isinstance(event.data.get("of"), int)
        },
        recent=recent,
    )


async def _events_of(session: Session, job_id: str) -> AsyncIterator[Event]:
    events: Sequence[Event] = await history_of(session.backend.trail, job_id)
    while True:
        for event in events:
            yield event.masked()
            last = event
        if last.is_readable and last.after.state.is_terminal:
            return
        await asyncio.sleep(LOOK_SECONDS)
        events = await ReadableTrail(session.backend.trail).history(job_id, after=last.sequence)


async def _fleet_events(session: Session) -> AsyncIterator[Sequence[Event]]:
    """Yield what is new each half second, nothing included; first the newest event."""
    cursor: str | None = None
    while True:
        entries = await session.backend.reader.since(cursor)
        if entries:
            cursor = entries[-1].cursor
        yield [entry.event.masked() for entry in entries]
        await asyncio.sleep(LOOK_SECONDS)


def _print_event(event: Event, *, as_json: bool, with_job: bool = False) -> None:
    if as_json:
        print_json(event.to_json())
        return
    job = (event.job_id, event.facts.job_name) if with_job else ()
    print("  ".join(visible(cell) for cell in (*job, *event_cells(event)) if cell), flush=True)
