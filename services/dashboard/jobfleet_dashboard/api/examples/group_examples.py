"""Examples of groups and their members."""

from __future__ import annotations

from jobfleet_dashboard.api.examples.values import AT, JOB_ID, Json

GROUP_REQUEST: Json = {
    "name": "invoices 2026-11",
    "onFailure": "hold",
    "then": [{"type": "report", "results": {"invoices": "members"}}],
}
MEMBERS_REQUEST: Json = {
    "first": 0,
    "jobs": [{"type": "invoice", "payload": 1}, {"type": "invoice", "payload": 2}],
}
GROUP: Json = {
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
MEMBERS: Json = {
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
