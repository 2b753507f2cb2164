"""How much an attempt that is repeated may leave in the trail.

A job has up to 100 attempts, each redrive gives it as many again, and a request that was not sent
is repeated for days. The trail keeps each of them for good.
"""

from __future__ import annotations

from typing import Any

from jobfleet_contracts.codec import encode
from jobfleet_contracts.credentials import masked
from jobfleet_contracts.outcome import AttemptFailed, Outcome
from jobfleet_contracts.own_thread import in_own_thread
from jobfleet_worker.handlers.outcome_turns import outcome_turn

MAX_REPEATED_BYTES = 16 * 1024
"""Size of an attempt's details as JSON. The job's last attempt keeps its details whole."""
MIN_REPEATED_BYTES = 1024
_SHARED_BYTES = 512 * 1024
SHORTENED = "shortened"
_SHORTEST_STRING = 64
_ELLIPSIS = "…"


def kept_bytes(sequence: int) -> int:
    """Return how much the data of a repeated attempt's event may take, in JSON.

    The first events of a job keep 16 KiB each, later ones less, and each at least 1 KiB. So 1,000
    events keep 2 MB in total, not 16.
    """
    return max(MIN_REPEATED_BYTES, min(MAX_REPEATED_BYTES, _SHARED_BYTES // max(sequence, 1)))


def data_of(failed: AttemptFailed) -> dict[str, Any]:
    """Return the data of the event of a failed attempt."""
    return failed.details | {"error": failed.error.to_json()}


async def masked_in_thread(outcome: Outcome) -> dict[str, Any] | None:
    """Return the long data of a failed attempt as they may be shown; ``None`` for short data.

    A third party's answer of 256 KiB would hold up all jobs of this loop for up to a second.
    """
    if not isinstance(outcome, AttemptFailed) or _fits(data_of(outcome), MIN_REPEATED_BYTES):
        return None
    return await in_own_thread(_masked_in_turn, data_of(outcome), name="masked-error")


def _masked_in_turn(data: dict[str, Any]) -> dict[str, Any]:
    with outcome_turn():
        shown: dict[str, Any] = masked(data)
        return shown


def shortened(
    data: dict[str, Any], *, sequence: int, shown: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the data of an event with long strings cut in the middle, so that they fit.

    Data that are cut are masked first, unless ``shown`` holds them masked. Data that are too large
    by their number of values keep their error only. Data that was cut has ``"shortened": true``.
    """
    most = kept_bytes(sequence)
    if _fits(data, most):
        return data
    # Before the cut: half a credential would be known as none.
    data = masked(data) if shown is None else shown
    for kept in ({**data}, {"error": data.get("error")}):
        longest = most
        while longest >= _SHORTEST_STRING:
            cut = {**_cut(kept, longest), SHORTENED: True}
            if _fits(cut, most):
                return cut
            longest //= 2
    return {SHORTENED: True}


def _fits(data: dict[str, Any], most: int) -> bool:
    return len(encode(data)) <= most


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str) and len(value) > longest:
        half = longest // 2
        return value[:half] + _ELLIPSIS + value[-half:]
    if isinstance(value, dict):
        return {name: _cut(each, longest) for name, each in value.items()}
    if isinstance(value, list):
        return [_cut(each, longest) for each in value]
    return value
