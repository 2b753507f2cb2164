"""An invented next release: what it adds, and how this release reads what it wrote.

The processes of the next release run the code under test. To them :data:`NEW_FIELD` and
:data:`NEW_KIND` are of level 2. The workers of this release run the same code at level 1. Their
ports show them both under names that no release knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf

from jobfleet_contracts.event import Event
from jobfleet_contracts.message import JobMessage, MalformedMessage
from jobfleet_contracts.protocol_level import PROTOCOL_LEVEL
from jobfleet_contracts.state import Status
from tests.simulation.process import Process

NEXT_LEVEL = PROTOCOL_LEVEL + 1
NEW_FIELD, _ATTRIBUTE = "inputFilePath", "input_file_path"
NEW_KIND = Status.REDRIVEN
LEVELS = {NEW_FIELD: NEXT_LEVEL}
_STRANGE_FIELD, _STRANGE_KIND = "inventedField", "InventedKind"


def as_read_by(process: Process, event: Event) -> Event:
    """Return a row as the release of a process reads it."""
    if not process.is_old:
        return event
    if event.status == NEW_KIND:
        return replace(event, status=_STRANGE_KIND)
    request = event.data.get("request")
    if not isinstance(request, Mapping) or NEW_FIELD not in request:
        return event
    renamed = {_STRANGE_FIELD if name == NEW_FIELD else name: request[name] for name in request}
    return replace(event, data=event.data | {"request": renamed})


def as_received_by(
    process: Process, message: JobMessage | MalformedMessage
) -> JobMessage | MalformedMessage:
    """Return a message as the codec of a process's release decodes it."""
    if not process.is_old or isinstance(message, MalformedMessage):
        return message
    if message.request.input_file_path is None:
        return message
    fields = message.request.model_fields_set - {_ATTRIBUTE}
    known = message.request.model_copy(update={_ATTRIBUTE: None})
    known.model_fields_set.intersection_update(fields)
    lacking = replace(message, request=known, unknown_fields=(_STRANGE_FIELD,))
    return lacking.without_proof()


def encoded(message: JobMessage) -> JobMessage:
    """Return a message as it is sent: its codec leaves out what it did not understand."""
    return replace(message, unknown_fields=(), body=b"") if message.unknown_fields else message


def skew_faults(
    trails: Mapping[str, Sequence[Event]],
    writers: Mapping[str, tuple[Process, float]],
    runs: Sequence[tuple[str, str | None]],
) -> Iterator[str]:
    """Yield what an old worker did with what it does not know.

    Args:
        writers: which process wrote an event, by event id.
        runs: job id and new field of each run, as its handler saw them.
    """
    newer = [h[0] for h in trails.values() if h and NEW_FIELD in h[0].data.get("request", ())]
    used_at = min((writers[each.event_id][1] for each in newer), default=inf)
    for job_id, seen in runs:
        asked = trails[job_id][0].data["request"].get(NEW_FIELD) if trails.get(job_id) else None
        if asked != seen:
            yield f"job {job_id} ran without a field that its release does not know"
    for job_id, history in trails.items():
        for before, event in pairwise(history):
            process, _ = writers.get(event.event_id, (None, 0.0))
            if process is None or not process.is_old:
                continue
            if before.status == NEW_KIND:
                yield f"job {job_id} #{event.sequence} follows what its writer does not know"
            if event.status == Status.STARTED and process.born_at > used_at:
                yield f"{process.name} started below the level that the fleet has used"
