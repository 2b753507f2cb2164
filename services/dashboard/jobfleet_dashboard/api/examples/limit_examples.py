"""Examples of named limits."""

from __future__ import annotations

from jobfleet_dashboard.api.examples.values import AT, JOB_ID, Json

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
