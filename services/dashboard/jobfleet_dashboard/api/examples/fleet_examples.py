"""Examples of workers, queues, types, locks and dead letters."""

from __future__ import annotations

from jobfleet_dashboard.api.examples.values import AT, JOB_ID, WORKER_ID, Json

_WORKER: Json = {
    "workerId": WORKER_ID,
    "host": "node-1",
    "pid": 4711,
    "version": "1.0.0",
    "level": 1,
    "startedAt": AT,
    "heartbeatAt": AT,
    "alive": True,
    "draining": False,
    "slots": 10,
    "slotsUsed": 0,
    "queues": ["default"],
    "types": ["demo.steps"],
    "openCircuits": [],
    "schedules": ["daily-report"],
    "clockOffSeconds": 0.0,
    "running": [],
    "unreadable": None,
}
WORKERS: Json = {"items": [_WORKER]}
_ATTEMPT: Json = {
    "jobId": JOB_ID,
    "jobName": "Nightly import",
    "type": "demo.steps",
    "attempt": 1,
}
WORKER: Json = {
    **_WORKER,
    "condition": "alive",
    "since": AT,
    "stoppedAt": None,
    "runs": 120,
    "failures": 3,
    "fenced": 1,
    "recent": [{**_ATTEMPT, "startedAt": AT, "endedAt": AT, "ended": "completed"}],
    "takeovers": [{**_ATTEMPT, "at": AT, "byWorkerId": WORKER_ID}],
    "moreTakeovers": False,
}
_PAUSE: Json = {
    "paused": True,
    "pausedBy": "nightops",
    "pausedAt": AT,
    "pausedUntil": AT,
    "pauseReason": "third party down",
}
QUEUES: Json = {
    "items": [
        {
            "queue": "default",
            "lane": "normal",
            "ready": 12,
            "paused": True,
            "pausedBy": "nightops",
            "pausedUntil": AT,
        }
    ],
    "queues": [
        {
            "queue": "default",
            "depth": 12,
            "lanes": {"high": 0, "normal": 12, "low": 0},
            **_PAUSE,
            "oldestJobId": JOB_ID,
            "oldestSince": AT,
            "waitingSeconds": 31.5,
            "inPerMinute": 40.0,
            "outPerMinute": 12.0,
            "workers": [WORKER_ID],
        }
    ],
}
_FIGURES: Json = {
    "ended": 90,
    "endedPerMinute": 1.42,
    "failed": 9,
    "failureShare": 0.1,
    "retried": 4,
    "waiting": {"count": 94, "p50Ms": 12, "p95Ms": 480, "p99Ms": 1900},
    "running": {"count": 94, "p50Ms": 50200, "p95Ms": 61300, "p99Ms": 66800},
}
TYPES: Json = {
    "items": [
        {
            "type": "demo.steps",
            **_PAUSE,
            "workers": [WORKER_ID],
            "lastHour": _FIGURES,
            "lastDay": _FIGURES,
        }
    ],
    "hourSince": AT,
    "daySince": AT,
    "slowest": [
        {
            "jobId": JOB_ID,
            "jobName": "Nightly import",
            "type": "demo.steps",
            "attempt": 1,
            "ended": "completed",
            "endedAt": AT,
            "durationMs": 66790,
        }
    ],
}
PAUSE_REQUEST: Json = {"reason": "third party down", "until": AT}
PAUSED: Json = {"message": "queue default is paused", "changed": True, "warning": None}
RESUMED: Json = {"message": "queue default is open", "changed": True, "warning": None}
RUN_ANYWAY: Json = {"message": f"job {JOB_ID} may start once during the pause"}
_LOCK_JOB: Json = {
    "jobId": JOB_ID,
    "jobName": "Nightly import",
    "type": "demo.steps",
    "state": "running",
    "updatedAt": AT,
}
LOCKS: Json = {
    "items": [
        {
            "lockKey": "customer-42",
            "slots": 3,
            "used": 1,
            "holders": [
                _LOCK_JOB | {"lock": "key/5f2c/3/2", "slot": 2, "leased": True, "heldSince": AT}
            ],
            "waiting": 0,
            "waiters": [],
        }
    ]
}
DEAD_LETTERS: Json = {
    "items": [
        {
            "kind": "job",
            "at": AT,
            "reason": "ValueError: no such column",
            "letterId": None,
            "messageId": None,
            "body": None,
            "size": None,
            "jobId": JOB_ID,
            "jobName": "Nightly import",
            "type": "demo.steps",
            "state": "failed",
            "attempt": 3,
        }
    ],
    "next": None,
}
STATS: Json = {
    "items": [
        {
            "state": "completed",
            "count": 420,
            "windowSeconds": 3600.0,
            "endedInWindow": 120,
            "perMinute": 2.0,
            "meanDurationMs": 812.5,
            "endedInDay": 2410,
            "meanDurationMsInDay": 797.1,
        }
    ]
}
ALIVE: Json = {"status": "alive"}
READY: Json = {
    "status": "ready",
    "checks": [{"part": "database", "ok": True, "address": "jobs.db", "detail": "", "remedy": ""}],
}
