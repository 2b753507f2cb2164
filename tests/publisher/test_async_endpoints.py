"""Routes of a FastAPI application of a user that become jobs."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import BackendUnavailable, InvalidRequest
from jobfleet_publisher import Publisher
from jobfleet_publisher.async_access import requested_job
from jobfleet_publisher.async_answers import AsyncAnswers
from jobfleet_publisher.async_endpoints import AsyncEndpoints
from jobfleet_publisher.job_details import JobDetails
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.options import WorkerOptions
from jobfleet_worker.worker import Worker
from tests.dashboard.api.asgi_client import Answer, AsgiClient
from tests.polling import eventually
from tests.worker.workshop import RunningWorker

EXAMPLE = Path(__file__).parents[2] / "examples" / "async_endpoints_app.py"
JSON = {"content-type": "application/json"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Order(BaseModel):
    title: str
    pages: int = 3


@pytest.fixture
def endpoints(publisher: Publisher) -> AsyncEndpoints:
    return AsyncEndpoints(FastAPI(), publisher)


def client_of(endpoints: AsyncEndpoints) -> AsgiClient:
    app = endpoints._app
    assert isinstance(app, FastAPI)
    return AsgiClient(app, headers=JSON)


async def request_of(backend: Backend, answer: Answer) -> dict[str, Any]:
    """Return the job request that an accepted answer has led to."""
    assert answer.status == 202, answer.body
    event = await backend.trail.read(answer.headers["async-job-id"], 1)
    assert event is not None
    request: dict[str, Any] = event.data["request"]
    return request


async def test_a_request_is_answered_with_202_and_where_to_look(endpoints: AsyncEndpoints) -> None:
    @endpoints.post("/reports", job_type="report", queue="reports", priority=7)
    async def order(body: Order) -> None: ...

    answer = await client_of(endpoints).post("/reports", {"title": "a"})
    job_id = answer.headers["async-job-id"]
    assert answer.status == 202
    assert answer.headers["location"].startswith(f"/jobs/{job_id}?token=")
    assert answer.headers["retry-after"] == "1"
    assert answer.json["jobId"] == job_id
    assert (answer.json["state"], answer.json["type"]) == ("queued", "report")


async def test_the_payload_is_the_validated_body_and_options_are_the_jobs(
    endpoints: AsyncEndpoints, backend: Backend
) -> None:
    @endpoints.post("/reports", job_type="report", queue="reports", max_attempts=7)
    async def order(body: Order) -> None: ...

    answer = await client_of(endpoints).post("/reports", {"title": "a"})
    request = await request_of(backend, answer)
    assert request["payload"] == {"title": "a", "pages": 3}
    assert (request["queue"], request["maxAttempts"]) == ("reports", 7)


async def test_a_body_that_does_not_fit_makes_no_job(
    endpoints: AsyncEndpoints, backend: Backend
) -> None:
    @endpoints.post("/reports", job_type="report")
    async def order(body: Order) -> None: ...

    answer = await client_of(endpoints).post("/reports", {"pages": 3})
    assert answer.status == 422
    assert answer.json["detail"][0]["loc"] == ["body", "title"]
    assert not await backend.reader.counts()


async def test_the_function_may_refuse_before_anything_is_queued(
    endpoints: AsyncEndpoints, backend: Backend
) -> None:
    @endpoints.post("/reports/{year}", job_type="report")
    def order(year: int, body: Order) -> Response | None:
        if year > 2026:
            raise HTTPException(409, "not over yet")
        return JSONResponse({"why": "too old"}, 410) if year < 1900 else None

    client = client_of(endpoints)
    assert (await client.post("/reports/2030", {"title": "a"})).json == {"detail": "not over yet"}
    assert (await client.post("/reports/1800", {"title": "a"})).status == 410
    assert not await backend.reader.counts()
    assert (await client.post("/reports/2000", {"title": "a"})).status == 202


CREDENTIALS = (
    "Authorization",
    "Cookie",
    "X-Functions-Key",
    "X-Goog-Iap-Jwt-Assertion",
    "X-Amzn-Oidc-Data",
    "X-Ms-Client-Principal",
    "X-Forwarded-Access-Token",
    "Referer",
    "X-Of-A-Proxy-That-Nobody-Knows",
)


async def test_headers_and_parameters_reach_the_handler_but_credentials_do_not(
    endpoints: AsyncEndpoints, backend: Backend
) -> None:
    @endpoints.route("/reports/{year}", job_type="report", method="PUT")
    async def order(year: int, body: Order, copies: int = 1, sig: str = "") -> None: ...

    headers = dict.fromkeys(CREDENTIALS, "s3cret") | {"Accept-Language": "de"}
    headers |= {"traceparent": TRACE, "X-Request-ID": "req-9"}
    query = {"copies": "2", "access_token": "s3cret", "sig": "s3cret", "undeclared": "s3cret"}
    answer = await client_of(endpoints).request(
        "PUT", "/reports/2025", body={"title": "a"}, headers=headers, query=query
    )
    request = await request_of(backend, answer)
    context = request["context"]
    assert context["headers"] == {
        "accept-language": "de",
        "content-type": "application/json",
    }
    assert (context["routeParams"], context["queryParams"]) == ({"year": "2025"}, {"copies": "2"})
    assert (context["traceparent"], context["requestId"]) == (TRACE, "req-9")
    assert "s3cret" not in str(request)


async def test_credentials_are_kept_where_they_are_asked_for(
    publisher: Publisher, backend: Backend
) -> None:
    endpoints = AsyncEndpoints(
        FastAPI(), publisher, keep_headers=["Authorization"], keep_query=["tenant"]
    )

    @endpoints.post("/sync", job_type="sync")
    async def sync() -> None: ...

    headers = {"Authorization": "Bearer t", "Cookie": "sid=1"}
    answer = await client_of(endpoints).request(
        "POST", "/sync", headers=headers, query={"tenant": "acme"}
    )
    context = (await request_of(backend, answer))["context"]
    assert context["headers"].keys() == {"authorization", "content-type"}
    assert context["queryParams"] == {"tenant": "acme"}


async def test_a_route_without_a_body_has_no_payload_or_what_the_function_returns(
    endpoints: AsyncEndpoints, backend: Backend
) -> None:
    @endpoints.post("/refresh", job_type="refresh")
    async def refresh() -> None: ...

    @endpoints.post("/refresh/{name}", job_type="refresh")
    async def refresh_one(name: str, request: Request) -> dict[str, str]:
        return {"name": name, "by": request.headers["host"]}

    client = client_of(endpoints)
    assert (await request_of(backend, await client.post("/refresh"))).get("payload") is None
    request = await request_of(backend, await client.post("/refresh/all"))
    assert request["payload"] == {"name": "all", "by": "localhost"}


async def test_the_same_key_and_body_is_the_same_job_whatever_the_other_headers(
    endpoints: AsyncEndpoints,
) -> None:
    @endpoints.post("/reports", job_type="report")
    async def order(body: Order) -> None: ...

    client = client_of(endpoints)
    answers = [
        await client.post(
            "/reports", {"title": "a"}, headers={"Idempotency-Key": "k", "User-Agent": str(n)}
        )
        for n in range(2)
    ]
    assert len({answer.headers["async-job-id"] for answer in answers}) == 1
    other = await client.post("/reports", {"title": "b"}, headers={"Idempotency-Key": "k"})
    assert other.status == 422


async def test_the_status_route_knows_only_the_jobs_of_its_endpoints(
    endpoints: AsyncEndpoints, publisher: Publisher
) -> None:
    @endpoints.post("/reports", job_type="report")
    async def order(body: Order) -> None: ...

    foreign = await publisher.submit("salaries")
    client = client_of(endpoints)
    for job_id in (foreign.job_id, "00000000-0000-7000-8000-000000000000", "nonsense"):
        answer = await client.get(f"/jobs/{job_id}")
        assert (answer.status, answer.json["status"]) == (404, 404)


async def test_the_status_address_works_with_its_token_only(endpoints: AsyncEndpoints) -> None:
    endpoints.post("/reports", job_type="report")(_take_anything)
    client = client_of(endpoints)
    mine, other = [await client.post("/reports", {"title": "a"}) for _ in range(2)]
    address, _, token = mine.headers["location"].partition("?token=")
    foreign = other.headers["location"].partition("?token=")[2]
    assert len(token) >= 32
    for wrong in ("", "?token=", f"?token={token[:-1]}", f"?token={foreign}", "?token=%ff"):
        assert (await client.get(address + wrong)).status == 404
    found = await client.get(mine.headers["location"])
    assert (found.status, found.json["jobId"]) == (200, mine.headers["async-job-id"])
    for answer in (mine, found):  # no proxy keeps one user's result for another
        assert answer.headers["cache-control"] == "no-store"


async def test_a_job_of_the_type_that_was_submitted_elsewhere_is_shown_to_nobody(
    endpoints: AsyncEndpoints, publisher: Publisher
) -> None:
    endpoints.post("/reports", job_type="report")(_take_anything)
    job = await publisher.submit("report")
    for query in ("", "?token=", "?token=None"):
        assert (await client_of(endpoints).get(f"/jobs/{job.job_id}{query}")).status == 404


def _user(request: Request) -> str:
    return request.headers["x-user"]


async def _same_user(request: Request, job: JobDetails) -> bool:
    return job.job_name == request.headers["x-user"]


def _user_of_the_job(request: Request, job: Annotated[JobDetails, Depends(requested_job)]) -> None:
    if job.job_name != request.headers["x-user"]:
        raise HTTPException(403, "not yours")


@pytest.mark.parametrize(
    ("authorize", "refused"),
    [(_same_user, 404), (Depends(_user_of_the_job), 403), (lambda _, __: None, 404)],
)
async def test_authorize_decides_by_request_and_job_and_needs_no_token(
    publisher: Publisher, authorize: Any, refused: int
) -> None:
    endpoints = AsyncEndpoints(FastAPI(), publisher, authorize=authorize)
    endpoints.post("/reports", job_type="report", job_name="ada")(_take_anything)
    client = client_of(endpoints)
    location = (await client.post("/reports", {"title": "a"})).headers["location"]
    assert "?" not in location
    seen = {}
    for user in ("ada", "eve"):
        seen[user] = (await client.request("GET", location, headers={"x-user": user})).status
    opened = 404 if refused == 404 and authorize is not _same_user else 200
    assert seen == {"ada": opened, "eve": refused}
    unknown = "/jobs/00000000-0000-7000-8000-000000000000"
    assert (await client.request("GET", unknown, headers={"x-user": "ada"})).status == 404


async def test_a_key_is_its_user_s_own_where_keys_have_a_scope(publisher: Publisher) -> None:
    endpoints = AsyncEndpoints(FastAPI(), publisher, key_scope=_user)
    endpoints.post("/reports", job_type="report")(_take_anything)
    client = client_of(endpoints)
    made: dict[str, Any] = {}
    for user in ("ada", "eve", "ada", ""):
        sent = {"Idempotency-Key": "k", "x-user": user}
        answer = await client.post("/reports", {"title": "a"}, headers=sent)
        made.setdefault(user, []).append(answer.headers.get("async-job-id"))
    assert answer.status == 400
    assert "caller that is not known" in answer.json["detail"]
    assert made["ada"][0] == made["ada"][1] != made["eve"][0]


async def test_a_repeated_request_is_answered_with_the_stored_job(
    example_client: AsgiClient,
) -> None:
    body = {"title": "Penguins", "pages": 1}
    key = {"Idempotency-Key": "k"}
    first = await example_client.post("/reports/2025", body, headers=key)

    async def completed() -> Any:
        status = await example_client.get(first.headers["location"])
        return status if status.json["state"] == "completed" else None

    status = await eventually("the report is there", completed)
    again = await example_client.post("/reports/2025", body, headers=key)
    assert again.status == 202
    assert again.json == status.json
    assert (again.json["attempt"], again.json["result"]["copies"]) == (1, 1)
    assert again.headers["location"] == first.headers["location"]


async def test_answers_can_be_ones_own(publisher: Publisher) -> None:
    answers = AsyncAnswers(
        submitted=lambda job, _: JSONResponse({"ticket": job.job_id}, 202, {"Retry-After": "9"}),
        status=lambda job, _: JSONResponse({"now": job.state.value}),
        not_found=lambda job_id, _: JSONResponse({"lost": job_id}, 410),
    )
    endpoints = AsyncEndpoints(
        FastAPI(), publisher, status_path="/tickets/{job_id}", answers=answers
    )
    endpoints.post("/reports", job_type="report")(_take_anything)
    client = client_of(endpoints)
    answer = await client.post("/reports", {"title": "a"})
    assert answer.headers["location"].startswith(f"/tickets/{answer.json['ticket']}?token=")
    assert answer.headers["retry-after"] == "9"
    assert (await client.get(answer.headers["location"])).json == {"now": "queued"}
    assert (await client.get("/tickets/x")).status == 410


async def _take_anything(body: Order) -> None: ...


async def test_storage_that_is_away_is_503_and_says_how_to_repeat(
    settings: Settings, backend: Backend
) -> None:
    class Away:
        async def write(self, *_: object) -> None:
            raise BackendUnavailable("no answer")

    broken = replace(backend, openings=Away())
    publisher = Publisher(backend=broken, clock=SystemClock(), defaults=settings.job_defaults)
    endpoints = AsyncEndpoints(FastAPI(), publisher)
    endpoints.post("/reports", job_type="report")(_take_anything)
    answer = await client_of(endpoints).post("/reports", {"title": "a"})
    assert answer.status == 503
    assert "Idempotency-Key" in answer.json["detail"]


async def test_a_payload_beyond_the_limit_is_refused_by_name(endpoints: AsyncEndpoints) -> None:
    endpoints.post("/reports", job_type="report")(_take_anything)
    answer = await client_of(endpoints).post("/reports", {"title": "x" * (1024 * 1024)})
    assert (answer.status, "payload has" in answer.json["detail"]) == (400, True)


def test_a_wrong_option_is_refused_when_the_application_is_made(endpoints: AsyncEndpoints) -> None:
    with pytest.raises(InvalidRequest, match="maxAttempts"):
        endpoints.post("/reports", job_type="report", max_attempts=0)
    with pytest.raises(ValueError, match="job_id"):
        AsyncEndpoints(FastAPI(), lambda: None, status_path="/jobs")  # type: ignore[arg-type,return-value]


async def test_a_router_under_a_prefix_leads_to_its_own_status_route(publisher: Publisher) -> None:
    router = APIRouter()
    AsyncEndpoints(router, publisher).post("/reports", job_type="report")(_take_anything)
    app = FastAPI()
    app.include_router(router, prefix="/v1")
    client = AsgiClient(app, headers=JSON)
    answer = await client.post("/v1/reports", {"title": "a"})
    assert answer.headers["location"].startswith("/v1/jobs/")
    assert (await client.get(answer.headers["location"])).status == 200


async def test_the_routes_are_described_in_openapi(endpoints: AsyncEndpoints) -> None:
    @endpoints.post("/reports/{year}", job_type="report")
    async def order_report(year: int, body: Order, copies: int = 1) -> None:
        """Order a report."""

    document = (await client_of(endpoints).get("/openapi.json")).json
    operation = document["paths"]["/reports/{year}"]["post"]
    assert {p["name"] for p in operation["parameters"]} == {"year", "copies"}
    assert "Order" in str(operation["requestBody"])
    assert "Location" in operation["responses"]["202"]["headers"]
    assert operation["description"] == "Order a report."


@pytest.fixture
def example() -> ModuleType:
    """The example application, imported afresh."""
    spec = importlib.util.spec_from_file_location("async_endpoints_app", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def example_client(
    example: ModuleType, publisher: Publisher, backend: Backend, settings: Settings
) -> AsyncIterator[AsgiClient]:
    """The example with a worker that has its handlers."""
    example.app.state.publisher = publisher
    worker = Worker(
        backend=backend,
        handlers=Handlers.of(example.build_report, example.refresh),
        options=WorkerOptions(defaults=settings.job_defaults),
        clock=SystemClock(),
    )
    running = RunningWorker(worker)
    yield AsgiClient(example.app, headers=JSON)
    await running.end()


async def test_the_example_answers_202_and_then_the_result(example_client: AsgiClient) -> None:
    body = {"title": "Penguins", "pages": 2}
    answer = await example_client.request("POST", "/reports/2025", body=body, query={"copies": "2"})
    assert answer.status == 202

    async def completed() -> Any:
        status = await example_client.get(answer.headers["location"])
        return status if status.json["state"] == "completed" else None

    status = await eventually("the report is there", completed)
    assert status.json["result"] == {"file": "Penguins-2025.pdf", "copies": 2}
    assert "retry-after" not in status.headers


async def test_the_example_refuses_a_year_that_is_not_over(example_client: AsgiClient) -> None:
    answer = await example_client.post("/reports/2999", {"title": "a"})
    assert (answer.status, answer.json["detail"]) == (422, "2999 is not over yet")
