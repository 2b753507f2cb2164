"""Random test jobs for the console."""

from __future__ import annotations

import random
from typing import Any

_SUBJECTS = ("invoices", "photos", "sensor readings", "orders", "letters", "backups", "maps")
_FAILS_ONCE = 0.2
_VERBS = ("sort", "count", "check", "pack", "send", "compare", "archive")


def random_job(dice: random.Random) -> dict[str, Any]:
    """Return the JSON of one short ``demo.steps`` job; one in five fails once and is retried."""
    verb, subject = dice.choice(_VERBS), dice.choice(_SUBJECTS)
    return {
        "type": "demo.steps",
        "jobName": f"{verb} {subject}",
        "description": "test job from the publisher console",
        "priority": dice.choice((1, 5, 5, 5, 8)),
        "payload": {
            "steps": dice.randint(3, 8),
            "stepSeconds": dice.choice((0.5, 1, 2)),
            "failAttempts": int(dice.random() < _FAILS_ONCE),
        },
    }
