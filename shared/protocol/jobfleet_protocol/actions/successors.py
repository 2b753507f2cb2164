"""The jobs that follow a job: which ones an ending asks for, and what it hands on to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING, Any

from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import DataMissing, JobfleetError
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import internal_job_id
from jobfleet_contracts.ports import AuditTrail, PayloadStore
from jobfleet_contracts.state import State, Status
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.final_result import ending_of
from jobfleet_protocol.actions.group_counts import member_id
from jobfleet_protocol.trail.large_data import resolve

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest, Then


READS_AT_ONCE = 16
MOST_RESULT_BYTES = 16 * 1024 * 1024
"""Size of all results that one job is handed, as JSON. A worker holds them in memory for each job
that it runs."""


class ResultMissing(JobfleetError):
    """A result that a job was to get from the job before it cannot be handed on, now or later."""


class ResultsTooLarge(ResultMissing):
    """The results that a job was to get are more than a worker takes into its memory."""


def successor_id(job_id: str, number: int, incarnation: int) -> str:
    """Return the id of the successor at a place in ``then``, after one incarnation of a job."""
    return internal_job_id("then", job_id, str(number), str(incarnation))


def is_due(step: Then, state: State) -> bool:
    """Whether a successor follows a job that ended in this state."""
    completed = state is State.COMPLETED
    return step.when == "always" or completed == (step.when == "success")


def successors_of(head: Event, request: JobRequest) -> Iterator[JobRequest]:
    """Yield the jobs that follow the incarnation which ``head`` ended.

    The same event gives the same requests, so a repetition submits the same jobs.
    """
    for number, step in enumerate(request.then):
        if is_due(step, head.after.state):
            yield _request_of(step, number, head, request)


def _request_of(step: Then, number: int, head: Event, request: JobRequest) -> JobRequest:
    from jobfleet_contracts.job import Follows, JobRequest

    incarnation = head.after.incarnation
    fields: dict[str, Any] = {
        name: getattr(step, name) for name in step.model_fields_set - {"when"}
    }
    trace = (request.context or {}).get("traceparent")
    if trace is not None:
        fields["context"] = {"traceparent": trace}
    return JobRequest(
        **fields,
        job_id=successor_id(head.job_id, number, incarnation),
        created_at=head.occurred_at,
        follows=Follows(job_id=head.job_id, incarnation=incarnation),
    )


async def with_results(
    request: JobRequest,
    *,
    trail: AuditTrail,
    payloads: PayloadStore,
    coder: ValueCoder = NO_CODER,
) -> JobRequest:
    """Return a job's request, which is decoded, with the results of the job before it.

    A job before it that did not complete hands on null.

    Raises:
        ResultMissing: the result was removed. Asking again does not help.
        CodecError: a result cannot be decoded here.
        ResultsTooLarge: with those of all keys there are more than 16 MiB of them.
        BackendUnavailable: the trail does not answer.
    """
    if not request.results or request.follows is None:
        return request
    before = request.follows
    source = _Results(trail=trail, payloads=payloads, coder=coder)
    handed: dict[str, Any] = {}
    filled = dict(request.payload or {})
    for name, what in request.results.items():
        if what in handed:
            source.count(handed[what])  # held once, and yet written out for each key
        elif what == "members":
            handed[what] = await source.of_members(before.job_id)
        else:
            handed[what] = await source.of(before.job_id, before.incarnation)
        filled[name] = handed[what]
    return request.model_copy(update={"payload": filled})


class _Results:
    """Reads results from the trail; raises :class:`ResultMissing` for those that are gone.

    It counts what it hands out, and raises :class:`ResultsTooLarge` beyond the limit of one job.
    """

    def __init__(self, *, trail: AuditTrail, payloads: PayloadStore, coder: ValueCoder) -> None:
        self._coder = coder
        self._trail = trail
        self._payloads = payloads
        self._bytes = 0

    def count(self, value: Any) -> None:
        """Count a value that is handed out."""
        self._bytes += len(encode(value))
        if self._bytes > MOST_RESULT_BYTES:
            raise ResultsTooLarge(
                f"the results to be handed on have more than {MOST_RESULT_BYTES:,} bytes; "
                "store large results elsewhere and return their addresses"
            )

    async def of(self, job_id: str, incarnation: int) -> Any:
        """Return the result of one incarnation; ``None`` if it did not complete."""
        ending = await self._ending(job_id, incarnation)
        if ending.kind is not Status.COMPLETED:
            return None
        if "result" not in ending.data:
            raise ResultMissing(f"the result of job {job_id} was removed")
        result = self._coder.clear_value(ending.data["result"])
        self.count(result)
        return result

    async def of_members(self, group_id: str) -> list[Any]:
        """Return the results of a group's members, by the incarnations that its end counts."""
        counted = (await self._ending(group_id, 1)).data.get("group")
        if counted is None:
            return []  # it failed before it was sealed

        def one(index: int) -> Awaitable[Any]:
            incarnation = counted["incarnations"].get(str(index), 1)
            return self.of(member_id(group_id, index), incarnation)

        found: list[Any] = []
        # Some at a time: what is too large is noticed before the next ones are in memory.
        while len(found) < counted["total"]:
            some = range(len(found), min(len(found) + READS_AT_ONCE, counted["total"]))
            found += await asyncio.gather(*map(one, some))
        return found

    async def _ending(self, job_id: str, incarnation: int) -> Event:
        ending = await ending_of(job_id, incarnation, trail=self._trail)
        if ending is None:
            raise ResultMissing(f"the result of job {job_id} was removed with its history")
        try:
            return await resolve(ending, self._payloads)
        except DataMissing as error:
            raise ResultMissing(f"the result of job {job_id} is missing: {error}") from error
