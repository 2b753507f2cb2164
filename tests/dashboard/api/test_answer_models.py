"""What is encoded by hand for speed has the fields of the models that describe it."""

from __future__ import annotations

from typing import Any

import pytest

from jobfleet_dashboard.api import documents
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.api.test_jobs import submit


@pytest.mark.parametrize(
    ("path", "query", "model"),
    [
        ("/api/jobs", {}, documents.EventPage),
        ("/api/jobs", {"view": "jobs"}, documents.JobPage),
        ("/api/jobs/{id}", {}, documents.JobDocument),
        ("/api/jobs/{id}/events", {}, documents.HistoryPage),
        ("/api/jobs/{id}/logs", {}, documents.AttemptPage),
    ],
)
async def test_a_hand_encoded_answer_has_the_fields_of_its_model_in_their_order(
    client: AsgiClient, life: Life, path: str, query: dict[str, Any], model: Any
) -> None:
    job_id = await submit(client, callbackUrl="https://a.example/cb", context={"a": 1})
    await life.start(job_id)
    await life.fail(job_id)
    answer = (await client.get(path.replace("{id}", job_id), **query)).json
    read = model.model_validate(answer)
    again = read.model_dump(mode="json", by_alias=True)
    assert list(again) == list(answer)
    assert again == answer
    for item, shown in zip(again.get("items", ()), answer.get("items", ()), strict=True):
        assert list(item) == list(shown)
