"""What must be true of jobs that end because their messages ended the workers that took them."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status
from tests.simulation.servers import Servers
from tests.simulation.sim_handlers import DEADLY_TYPE


def unstartable_faults(servers: Servers) -> Iterator[str]:
    """Yield endings that the losses do not explain, and messages that are not set aside."""
    broker = servers.broker
    for when, event in servers.trail.written:
        if not _ends_unstarted(event):
            continue
        if event.facts.job_type != DEADLY_TYPE:
            yield f"job {event.job_id} #{event.sequence} ended for what its neighbour did"
        elif when < broker.costly_since.get((event.job_id, event.after.incarnation), inf):
            yield f"job {event.job_id} #{event.sequence} ended before its message cost ten workers"
    kept = {
        each.message_id for each in servers.dead_letters.messages() if each.message_id is not None
    }
    for job_id in sorted(broker.unread - kept):
        yield f"the message of job {job_id} came back too often and is not among the dead letters"
    costly = {job_id for job_id, _ in broker.costly_since}
    for job_id in sorted(kept - broker.unread - costly):
        yield f"the message of job {job_id} is among the dead letters and was never lost so often"


def _ends_unstarted(event: Event) -> bool:
    error = event.data.get("error", {})
    is_lost = event.kind is Status.FAILED and error.get("type") == "WorkerLost"
    return is_lost and "before they could start" in event.message
