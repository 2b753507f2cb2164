"""Every page and list of the API, with the addresses that are hardest on them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from devtools.bench_dashboard.landmarks import WAITED_FOR, Landmarks

SEARCHES = {
    "jobs, text that nothing has": "/jobs?q=nowhere",
    "jobs, text that many have": "/jobs?q=parcels",
    "jobs, text and state": "/jobs?q=photo&state=failed",
    "jobs, queue that nothing has": "/jobs?queue=nowhere",
    "jobs, queue and state": "/jobs?queue=mail&state=timedOut",
}


def pages(found: Landmarks, ended_job: str) -> Mapping[str, str]:
    """Return path by name."""
    long, large = found.long[0].job_id, found.large[0].job_id
    waiter = found.waiters[-1][0].job_id
    jobs = {
        "jobs": "/jobs",
        "jobs, completed": "/jobs?state=completed",
        "jobs, failed or timed out": "/jobs?state=failed&state=timedOut",
        "jobs, deferred": "/jobs?state=deferred",
        "jobs, of a type": "/jobs?type=bench.type-3",
        "jobs, of a type that nothing has": "/jobs?type=nowhere",
        "jobs, of a lock key": f"/jobs?lock={quote(WAITED_FOR)}",
        "jobs, last 15 minutes": "/jobs?window=15m",
        **SEARCHES,
    }
    events = {
        "events": "/events",
        "events, last 24 hours": "/events?window=24h",
        "events, text that nothing has": "/events?q=nowhere",
        "events, worker that nobody is": "/events?q=worker:nobody",
        "events, failures that nothing says": "/events?q=error:nowhere",
    }
    one = {
        "job": f"/jobs/{ended_job}",
        "job, very long": f"/jobs/{long}",
        "job, 5 MB payload and result": f"/jobs/{large}",
        "job, waits for a lock": f"/jobs/{waiter}",
        "submit again, 5 MB payload": f"/submit?from={large}",
    }
    api = {
        "API last 200 events": "/api/jobs",
        "API 1,000 events": "/api/jobs?limit=1000",
        "API events of a status": "/api/jobs?status=Failed",
        "API events, failures that nothing says": "/api/events?q=error:nowhere",
        "API jobs": "/api/jobs?view=jobs",
        "API jobs of a text": "/api/jobs?view=jobs&q=parcels",
        "API job": f"/api/jobs/{ended_job}",
        "API job, very long": f"/api/jobs/{long}",
        "API attempts": f"/api/jobs/{ended_job}/logs",
        "API history": f"/api/jobs/{long}/events",
        "API workers": "/api/workers",
        "API queues": "/api/queues",
        "API locks": "/api/locks",
        "API dead letters": "/api/dead-letters",
        "API stats": "/api/stats",
        "metrics": "/metrics",
    }
    fleet = {
        "overview": "/",
        "workers": "/workers",
        "locks": "/locks",
        "dead letters": "/dead-letters",
        "submit": "/submit",
    }
    return fleet | jobs | events | one | api
