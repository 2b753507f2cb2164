"""The API's description is complete and true."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from jobfleet_contracts.job import JobRequest
from jobfleet_dashboard.api import descriptions
from jobfleet_dashboard.api.examples import job_examples
from jobfleet_dashboard.api.route_description import Description
from jobfleet_dashboard.api.short_form import expand
from tests.dashboard.api.asgi_client import AsgiClient

DESCRIBED = {
    name: value
    for name, value in vars(descriptions).items()
    if isinstance(value, Description) and value.model is not None
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_each_example_fits_its_shape(name: str) -> None:
    description = DESCRIBED[name]
    TypeAdapter(description.model).validate_python(description.example)


def test_the_examples_of_requests_are_accepted() -> None:
    assert JobRequest.parse(job_examples.REQUEST).type == "demo.steps"
    assert JobRequest.parse(expand(job_examples.SHORT_REQUEST)).type == "http.request"


async def test_every_operation_tells_success_problems_and_an_example(client: AsgiClient) -> None:
    document = (await client.get("/openapi.json")).json
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) >= 20
    for path, method, operation in operations:
        told = operation["responses"]
        assert any(status.startswith("2") for status in told), path
        assert "403" in told, path
        for status, answer in told.items():
            _check_answer(answer, f"{method} {path} {status}")


def _check_answer(answer: dict[str, Any], where: str) -> None:
    for media_type, content in answer.get("content", {}).items():
        assert media_type in {
            "application/json",
            "application/problem+json",
            "text/event-stream",
            "text/plain",
            "text/csv",
            "application/x-ndjson",
        }, where
        if "json" in media_type:
            assert content.get("example") or content.get("examples"), where
            assert content["schema"], where


async def test_every_reference_leads_somewhere(client: AsgiClient) -> None:
    document = (await client.get("/openapi.json")).json
    known = set(document["components"]["schemas"])
    for name in _references(document):
        assert name in known


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"].rpartition("/")[2]} if "$ref" in value else set()
        return found.union(*(_references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(_references(item) for item in value))
    return set()


async def test_the_docs_page_needs_no_other_host(client: AsgiClient) -> None:
    page = (await client.get("/docs")).body.decode()
    assert "//" not in page.replace("<!--", "")
    for asset in ("/docs/init.js", "/static/swagger-ui/swagger-ui-bundle.js"):
        assert asset in page
        assert (await client.get(asset)).status == 200
