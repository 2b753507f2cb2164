"""Rule 12 over one job's rows: does each hash follow from the row and from the row before?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.event import UNREADABLE, Event
from jobfleet_contracts.state import Status
from jobfleet_protocol.audit.violation import Violation
from jobfleet_protocol.trail.chain import BEGINNING, data_hash_of, row_hash, text_hash_of
from jobfleet_protocol.trail.large_data import is_stored_apart, own_name
from jobfleet_protocol.trail.tombstone import is_seal

CHAIN_RULE = 12


def check_chain(events: Sequence[Event]) -> Iterator[Violation]:
    """Yield a violation for each row whose hashes are missing or wrong.

    The next row is compared with the hash that is stored, so that one changed row is named once.
    Where the row before is missing or cannot be read, only the row's own content is checked. Data
    in blobs are checked where :func:`large_data.resolve` has fetched them.

    Args:
        events: the rows of one job, oldest first.
    """
    previous: str | None = BEGINNING
    expected = 1
    is_erasing = any(event.status == Status.ERASED for event in events) or _has_lost_its_end(events)
    for event in events:
        if event.sequence != expected:
            previous = None
        if event.status == UNREADABLE:  # rule 3 names it
            previous = None
        else:
            flaw = _flaw_of(event, previous, is_erasing=is_erasing)
            if flaw is not None:
                yield violation(event, flaw)
            previous = event.hash
        expected = event.sequence + 1


def _has_lost_its_end(events: Sequence[Event]) -> bool:
    """Whether the retention has removed what stood before the seal; ``Erased`` too, if it did."""
    *_, before, last = [0, 0, *(event.sequence for event in events)]
    return bool(events) and is_seal(events[-1]) and before != last - 1


def violation(event: Event, message: str) -> Violation:
    """Return the violation of rule 12 at a row."""
    return Violation(CHAIN_RULE, event.job_id, event.sequence, event.event_id, message)


def _flaw_of(event: Event, previous: str | None, *, is_erasing: bool) -> str | None:
    try:
        if is_erasing and event.is_erased:
            return _compare_erased(event, previous)
        return _compare(event, previous)
    except (InvalidRequest, ValueError, TypeError, AttributeError) as error:
        return f"its hash cannot be computed: {error}"


def _compare_erased(event: Event, previous: str | None) -> str | None:
    """Compare a row whose values are gone: its digests stand in their place."""
    if event.hash is None or event.text_hash is None:
        return "the row has no hash"
    if event.message or event.data or event.facts.job_name != event.facts.job_type:
        return "the row holds values without their salt"
    if previous is not None and event.hash != row_hash(event, previous):
        return "the row, or the row before it, was changed after it was written"
    return None


def _compare(event: Event, previous: str | None) -> str | None:
    if event.hash is None or event.salt is None:
        return "the row has no hash, or no salt"
    if event.text_hash != text_hash_of(event, event.salt):
        return "the job's name or the message was changed after it was written"
    if is_stored_apart(event):
        if event.data["blob"] != own_name(event):
            return "the row names data that are not its own"
    elif event.data_hash != data_hash_of(event, event.salt):
        return "the data were changed after they were written"
    if previous is not None and event.hash != row_hash(event, previous):
        return "the row, or the row before it, was changed after it was written"
    return None
