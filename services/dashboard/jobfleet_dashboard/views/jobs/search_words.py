"""Completions of a search that somebody types: the whole search, with its last word completed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobfleet_contracts.state import State
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.views.known_names import KnownNames
from jobfleet_dashboard.views.short_id import short
from jobfleet_protocol.reading.search import FIELD_NAMES

MOST_WORDS = 12


def completions(search: str, workers: Sequence[WorkerStatus]) -> list[str]:
    """Return up to 12 searches that begin with this one; none where its last word is free text."""
    begun = search.rpartition(" ")[2] if search and not search[-1].isspace() else ""
    before = search[: len(search) - len(begun)]
    minus = "-" if begun.startswith("-") else ""
    name, colon, value = begun.removeprefix("-").partition(":")
    if not colon:
        words: Iterable[str] = (f"{field}:" for field in FIELD_NAMES if field.startswith(name))
    else:
        known = _values(name.lower(), workers)
        words = (f"{name}:{each}" for each in known if value.lower() in each.lower())
    return [f"{before}{minus}{word}" for word in words][:MOST_WORDS]


def _values(name: str, workers: Sequence[WorkerStatus]) -> Sequence[str]:
    known = KnownNames.of(workers)
    match name:
        case "state":
            return [state.value for state in State]
        case "type":
            return known.types
        case "queue":
            return known.queues
        case "worker":
            return [short(worker.worker_id) for worker in workers]
        case _:
            return ()
