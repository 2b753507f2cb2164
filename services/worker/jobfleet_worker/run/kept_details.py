"""How much an attempt that is repeated may leave in the trail.

A job has up to 100 attempts, and the trail keeps each of them for good.
"""

from __future__ import annotations

from typing import Any

from jobfleet_contracts.codec import encode

MAX_REPEATED_BYTES = 16 * 1024
"""Of JSON, for each attempt that another one follows; the last one keeps its details whole."""
SHORTENED = "shortened"
_SHORTEST_STRING = 64
_ELLIPSIS = "…"


def shortened(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data of an event with long strings cut in the middle, so that they fit.

    Data that are too large by their number of values keep their error only. What was cut says
    so: ``"shortened": true``.
    """
    if _fits(data):
        return data
    for kept in ({**data}, {"error": data.get("error")}):
        longest = MAX_REPEATED_BYTES
        while longest >= _SHORTEST_STRING:
            cut = {**_cut(kept, longest), SHORTENED: True}
            if _fits(cut):
                return cut
            longest //= 2
    return {SHORTENED: True}


def _fits(data: dict[str, Any]) -> bool:
    return len(encode(data)) <= MAX_REPEATED_BYTES


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str) and len(value) > longest:
        half = longest // 2
        return value[:half] + _ELLIPSIS + value[-half:]
    if isinstance(value, dict):
        return {name: _cut(each, longest) for name, each in value.items()}
    if isinstance(value, list):
        return [_cut(each, longest) for each in value]
    return value
