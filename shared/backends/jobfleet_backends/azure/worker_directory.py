"""Who works here: one row per worker, replaced with each heartbeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from jobfleet_backends.azure.http.entity_table import REPLACE, EntityTable
from jobfleet_backends.azure.http.table_reader import Query
from jobfleet_backends.azure.rows import plain_time
from jobfleet_contracts.codec import decode, encode_text, parse_time
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.worker_status import RunningJob, WorkerStatus

SILENT_WORKER_KEPT = timedelta(hours=1)
_PARTITION = "workers"
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

    async def remove(self, worker_id: str) -> None:
        """Remove the row."""
        await self._table.delete("worker.remove", _PARTITION, worker_id)

    async def workers(self) -> Sequence[WorkerStatus]:
        """Return every worker heard of within the hour, longest running first."""
        oldest = self._clock.now() - SILENT_WORKER_KEPT
        found: list[WorkerStatus] = []
        query = Query("PartitionKey eq @partition", {"partition": _PARTITION})
        async for page in self._table.pages("worker.list", query):
            found += [_status(entity) for entity in page]
        for silent in (status for status in found if status.heartbeat_at < oldest):
            await self.remove(silent.worker_id)
        heard = [status for status in found if status.heartbeat_at >= oldest]
        return sorted(heard, key=lambda status: (status.started_at, status.worker_id))


def _entity(status: WorkerStatus) -> dict[str, Any]:
    running = encode_text(status.running)
    pieces = [running[start : start + _CHUNK] for start in range(0, len(running), _CHUNK)]
    return {
        "PartitionKey": _PARTITION,
        "RowKey": status.worker_id,
        "Host": status.host,
        "Pid": status.pid,
        "Version": status.version,
        "StartedAt": status.started_at,
        "HeartbeatAt": status.heartbeat_at,
        "Slots": status.slots,
        "Draining": status.draining,
        "Queues": encode_text(status.queues),
        "Types": encode_text(status.types),
        "OpenCircuits": encode_text(status.open_circuits),
        **{f"Running{place or ''}": piece for place, piece in enumerate(pieces)},
    }


def _status(entity: Mapping[str, Any]) -> WorkerStatus:
    return WorkerStatus(
        worker_id=entity["RowKey"],
        host=entity["Host"],
        pid=entity["Pid"],
        version=entity["Version"],
        started_at=plain_time(entity["StartedAt"]),
        heartbeat_at=plain_time(entity["HeartbeatAt"]),
        slots=entity["Slots"],
        draining=entity["Draining"],
        queues=tuple(decode(entity["Queues"])),
        types=tuple(decode(entity["Types"])),
        open_circuits=tuple(decode(entity.get("OpenCircuits", "[]"))),
        running=tuple(_running(job) for job in decode(_joined(entity))),
    )


def _joined(entity: Mapping[str, Any]) -> str:
    pieces = [entity["Running"]]
    while (piece := entity.get(f"Running{len(pieces)}")) is not None:
        pieces.append(piece)
    return "".join(pieces)


def _running(job: Mapping[str, Any]) -> RunningJob:
    return RunningJob(**{**job, "started_at": parse_time(job["started_at"])})
