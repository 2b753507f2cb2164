"""Examples of schedules."""

from __future__ import annotations

from jobfleet_dashboard.api.examples.values import JOB_ID, WORKER_ID, Json

SCHEDULE: Json = {
    "name": "daily-report",
    "type": "report.daily",
    "cron": "0 6 * * MON-FRI",
    "everySeconds": None,
    "timezone": "Europe/Berlin",
    "start": None,
    "overlap": "skip",
    "catchUp": "last",
    "jitterSeconds": 0.0,
    "payload": {"kind": "daily"},
    "queue": "default",
    "lockKey": None,
    "lockSlots": 1,
    "job": {"type": "report.daily", "payload": {"kind": "daily"}},
    "paused": False,
    "pausedBy": None,
    "pausedReason": None,
    "pausedSince": None,
    "declaredBy": "code",
    "differsFromCode": False,
    "inCode": True,
    "contents": [{"digest": "9f2c", "workerIds": [WORKER_ID]}],
    "handled": True,
    "payloadRefused": None,
    "nextRuns": ["2026-11-23T05:00:00.000000Z"],
    "lastTick": "2026-11-20T05:00:00.000000Z",
    "lastJobId": JOB_ID,
    "lastState": "completed",
    "late": False,
    "lateSince": None,
    "error": None,
}
SCHEDULES: Json = {"items": [SCHEDULE]}
SCHEDULE_REQUEST: Json = {
    "type": "report.daily",
    "cron": "0 6 * * MON-FRI",
    "timezone": "Europe/Berlin",
    "payload": {"kind": "daily"},
}
SCHEDULE_HISTORY: Json = {
    "items": [
        {
            "sequence": 7,
            "kind": "Fired",
            "tick": "2026-11-20T05:00:00.000000Z",
            "jobId": JOB_ID,
            "by": "scheduler",
            "reason": "",
            "count": None,
            "runningJobId": None,
            "changes": [],
            "timestamp": "2026-11-20T05:00:00.012345Z",
        }
    ],
    "next": "7",
}
SCHEDULE_DONE: Json = {"name": "daily-report", "message": "paused", "changed": True}
BACKFILL_REQUEST: Json = {"since": "2026-11-01T00:00:00Z", "until": "2026-11-08T00:00:00Z"}
BACKFILL: Json = {"items": [{"jobId": JOB_ID, "state": "queued", "created": True}]}
