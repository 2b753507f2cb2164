"""What a trail says of values that were erased, or are being erased.

An erasure appends ``Erased``, which nothing but the retention follows. Later it removes job name,
message, data and salt from the rows before. Their digests stay, and with them the hash chain.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobfleet_contracts.event import Event
from jobfleet_contracts.state import Status
from jobfleet_protocol.trail.tombstone import is_tombstone


def holds_no_request(opening: Event) -> bool:
    """Whether event 1 tells no more what was to run: its history was removed, or its values."""
    return is_tombstone(opening) or opening.is_erased


def is_withdrawn(head: Event) -> bool:
    """Whether the newest event refuses a redrive for good: a seal, a tombstone, or ``Erased``."""
    return is_tombstone(head) or head.status == Status.ERASED


def is_unfinished(history: Sequence[Event]) -> bool:
    """Whether rows before ``Erased`` still hold values.

    Args:
        history: events of a job whose newest event is ``Erased``, or a page of them.
    """
    return any(not event.is_erased for event in history if event.status != Status.ERASED)
