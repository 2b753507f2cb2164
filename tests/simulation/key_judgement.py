"""A job of an idempotency key exists once, with one body; effects have one key an incarnation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jobfleet_contracts.errors import BodyConflict
from jobfleet_contracts.event import Event
from jobfleet_contracts.state import State, Status
from tests.effects import contradictions
from tests.simulation.client_calls import ClientCall
from tests.simulation.sim_handlers import DEADLY_TYPE, JOB_TYPE, RIVAL
from tests.simulation.witness import Witness

Trails = Mapping[str, Sequence[Event]]


def key_faults(
    calls: Sequence[ClientCall], made: Mapping[str, set[str]], trails: Trails
) -> Iterator[str]:
    """Yield keys of several jobs, and answers that do not fit the body that stands.

    Args:
        made: ids that submits of each key were answered with.
    """
    for key, jobs in made.items():
        if len(jobs) > 1:
            yield f"{key} made {len(jobs)} jobs"
    for call in calls:
        wish = call.wish
        if wish.verb != "submit" or wish.key is None or wish.request is None:
            continue
        stored = _stored_body(trails.get(wish.job_id, ()))
        if stored is None:
            continue
        stands = (RIVAL in stored) == (RIVAL in wish.request.payload)
        if call.granted and not stands:
            yield f"{wish.tag} of {wish.key} was accepted, and another body stands"
        if stands and any(isinstance(e, BodyConflict) for e in call.refused.values()):
            yield f"{wish.tag} of {wish.key} was refused, and its body stands"


def effect_faults(witness: Witness, trails: Trails) -> Iterator[str]:
    """Yield what ran with another body than the one that stands, and keys that fit no run."""
    for job_id, is_rival in witness.bodies_seen:
        stored = _stored_body(trails.get(job_id, ()))
        if stored is not None and (RIVAL in stored) != is_rival:
            yield f"job {job_id} ran with a body that does not stand"
    calling = {
        job_id: history[-1].after
        for job_id, history in trails.items()
        if history and history[0].facts.job_type in (JOB_TYPE, DEADLY_TYPE)
    }
    yield from contradictions(
        witness.keys_seen,
        {job_id: after.incarnation for job_id, after in calling.items()},
        [job_id for job_id, after in calling.items() if after.state is State.COMPLETED],
    )


def _stored_body(history: Sequence[Event]) -> Mapping[str, object] | None:
    """Return the payload that a trail begins with; ``None`` if it was erased or is not there."""
    if not history or history[-1].kind is Status.ERASED:
        return None
    request = history[0].data.get("request")
    return request["payload"] if isinstance(request, Mapping) else None
