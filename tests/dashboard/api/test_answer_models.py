"""What is encoded by hand for speed has the fields of the response models of its routes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_type_hints

import pytest
from starlette.responses import Response

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.log_line import LogLine
from jobfleet_dashboard.api import documents
from tests.dashboard.api.all_routes import all_routes
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit

BY_HAND: Any = [
    ("/api/jobs", {}, documents.EventPage),
    ("/api/jobs", {"view": "jobs"}, documents.JobPage),
    ("/api/events", {}, documents.EventPage),
    ("/api/jobs/{id}", {}, documents.JobDocument),
    ("/api/jobs/{id}/events", {}, documents.HistoryPage),
    ("/api/jobs/{id}/logs", {}, documents.AttemptPage),
    ("/api/jobs/{id}/logs/lines", {}, documents.LogPage),
]


async def test_every_other_route_returns_its_model(client: AsgiClient) -> None:
    found = set()
    for route in all_routes(client.app):
        returned = get_type_hints(route.endpoint, include_extras=True)["return"]
        if route.response_model not in (None, returned):
            assert returned is Response, route.path
            found.add(route.path.replace("{jobId:uuid}", "{id}"))
    assert found == {path for path, _, _ in BY_HAND}


@pytest.mark.parametrize(("path", "query", "model"), BY_HAND)
async def test_a_hand_encoded_answer_has_the_fields_of_its_model_in_their_order(
    client: AsgiClient,
    backend: Backend,
    life: Life,
    path: str,
    query: dict[str, Any],
    model: Any,
) -> None:
    job_id = await submit(client, callbackUrl="https://a.example/cb", context={"a": 1})
    await life.start(job_id)
    await life.fail(job_id)
    line = LogLine(at=datetime.now(UTC), attempt=1, level="info", message="reads")
    await backend.logs.append(job_id, 1, 0, line.encode())
    answer = (await client.get(path.replace("{id}", job_id), **query)).json
    read = model.model_validate(answer)
    again = read.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert list(again) == list(answer)
    assert again == answer
    for item, shown in zip(again.get("items", ()), answer.get("items", ()), strict=True):
        assert list(item) == list(shown)
