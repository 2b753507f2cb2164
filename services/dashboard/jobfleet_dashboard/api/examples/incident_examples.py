"""Examples of what is wrong in the fleet, and what operators did about it."""

from __future__ import annotations

from jobfleet_dashboard.api.examples.values import AT, JOB_ID, Json

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
