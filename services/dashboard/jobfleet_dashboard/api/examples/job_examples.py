"""Examples of jobs, their histories and what is done to them."""

from __future__ import annotations

from jobfleet_dashboard.api.examples.values import AT, JOB_ID, WORKER_ID, Json

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
WAITING: Json = {
    "items": [
        {"kind": "slots", "text": "All 20 slots of the workers that could run it are busy."},
        {
            "kind": "ahead",
            "text": "Up to 205 jobs are ahead of it in queue default; the oldest waits 4 min.",
        },
    ]
}
CALLBACK: Json = {
    "jobId": JOB_ID,
    "status": "completed",
    "message": "done",
    "payload": {"rows": 344},
}
CALLBACK_ANSWER: Json = {"jobId": JOB_ID, "state": "completed"}
BULK_REQUEST: Json = {"jobs": [REQUEST]}
BULK: Json = {"items": [{"jobId": JOB_ID, "state": "queued"}]}
ACTION_REQUEST: Json = {"action": "redrive", "ids": [JOB_ID]}
ACTIONS: Json = {"items": [{"jobId": JOB_ID, "state": "queued"}]}
ACTION_ACCEPTED: Json = {
    "items": [],
    "actionId": JOB_ID,
    "statusUrl": f"https://jobs.example/api/actions/{JOB_ID}",
}
