"""Who works here: one row per worker, replaced with each heartbeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jobfleet_backends.azure.http.entity_table import REPLACE, EntityTable
from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_contracts.codec import decode, encode_text, format_time
from jobfleet_contracts.errors import InvalidRequest
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.worker_status import LISTED, WorkerStatus

_PARTITION = "workers"
_FORGOTTEN_ROWS = 1000
_CHUNK = 15_000
"""Characters of JSON per column: 32,768 UTF-16 units are allowed, and a character may take two."""


class AzureWorkerDirectory:
    """Rows of one partition; lists are JSON columns."""

    def __init__(self, *, table: EntityTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def beat(self, status: WorkerStatus) -> None:
        """Replace the row."""
        await self._table.upsert("worker.beat", _entity(status), REPLACE)

    async def workers(self, *, with_stopped: bool = False) -> Sequence[WorkerStatus]:
        """Return every worker heard of within the hour, longest running first."""
        oldest = self._clock.now() - LISTED
        # The rows of a week stay in the table: only those that are listed are read. A row without
        # a heartbeat is listed too, and says that it cannot be read.
        query = _rows(f"not ( {_last_beat_before(oldest)} )")
        found: list[WorkerStatus] = []
        async for page in self._table.pages("worker.list", query):
            found += [_status(entity) for entity in page]
        heard = [
            status
            for status in found
            if (status.heartbeat_at >= oldest or status.unreadable)
            and (with_stopped or status.stopped_at is None)
        ]
        return sorted(heard, key=lambda status: (status.started_at, status.worker_id))

    async def worker(self, worker_id: str) -> WorkerStatus | None:
        """Return one worker, by its row's key."""
        entity = await self._table.get("worker.read", _PARTITION, worker_id)
        return None if entity is None else _status(entity)

    async def forget(self, before: datetime) -> None:
        """Remove rows of workers that were last heard of before; 1,000 a call."""
        query = _rows(_last_beat_before(before))
        for entity in await self._table.first("worker.forget", query, _FORGOTTEN_ROWS):
            await self._table.delete("worker.remove", _PARTITION, str(entity["RowKey"]))


def _rows(condition: str) -> Query:
    return Query(f"PartitionKey eq @partition and {condition}", {"partition": _PARTITION})


def _last_beat_before(moment: datetime) -> str:
    return f"HeartbeatAt lt datetime'{format_time(moment)}'"


def _entity(status: WorkerStatus) -> dict[str, Any]:
    return {
        "PartitionKey": _PARTITION,
        "RowKey": status.worker_id,
        "Host": status.host,
        "Pid": status.pid,
        "Version": status.version,
        "Level": status.level,
        "Leads": status.leads,
        "StartedAt": status.started_at,
        "HeartbeatAt": status.heartbeat_at,
        "Slots": status.slots,
        "Draining": status.draining,
        "StoppedAt": status.stopped_at,
        "Queues": encode_text(status.queues),
        "Types": encode_text(status.types),
        "OpenCircuits": encode_text(status.open_circuits),
        "ClockOffSeconds": status.clock_off_seconds,
        "Runs": status.runs,
        "Failures": status.failures,
        "Fenced": status.fenced,
        **_pieces("Recent", encode_text(status.recent)),
        **_pieces("Running", encode_text(status.running)),
        **_pieces("Schedules", encode_text(status.schedules)),
        **_pieces("Refused", encode_text(status.refused)),
    }


def _pieces(column: str, text: str) -> dict[str, str]:
    pieces = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    return {f"{column}{place or ''}": piece for place, piece in enumerate(pieces)}


_COLUMNS = {
    "Host": "host",
    "Pid": "pid",
    "Version": "version",
    "Level": "level",
    "Leads": "leads",
    "StartedAt": "started_at",
    "HeartbeatAt": "heartbeat_at",
    "Slots": "slots",
    "Draining": "draining",
    "StoppedAt": "stopped_at",
    "ClockOffSeconds": "clock_off_seconds",
    "Runs": "runs",
    "Failures": "failures",
    "Fenced": "fenced",
}
_LISTS = {"Queues": "queues", "Types": "types", "OpenCircuits": "open_circuits"}


def _status(entity: Mapping[str, Any]) -> WorkerStatus:
    worker_id = str(entity["RowKey"])
    fields = {name: entity[column] for column, name in _COLUMNS.items() if column in entity}
    try:
        lists = {
            name: decode(entity[column]) for column, name in _LISTS.items() if column in entity
        }
        lists["running"] = decode(_joined(entity, "Running", "[]"))
        lists["recent"] = decode(_joined(entity, "Recent", "[]"))
        lists["schedules"] = decode(_joined(entity, "Schedules", "{}"))
        lists["refused"] = decode(_joined(entity, "Refused", "{}"))
    except (InvalidRequest, TypeError) as error:
        return WorkerStatus(worker_id=worker_id, unreadable=str(error))
    return WorkerStatus.read(worker_id, fields | lists)


def _joined(entity: Mapping[str, Any], column: str, absent: str) -> str:
    pieces = [str(entity.get(column, absent))]
    while (piece := entity.get(f"{column}{len(pieces)}")) is not None:
        pieces.append(str(piece))
    return "".join(pieces)
