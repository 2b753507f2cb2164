"""Every page and list of the API, with the addresses that are hardest on them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from devtools.bench_dashboard.landmarks import WAITED_FOR
from devtools.bench_dashboard.places import CUSTOMER, LIMIT, SCHEDULE, Places
from jobfleet_contracts.codec import format_time

_TERMS = {
    "text that nothing has": "nowhere",
    "text that many have": "parcels",
    "text and state": "photo state:failed",
    "quoted text": '"resize photo 1"',
    "type with a star": "type:bench.*",
    "type that nothing has": "type:nowhere.*",
    "not completed": "-state:completed",
    "error": "error:refused",
    "error that nothing says": "error:nowhere",
    "worker that nobody is": "worker:nobody",
    "queue that nothing has": "queue:nowhere",
    "queue and state": "queue:mail state:timedOut",
    "lock": f"lock:{WAITED_FOR}",
    "schedule": f"schedule:{SCHEDULE}",
    "payload key": f"payload.customer:{CUSTOMER}",
    "payload key, type and state": f"payload.customer:{CUSTOMER} type:bench.* state:completed",
}
"""A search with each kind of term."""


def pages(places: Places, now: datetime) -> Mapping[str, str]:
    """Return path by name; ranges of time end ``now``."""
    return _fleet(places) | _jobs(places, now) | _events(places, now) | _one(places) | _api(places)


def _fleet(places: Places) -> dict[str, str]:
    return {
        "overview": "/",
        "queues": "/queues",
        "types": "/types",
        "types, last day": "/types?span=day",
        "errors": "/errors",
        "errors, 7 days": "/errors?range=7d",
        "error group": f"/errors/{places.errors}",
        "schedules": "/schedules",
        "schedule": f"/schedules/{SCHEDULE}",
        "workers": "/workers",
        "worker": f"/workers/{places.worker}",
        "worker, gone": f"/workers/{places.gone}",
        "locks": "/locks",
        "dead letters": "/dead-letters",
        "actions": "/actions",
        "actions, by one person": "/actions?by=nobody",
        "actions on single jobs": "/actions/jobs",
        "action on 1,000 jobs": f"/actions/{places.action}",
        "submit": "/submit",
        "login": "/login",
        "API docs": "/docs",
    }


def _jobs(places: Places, now: datetime) -> dict[str, str]:
    hour = {"since": _ago(now, hours=26), "until": _ago(now, hours=25)}
    return {
        "jobs": "/jobs",
        "jobs, completed": "/jobs?state=completed",
        "jobs, failed or timed out": "/jobs?state=failed&state=timedOut",
        "jobs, deferred": "/jobs?state=deferred",
        "jobs, of a type": "/jobs?type=bench.type-3",
        "jobs, of a lock key": f"/jobs?lock={quote(WAITED_FOR)}",
        "jobs, last 15 minutes": "/jobs?window=15m",
        "jobs, an hour of yesterday": f"/jobs?{urlencode(hour)}",
        **{f"jobs, {name}": f"/jobs?{urlencode({'q': term})}" for name, term in _TERMS.items()},
        "jobs, full id": f"/jobs?q={places.ended}",
        "jobs, words to complete": "/jobs/words",
    }


def _events(places: Places, now: datetime) -> dict[str, str]:
    hour = {"since": _ago(now, hours=26), "until": _ago(now, hours=25)}
    return {
        "events": "/events",
        "events, last 24 hours": "/events?window=24h",
        "events, an hour of yesterday": f"/events?{urlencode(hour)}",
        "events, text that nothing has": "/events?q=nowhere",
        "events, of a worker": f"/events?q=worker:{places.worker}",
        "events, worker that nobody is": "/events?q=worker:nobody",
        "events, failures that nothing says": "/events?q=error:nowhere",
        "events, words to complete": "/events/words",
    }


def _one(places: Places) -> dict[str, str]:
    ended = places.ended
    return {
        "job": f"/jobs/{ended}",
        "job, attempt": f"/jobs/{ended}/attempts/1",
        "job, log of 1 MB": f"/jobs/{ended}/log",
        "job, 20,000 events": f"/jobs/{places.long}",
        "job, 20,000 events, earlier ones": f"/jobs/{places.long}?before=10000",
        "job, 1 MiB payload and result": f"/jobs/{places.large}",
        "job, waits for a lock": f"/jobs/{places.waiter}",
        "job, why it waits": f"/jobs/{places.waiter}/waiting",
        "job, group of 500": f"/jobs/{places.group}",
        "submit again, 1 MiB payload": f"/submit?from={places.large}",
    }


def _api(places: Places) -> dict[str, str]:
    ended = f"/api/jobs/{places.ended}"
    return {
        "API last 200 events": "/api/jobs",
        "API 1,000 events": "/api/jobs?limit=1000",
        "API events of a status": "/api/jobs?status=Failed",
        "API events, failures that nothing says": "/api/events?q=error:nowhere",
        "API jobs": "/api/jobs?view=jobs",
        "API jobs of a text": "/api/jobs?view=jobs&q=parcels",
        "API jobs of a payload key": f"/api/jobs?view=jobs&q=payload.customer:{CUSTOMER}",
        "API job": ended,
        "API job, 20,000 events": f"/api/jobs/{places.long}",
        "API job, 1 MiB payload and result": f"/api/jobs/{places.large}",
        "API attempts": f"{ended}/logs",
        "API log lines": f"{ended}/logs/lines",
        "API why a job waits": f"/api/jobs/{places.waiter}/waiting",
        "API history": f"/api/jobs/{places.long}/events",
        "API group": f"/api/groups/{places.group}",
        "API errors": "/api/errors",
        "API errors, 7 days": "/api/errors?range=7d",
        "API types": "/api/types",
        "API types, last day": "/api/types?span=day",
        "API actions": "/api/actions",
        "API action": f"/api/actions/{places.action}",
        "API results of an action": f"/api/actions/{places.action}/results",
        "API workers": "/api/workers",
        "API worker, gone": f"/api/workers/{places.gone}",
        "API queues": "/api/queues",
        "API locks": "/api/locks",
        "API limits": "/api/limits",
        "API limit": f"/api/limits/{LIMIT}",
        "API history of a limit": f"/api/limits/{LIMIT}/history",
        "API schedules": "/api/schedules",
        "API schedule": f"/api/schedules/{SCHEDULE}",
        "API next runs": f"/api/schedules/{SCHEDULE}/next",
        "API history of a schedule": f"/api/schedules/{SCHEDULE}/history",
        "API dead letters": "/api/dead-letters",
        "API verdict": "/api/verdict",
        "API stats": "/api/stats",
        "OpenAPI": "/openapi.json",
        "ready": "/readyz",
        "metrics": "/metrics",
    }


def _ago(now: datetime, *, hours: float) -> str:
    return format_time(now - timedelta(hours=hours))
