"""An empty value of the wrong kind in an action's body is refused; it never means "not given"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.test_jobs import submit

EMPTY: tuple[Any, ...] = ([], {}, 0, False)
ACTIONS = {
    "/api/queues/default/pause": ("reason", "until"),
    "/api/queues/default/resume": ("reason",),
    "/api/types/demo.steps/pause": ("reason", "until"),
    "/api/types/demo.steps/resume": ("reason",),
    "/api/schedules/nightly/pause": ("reason",),
    "/api/schedules/nightly/resume": ("reason",),
    "/api/schedules/nightly/run": ("reason",),
    "/api/schedules/nightly/backfill": ("since", "until", "reason"),
    "/api/jobs/{id}/cancel": ("reason",),
    "/api/jobs/{id}/run-anyway": ("reason",),
    "/api/jobs/actions": ("action", "ids", "filter", "expected"),
}


@pytest.mark.parametrize("path", ACTIONS)
async def test_an_empty_value_of_another_kind_is_refused_by_its_name(
    client: AsgiClient, path: str
) -> None:
    job_id = await submit(client)
    schedule = {"type": "report", "cron": "0 6 * * *"}
    assert (await client.request("PUT", "/api/schedules/nightly", body=schedule)).status == 200
    whole = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    others = {"action": "cancel", "ids": [job_id]} if path == "/api/jobs/actions" else {}
    others |= whole if "backfill" in path else {}
    for field in ACTIONS[path]:
        for value in EMPTY:
            answer = await client.post(path.replace("{id}", job_id), {**others, field: value})
            assert answer.status == 400, (field, value, answer.body)


async def test_a_number_of_jobs_goes_with_a_filter_only(client: AsgiClient) -> None:
    job_id = await submit(client)
    body = {"action": "cancel", "ids": [job_id], "expected": 5}
    answer = await client.post("/api/jobs/actions", body)
    assert (answer.status, answer.json["field"]) == (400, "expected")
