"""What must be true of jobs that were erased."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobfleet_contracts.state import Status
from jobfleet_protocol.actions.erasure import made_from
from jobfleet_protocol.audit.chain_check import check_chain
from jobfleet_protocol.trail.erased_values import is_unfinished, is_withdrawn
from jobfleet_protocol.trail.tombstone import is_tombstone
from tests.simulation.client_calls import ClientCall
from tests.simulation.servers import Servers


def erasure_faults(servers: Servers, calls: Sequence[ClientCall]) -> Iterator[str]:
    """Yield values of erased jobs that are left, and erasures that were promised and never made."""
    for call in calls:
        history = servers.trail.complete(call.wish.job_id)
        if call.wish.verb == "erase" and call.granted and history[-1].status != Status.ERASED:
            yield f"job {call.wish.job_id} was erased, and {history[-1].status} is its last event"
    for job_id in sorted(servers.trail.jobs):
        history = servers.trail.history(job_id)
        if history[-1].status == Status.ERASED:
            yield from _values_of(servers, job_id)
            yield from (f"erased job {job_id}: {each.message}" for each in check_chain(history))


def _values_of(servers: Servers, job_id: str) -> Iterator[str]:
    history = servers.trail.history(job_id)
    if is_unfinished(history):
        yield f"values of erased job {job_id} are in the trail for ever"
    for made in made_from(history[-1], servers.trail.complete(job_id)[0]):
        newest = servers.trail.newest(made)
        if newest is not None and not is_withdrawn(newest):
            yield f"job {made}, made from erased job {job_id}, was not erased"
    if any(name.startswith(f"{job_id}/") for name in servers.blobs):
        yield f"a large value of erased job {job_id} is left"
    for (of, sequence), event in servers.index.timeline.items():
        shown = of == job_id and not is_tombstone(event) and event.status != Status.ERASED
        if shown and event.data:
            yield f"the timeline still shows values of erased job {job_id} #{sequence}"
