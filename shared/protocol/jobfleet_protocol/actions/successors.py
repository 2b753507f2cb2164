"""The jobs that follow a job: which ones an ending asks for, and what it hands on to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jobfleet_contracts.errors import DataMissing, JobfleetError
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import internal_job_id
from jobfleet_contracts.ports import AuditTrail, PayloadStore
from jobfleet_contracts.state import State, Status
from jobfleet_protocol.actions.final_result import ending_of
from jobfleet_protocol.trail.large_data import resolve

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest, Then


class ResultMissing(JobfleetError):
    """A result that a job was to get from the job before it is not there any more."""


def successor_id(job_id: str, number: int, incarnation: int) -> str:
    """Return the id of the successor at a place in ``then``, after one incarnation of a job."""
    return internal_job_id("then", job_id, str(number), str(incarnation))


def is_due(step: Then, state: State) -> bool:
    """Whether a successor follows a job that ended in this state."""
    completed = state is State.COMPLETED
    return step.when == "always" or completed == (step.when == "success")


def successors_of(head: Event, request: JobRequest) -> Iterator[JobRequest]:
    """Yield the jobs that follow the incarnation which ``head`` ended.

    The same event gives the same requests, so whoever repeats this submits the same jobs.
    """
    for number, step in enumerate(request.then):
        if is_due(step, head.after.state):
            yield _request_of(step, number, head, request)


def _request_of(step: Then, number: int, head: Event, request: JobRequest) -> JobRequest:
    from jobfleet_contracts.job import Follows, JobRequest

    incarnation = head.after.incarnation
    said: dict[str, Any] = {name: getattr(step, name) for name in step.model_fields_set - {"when"}}
    trace = (request.context or {}).get("traceparent")
    if trace is not None:
        said["context"] = {"traceparent": trace}
    return JobRequest(
        **said,
        job_id=successor_id(head.job_id, number, incarnation),
        created_at=head.occurred_at,
        follows=Follows(job_id=head.job_id, incarnation=incarnation),
    )


async def with_results(
    request: JobRequest, *, trail: AuditTrail, payloads: PayloadStore
) -> JobRequest:
    """Return a job's request with the results of the job before it in its payload.

    A job before it that did not complete hands on null.

    Raises:
        ResultMissing: the result was removed. Asking again does not help.
        BackendUnavailable: the trail does not answer.
    """
    if not request.results or request.follows is None:
        return request
    before = request.follows
    ending = await ending_of(before.job_id, before.incarnation, trail=trail)
    if ending is None:
        raise ResultMissing(f"the result of job {before.job_id} was removed with its history")
    result = None
    if ending.kind is Status.COMPLETED:
        try:
            data = (await resolve(ending, payloads)).data
        except DataMissing as error:
            raise ResultMissing(f"the result of job {before.job_id} is missing: {error}") from error
        if "result" not in data:
            raise ResultMissing(f"the result of job {before.job_id} was removed")
        result = data["result"]
    return request.model_copy(
        update={"payload": (request.payload or {}) | dict.fromkeys(request.results, result)}
    )
