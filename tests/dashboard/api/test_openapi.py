"""The API's description is complete and true."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import TypeAdapter

from jobfleet_contracts.job import JobRequest
from jobfleet_dashboard.api.documents import Document
from jobfleet_dashboard.api.examples import job_examples
from jobfleet_dashboard.api.short_form import expand
from tests.dashboard.api.all_routes import all_routes
from tests.dashboard.api.asgi_client import AsgiClient

OTHER_ANSWERS = {
    "/api/events/stream",
    "/api/jobs/{jobId:uuid}/events/stream",
    "/api/jobs/export.csv",
    "/api/jobs/export.jsonl",
    "/api/events/export.csv",
    "/api/events/export.jsonl",
    "/metrics",
}
"""Streams and files; every other answer is JSON."""


async def test_every_json_answer_is_a_model_and_its_example_fits(client: AsgiClient) -> None:
    routes = [route for route in all_routes(client.app) if route.include_in_schema]
    assert {route.path for route in routes if route.response_model is None} == OTHER_ANSWERS
    for route in routes:
        if route.response_model is None:
            continue
        shape = TypeAdapter(route.response_model)
        assert _is_of_documents(route.response_model), route.path
        assert route.status_code is not None
        described = route.responses[route.status_code]
        assert "model" not in described, f"{route.path} says the shape of its answer twice"
        shape.validate_python(described["content"]["application/json"]["example"])


def _is_of_documents(model: Any) -> bool:
    shapes = get_args(model) or (model,)
    return all(isinstance(each, type) and issubclass(each, Document) for each in shapes)


async def test_the_description_has_the_shape_of_the_model_that_a_route_returns(
    client: AsgiClient,
) -> None:
    document = (await client.get("/openapi.json")).json
    for route in all_routes(client.app):
        if not route.include_in_schema or route.response_model is None:
            continue
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            schema = operation["responses"][str(route.status_code)]["content"]["application/json"]
            shapes = get_args(route.response_model) or (route.response_model,)
            assert _references(schema["schema"]) == {each.__name__ for each in shapes}


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
        answers = operation["responses"]
        assert any(status.startswith("2") for status in answers), path
        assert "403" in answers, path
        for status, answer in answers.items():
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
