"""Completions of a search as it is typed: the whole search, with its last word completed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from jobfleet_contracts.control import ControlEntry, ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.fleet_ports import WorkerDirectory
from jobfleet_contracts.lookup_keys import PAYLOAD
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.worker_status import WorkerStatus
from jobfleet_dashboard.views.known_names import KnownNames
from jobfleet_dashboard.views.short_id import short
from jobfleet_protocol.control.type_keys import declared_keys
from jobfleet_protocol.reading.search import FIELD_NAMES

MOST_WORDS = 12
_ONE_WORD = re.compile(r'[^\s:"-][^\s:"]*')


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedNames:
    """What fields can name: of workers, of schedules, and declared keys of payloads."""

    known: KnownNames
    workers: Sequence[str]
    schedules: Sequence[str]
    payload_keys: Sequence[str]

    @classmethod
    def of(
        cls,
        workers: Sequence[WorkerStatus],
        types: Sequence[ControlEntry],
        schedules: Sequence[ControlEntry],
    ) -> Self:
        """Collect them; ``types`` and ``schedules`` are the newest entries of their logs."""
        return cls(
            known=KnownNames.of(workers),
            workers=[short(worker.worker_id) for worker in workers],
            schedules=[entry.name for entry in schedules],
            payload_keys=sorted({key for entry in types for key in declared_keys(entry)}),
        )

    @classmethod
    async def read(cls, directory: WorkerDirectory, log: ControlLog) -> Self:
        """Read them.

        Raises:
            BackendUnavailable: storage did not answer.
        """
        workers, types, schedules = await asyncio.gather(
            directory.workers(),
            log.heads(ControlSubject.TYPE),
            log.heads(ControlSubject.SCHEDULE),
        )
        return cls.of(workers, types, schedules)

    def fields(self, known: Sequence[str]) -> list[str]:
        """Return the names of these fields, each with its colon, and of declared keys."""
        names = [name for name in known if not name.startswith(PAYLOAD)]
        keys = [PAYLOAD + key for key in self.payload_keys] if len(names) < len(known) else []
        return [f"{name}:" for name in (*names, *keys)]

    def values(self, field: str) -> Sequence[str]:
        """Return known values of a field, none if they are not known."""
        match field:
            case "state":
                return [state.value for state in State]
            case "status":
                return [status.value for status in Status]
            case "type":
                return self.known.types
            case "queue":
                return self.known.queues
            case "worker":
                return self.workers
            case "schedule":
                return self.schedules
            case _:
                return ()


def completions(
    search: str, names: SearchedNames, fields: Sequence[str] = FIELD_NAMES
) -> list[str]:
    """Return up to 12 searches that begin with this one; none where its last word is free text."""
    begun = search.rpartition(" ")[2]
    before = search[: len(search) - len(begun)]
    minus = "-" if begun.startswith("-") else ""
    field, colon, value = begun.removeprefix("-").partition(":")
    if colon:
        found = [f"{field}:{each}" for each in names.values(field) if value.lower() in each.lower()]
    else:
        found = [each for each in names.fields(fields) if each.startswith(field)]
    return [f"{before}{minus}{word}" for word in found][:MOST_WORDS]


def in_payloads(search: str, names: SearchedNames) -> list[str]:
    """Return searches for this one word in payloads, under each declared key; none for others."""
    if _ONE_WORD.fullmatch(search) is None:
        return []
    return [f"{PAYLOAD}{key}:{search}" for key in names.payload_keys][:MOST_WORDS]
