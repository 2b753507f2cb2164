"""Event data too large for a row live in the payload store, under a name used once."""

from __future__ import annotations

from dataclasses import replace

from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.errors import DataMissing, InvalidRequest
from jobfleet_contracts.event import Event
from jobfleet_contracts.lookup_keys import INDEXED
from jobfleet_contracts.ports import PayloadStore

LONGEST_NAME = 500


def is_stored_apart(event: Event) -> bool:
    """Whether the event holds the name of its data, and not the data."""
    return event.data.keys() - {INDEXED} == {"blob", "size"}


def own_name(event: Event) -> str:
    """Return the name under which the event's data lie where they are stored apart."""
    return f"{event.job_id}/{event.after.epoch}/{event.event_id}"


async def externalise(event: Event, payloads: PayloadStore, *, inline_bytes: int) -> Event:
    """Return the event with large data replaced by the name under which they are stored.

    Data of up to ``inline_bytes`` stay in the event, and so do the keys that the index writes.
    The name holds job, epoch and event id, so no other attempt can overwrite it.
    """
    stored, data = split(event, inline_bytes=inline_bytes)
    if data is not None:
        await payloads.put(*data)
    return stored


def split(event: Event, *, inline_bytes: int) -> tuple[Event, tuple[str, bytes] | None]:
    """Return the event as its row holds it, and name and body of data to be stored separately."""
    body = encode(event.data) if event.data else b""
    if len(body) <= inline_bytes:
        return event, None
    name = own_name(event)
    kept = {INDEXED: event.data[INDEXED]} if INDEXED in event.data else {}
    return replace(event, data={"blob": name, "size": len(body), **kept}), (name, body)


async def resolve(event: Event, payloads: PayloadStore) -> Event:
    """Return the event with its data, wherever they are stored.

    Raises:
        BackendUnavailable: storage does not answer.
        DataMissing: it does, and holds no such data, or a value that cannot be read.
    """
    if not is_stored_apart(event):
        return event
    name = event.data["blob"]
    what = f"data of event {event.sequence} of job {event.job_id}"
    # Another row's value, or the fleet's key, must not be read by a forged row.
    is_own = name == own_name(event) and _is_name(name)
    body = await payloads.get(name) if is_own else None
    if body is None:
        raise DataMissing(f"{what} is missing")
    try:
        data = decode(body)
    except InvalidRequest as error:
        raise DataMissing(f"{what} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise DataMissing(f"{what} cannot be read: it is not a JSON object")
    return replace(event, data=data)


def _is_name(name: str) -> bool:
    """Whether every storage takes the name; a forged one could end whatever reads it."""
    parts = name.split("/")
    return len(name) <= LONGEST_NAME and name.isascii() and name.isprintable() and ".." not in parts
