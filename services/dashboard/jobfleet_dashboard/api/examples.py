"""Examples of the API's description; a test holds them against their shapes."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

JOB_ID = "0197f0c2-6d5e-7c3a-9f58-2b1d3e4f5a6b"
WORKER_ID = "0197f0c2-1111-7aaa-8bbb-123456789abc"
AT = "2026-11-20T09:30:00.000000Z"

REQUEST: Json = {
    "type": "demo.steps",
    "jobName": "Nightly import",
    "payload": {"steps": 10, "stepSeconds": 0.5},
    "priority": 5,
    "lockKey": "customer-42",
    "lockSlots": 3,
}
SHORT_REQUEST: Json = {
    "targetUrl": "https://example.com/hook",
    "method": "POST",
    "payload": {"order": 42},
    "maxRetries": 3,
    "retryDelay": 2000,
}
ACCEPTED: Json = {
    "jobId": JOB_ID,
    "state": "queued",
    "status": "queued",
    "statusUrl": f"/api/jobs/{JOB_ID}",
    "message": "accepted",
    "warning": None,
}
CALLBACK: Json = {
    "jobId": JOB_ID,
    "status": "completed",
    "message": "done",
    "payload": {"rows": 344},
}
CALLBACK_ANSWER: Json = {"jobId": JOB_ID, "state": "completed"}
EVENT: Json = {
    "jobId": JOB_ID,
    "jobName": "Nightly import",
    "type": "demo.steps",
    "eventId": "0197f0c2-6d60-7d11-8a6e-5c4d3b2a1f00",
    "sequence": 1,
    "status": "Queued",
    "state": "queued",
    "message": "Nightly import submitted",
    "timestamp": AT,
    "attempt": 0,
    "epoch": 0,
    "workerId": None,
    "durationMs": None,
    "data": {"request": REQUEST},
}
EVENTS: Json = {"items": [EVENT], "next": None, "searchedBackTo": None}
HISTORY: Json = {"items": [EVENT], "next": None}
JOB: Json = {
    "jobId": JOB_ID,
    "jobName": "Nightly import",
    "type": "demo.steps",
    "state": "queued",
    "queue": "default",
    "priority": 5,
    "lockKey": "customer-42",
    "lockSlots": 3,
    "limits": ["api-stripe"],
    "holds": [],
    "waitsFor": None,
    "attempt": 0,
    "attempts": 0,
    "maxAttempts": 3,
    "epoch": 0,
    "workerId": None,
    "createdAt": AT,
    "runAt": None,
    "startedAt": None,
    "completedAt": None,
    "updatedAt": AT,
    "nextRetryAt": None,
    "result": None,
    "lastError": None,
    "lastResponse": None,
    "callbackJobId": None,
    "callbackConflict": None,
    "groupId": None,
    "followsJobId": None,
    "successors": [],
    "scheduleName": None,
    "scheduledFor": None,
    "payload": REQUEST["payload"],
    "context": None,
    "events": [EVENT],
    "eventsNext": None,
}
LOGS: Json = {
    "items": [
        {
            "attemptNumber": 1,
            "workerId": WORKER_ID,
            "epoch": 1,
            "startedAt": AT,
            "endedAt": AT,
            "durationMs": 5012,
            "succeeded": False,
            "error": {"type": "ValueError", "message": "no such column", "traceback": None},
            "statusCode": None,
            "response": None,
        }
    ],
    "next": None,
}
LINES: Json = {
    "items": [
        {
            "epoch": 1,
            "at": AT,
            "attempt": 1,
            "level": "info",
            "message": "row read",
            "logger": "shop.imports",
            "fields": {"row": 3},
        }
    ],
    "next": None,
    "cursor": "1-118",
}
BULK_REQUEST: Json = {"jobs": [REQUEST]}
BULK: Json = {"items": [{"jobId": JOB_ID, "state": "queued"}]}
ACTION_REQUEST: Json = {"action": "redrive", "ids": [JOB_ID]}
ACTIONS: Json = {"items": [{"jobId": JOB_ID, "state": "queued"}]}
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
LIMIT: Json = {
    "name": "api-stripe",
    "slots": 5,
    "rate": "10/second",
    "burst": 1,
    "setBy": "nightops",
    "setAt": AT,
    "reason": "their contract",
    "used": 1,
    "holders": [{"slot": 3, "jobId": JOB_ID, "jobName": "Charge a card"}],
}
LIMITS: Json = {"items": [LIMIT]}
LIMIT_REQUEST: Json = {"slots": 5, "rate": "10/second", "reason": "their contract"}
LIMIT_REMOVED: Json = {"name": "api-stripe", "message": "removed"}
LIMIT_HISTORY: Json = {
    "items": [
        {
            "sequence": 1,
            "kind": "Set",
            "by": "nightops",
            "reason": "their contract",
            "timestamp": AT,
            "slots": 5,
            "rate": "10/second",
            "burst": 1,
        }
    ],
    "next": None,
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
_SCHEDULE: Json = {
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
SCHEDULE = _SCHEDULE
SCHEDULES: Json = {"items": [_SCHEDULE]}
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
VERDICT: Json = {
    "tone": "bad",
    "summary": "2 workers are alive, 20 of 20 slots busy, 205 jobs open.",
    "problems": [
        {
            "kind": "failing",
            "severity": "bad",
            "text": "crm.sync: 1,200 of 1,203 failed in 2 min: the CRM did not answer",
            "link": "/errors?range=15m&type=crm.sync",
        }
    ],
}
ERRORS: Json = {
    "range": "1h",
    "since": AT,
    "countedBackTo": None,
    "items": [
        {
            "groupId": "5f1d0c9be8a47312",
            "type": "crm.sync",
            "error": "TimeoutError",
            "place": "crm.client.fetch",
            "message": "the CRM did not answer",
            "lastJobId": JOB_ID,
            "firstAt": AT,
            "lastAt": AT,
            "jobs": 1200,
            "retried": 2400,
            "steps": [{"start": AT, "jobs": 1200, "retried": 2400}],
        }
    ],
}
BULK_ACTION: Json = {
    "actionId": "0197f0c2-7777-7abc-8def-123456789abc",
    "action": "redrive",
    "status": "running",
    "by": "nightops",
    "reason": "the CRM is back",
    "scope": "error:quota",
    "count": 1200,
    "handled": 450,
    "done": 448,
    "refused": 2,
    "askedAt": AT,
    "endedAt": None,
}
JOURNAL: Json = {
    "items": [
        {
            "sequence": 17,
            "at": AT,
            "kind": "Asked",
            "by": "nightops",
            "reason": "the CRM is back",
            "subject": None,
            "name": None,
            "jobId": None,
            "action": BULK_ACTION,
        }
    ],
    "next": None,
    "searchedBackTo": None,
}
RESULTS: Json = {"items": [{"jobId": JOB_ID, "state": "queued", "error": None}], "next": None}
WAITING: Json = {
    "items": [
        {"kind": "slots", "text": "All 20 slots of the workers that could run it are busy."},
        {
            "kind": "ahead",
            "text": "Up to 205 jobs are ahead of it in queue default; the oldest waits 4 min.",
        },
    ]
}

GROUP_REQUEST = {
    "name": "invoices 2026-11",
    "onFailure": "hold",
    "then": [{"type": "report", "results": {"invoices": "members"}}],
}
MEMBERS_REQUEST = {
    "first": 0,
    "jobs": [{"type": "invoice", "payload": 1}, {"type": "invoice", "payload": 2}],
}
GROUP = {
    "groupId": JOB_ID,
    "name": "invoices 2026-11",
    "state": "waiting",
    "onFailure": "hold",
    "total": 2,
    "ended": 1,
    "states": {"completed": 1},
    "badCount": 0,
    "bad": [],
    "cancelRequested": False,
    "actions": ["cancel"],
    "createdAt": AT,
    "updatedAt": AT,
    "completedAt": None,
    "message": "sealed with 2 members",
    "followsJobId": None,
    "successors": [{"type": "report", "when": "success", "jobId": None}],
    "callbackJobId": None,
    "memberOf": None,
}
MEMBERS = {
    "items": [
        {
            "index": 0,
            "jobId": JOB_ID,
            "jobName": "invoice",
            "type": "invoice",
            "state": "completed",
            "counted": "completed",
            "attempt": 1,
            "maxAttempts": 3,
            "incarnation": 1,
            "updatedAt": AT,
            "message": "",
        }
    ],
    "next": None,
}
ACTION_ACCEPTED = {
    "items": [],
    "actionId": JOB_ID,
    "statusUrl": f"https://jobs.example/api/actions/{JOB_ID}",
}
