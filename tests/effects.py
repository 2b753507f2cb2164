"""Effects outside of a fleet, by the keys that came with their calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID, uuid5


def effect_key(job_id: str, incarnation: int) -> str:
    """Return the key that all attempts of an incarnation pass on: docs/idempotency.md."""
    return str(uuid5(UUID(job_id), f"incarnation/{incarnation}"))


def contradictions(
    keys: Iterable[str], incarnations: Mapping[str, int], completed: Iterable[str]
) -> list[str]:
    """Return where the effects differ from what the trail says.

    Args:
        keys: those that came to a server outside of the fleet.
        incarnations: how many each job that calls has had.
        completed: those of them whose last incarnation completed.
    """
    came = set(keys)
    allowed = {
        effect_key(job_id, number)
        for job_id, most in incarnations.items()
        for number in range(1, most + 1)
    }
    strange = [f"an effect under {key}, of no job" for key in sorted(came - allowed)]
    missing = [
        f"job {job_id} completed without its effect"
        for job_id in sorted(completed)
        if effect_key(job_id, incarnations[job_id]) not in came
    ]
    return strange + missing
