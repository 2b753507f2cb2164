"""What ``jobfleet jobs watch`` shows on a terminal: one line for each thing, never more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobfleet_cli.answer import STATE_STYLES
from jobfleet_cli.job_history import took
from jobfleet_cli.terminal_text import visible
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.worker_status import WorkerStatus

MAX_RUNNING = 8
_FIXED_LINES = 6
_SILENT_SECONDS = 15.0
_STATUS_STYLES = {
    Status.STARTED: "cyan",
    Status.STEP: "cyan",
    Status.WAITING: "magenta",
    Status.SEALED: "magenta",
    Status.COMPLETED: "green",
    Status.ATTEMPT_FAILED: "red",
    Status.FAILED: "red",
    Status.TIMED_OUT: "red",
    Status.TAKEN_OVER: "yellow",
    Status.RETRY_SCHEDULED: "yellow",
    Status.DEFERRED: "yellow",
    Status.CANCELLED: "dim",
    Status.DISMISSED: "dim",
    Status.ERASED: "dim",
}


_COLUMNS = (
    ("time", 12, None),
    ("event", 15, None),
    ("job", None, 2),
    ("id", 8, None),
    ("try", 3, None),
    ("took", 8, None),
    ("message", None, 3),
)
"""Name, fixed width, and share of what is left."""
_WIDE = 100
_WIDE_ONLY = frozenset({"id", "try"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetView:
    """One look at the fleet.

    Attributes:
        progress: newest step and number of steps of jobs that report any, by job id.
        recent: events, newest first.
    """

    now: datetime
    counts: Mapping[State, int]
    workers: Sequence[WorkerStatus]
    progress: Mapping[str, tuple[int, int]]
    recent: Iterable[Event]


def fleet_screen(view: FleetView, *, width: int, height: int) -> Group:
    """Return the screen: the fleet in a line, counts, running jobs, and events to the bottom."""
    running = _running(view)
    lines = height - _FIXED_LINES - running.row_count - bool(running.row_count)
    parts: list[RenderableType] = [_headline(view), _counts(view.counts), Text()]
    if running.row_count:
        parts += [running, Text()]
    hint = Text("Ctrl-C ends the watch; the fleet goes on", style="dim")
    events = _events(view.recent, max(lines, 1), wide=width >= _WIDE)
    return Group(*parts, events, Text(), hint)


def event_line(event: Event) -> Text:
    """Return one event of one job as a line."""
    line = Text(overflow="ellipsis", no_wrap=True)
    line.append(_clock(event.occurred_at), style="dim")
    line.append(f"  {event.status:<15}", style=_style(event))
    line.append(f"{took(event.duration_ms):>8}  ", style="dim")
    return line.append(visible(event.message))


def _headline(view: FleetView) -> Text:
    alive = _alive(view)
    busy, slots = sum(len(one.running) for one in alive), sum(one.slots for one in alive)
    line = Text("jobfleet  ", style="bold", no_wrap=True)
    if not alive:
        return line.append("no worker is alive", style="not bold red")
    workers = "1 worker alive" if len(alive) == 1 else f"{len(alive)} workers alive"
    line.append(f"{workers}, {busy} of {slots} slots busy", style="not bold")
    return line.append(f"  {view.now.astimezone():%H:%M:%S}", style="not bold dim")


def _counts(counts: Mapping[State, int]) -> Text:
    """Return the jobs by state; only ``queued`` and ``running`` are shown if empty."""
    line = Text(no_wrap=True, overflow="ellipsis")
    for state in State:
        count = counts.get(state, 0)
        if count or state in (State.QUEUED, State.RUNNING):
            line.append(f"{state.value} {count:,}  ", STATE_STYLES.get(state.value, ""))
    return line


def _running(view: FleetView) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    for _ in range(2):
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column(width=24)
    table.add_column(no_wrap=True, width=9)
    table.add_column(no_wrap=True, justify="right", width=8)
    jobs = [(worker, job) for worker in _alive(view) for job in worker.running]
    jobs.sort(key=lambda pair: pair[1].started_at)
    for worker, job in jobs[:MAX_RUNNING]:
        step, of = view.progress.get(job.job_id, (0, 0))
        table.add_row(
            Text(visible(job.job_name), style="cyan"),
            Text(f"{visible(job.job_type)} on {visible(worker.host)}:{worker.pid}", style="dim"),
            ProgressBar(total=of, completed=step, width=24) if of else "",
            f"{step}/{of}" if of else "",
            _span((view.now - job.started_at).total_seconds()),
        )
    if len(jobs) > MAX_RUNNING:
        table.add_row(Text(f"and {len(jobs) - MAX_RUNNING} more running", style="dim"))
    return table


def _events(events: Iterable[Event], lines: int, *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    columns = [column for column in _COLUMNS if wide or column[0] not in _WIDE_ONLY]
    for name, width, ratio in columns:
        side: Literal["left", "right"] = "right" if name in {"try", "took"} else "left"
        table.add_column(
            name, no_wrap=True, overflow="ellipsis", width=width, ratio=ratio, justify=side
        )
    for event in list(events)[:lines]:
        cells = _cells(event)
        table.add_row(*(cells[name] for name, _, _ in columns))
    return table


def _cells(event: Event) -> Mapping[str, Text]:
    return {
        "time": Text(_clock(event.occurred_at), style="dim"),
        "event": Text(event.status, style=_style(event)),
        "job": Text(visible(event.facts.job_name)),
        "id": Text(event.job_id[-8:], style="dim"),
        "try": Text(str(event.after.attempt or "")),
        "took": Text(took(event.duration_ms)),
        "message": Text(visible(event.message), style="dim"),
    }


def _style(event: Event) -> str:
    return _STATUS_STYLES.get(event.kind, "") if event.is_readable else "red"


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S.%f}"[:-3]


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    return f"{minutes}:{rest:02}"


def _alive(view: FleetView) -> Sequence[WorkerStatus]:
    silent = timedelta(seconds=_SILENT_SECONDS)
    return [one for one in view.workers if view.now - one.heartbeat_at < silent]
