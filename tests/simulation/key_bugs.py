"""Deliberate bugs in idempotency keys: those of submits, and those that handlers pass on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch
from uuid import NAMESPACE_OID, UUID, uuid5

from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.errors import BodyConflict
from jobfleet_contracts.event import Event
from jobfleet_contracts.job import JobRequest
from jobfleet_protocol.actions import submission
from jobfleet_protocol.actions.same_body import check_same_body
from jobfleet_protocol.actions.submission import Submitted, Submitter
from jobfleet_worker.builtin import passed_on as outbound
from jobfleet_worker.handlers.context import JobContext
from tests.simulation.emphases import NOTHING_ELSE, PLAIN
from tests.simulation.known import Known


@contextmanager
def _another_key(of: Callable[[str, JobRequest, str | None], str]) -> Iterator[None]:
    submit = Submitter.submit

    async def elsewhere(
        self: Submitter,
        request: JobRequest,
        *,
        idempotency_key: str | None = None,
        by: str | None = None,
    ) -> Submitted:
        key = None if idempotency_key is None else of(idempotency_key, request, by)
        return await submit(self, request, idempotency_key=key, by=by)

    with patch.object(Submitter, "submit", elsewhere):
        yield


def each_try_makes_a_job() -> AbstractContextManager[Any]:
    """The job's id is made from the key and from who asks."""
    return _another_key(lambda key, _request, by: f"{key}/{by}")


def body_is_part_of_the_key() -> AbstractContextManager[Any]:
    """The job's id is made from the key and from the body."""
    return _another_key(lambda key, request, _by: f"{key}/{request.digest()}")


def another_body_accepted() -> AbstractContextManager[Any]:
    """A submit that finds a job under its key is answered as accepted, whatever its body."""
    return patch.object(submission, "check_same_body", lambda *_: None)


@contextmanager
def time_of_the_submit_compared() -> Iterator[None]:
    """A repeated submit is refused because it was made at another time."""

    def compare(request: JobRequest, first: Event) -> None:
        check_same_body(request, first)
        if request.created_at != first.facts.created_at:
            raise BodyConflict("made at another time")

    with patch.object(submission, "check_same_body", compare):
        yield


@contextmanager
def refused_body_published() -> Iterator[None]:
    """A repeated submit publishes its own body, and compares it with the stored one afterwards."""
    same_job = Submitter._same_job

    async def hasty(self: Submitter, request: JobRequest, found: Event) -> Submitted:
        await self._publish(request, self._defaults, found)
        return await same_job(self, request, found)

    with patch.object(Submitter, "_same_job", hasty):
        yield


@contextmanager
def _passed_on(key: Callable[[JobContext], str]) -> Iterator[None]:
    headers = outbound.passed_on

    def other(context: JobContext) -> dict[str, str]:
        return headers(context) | {"Idempotency-Key": key(context)}

    with patch.object(outbound, "passed_on", other):
        yield


def attempt_in_place_of_the_incarnation() -> AbstractContextManager[Any]:
    """The key of a call follows the attempt: a second attempt pays again."""
    return _passed_on(
        lambda context: str(uuid5(UUID(context.job.job_id), f"incarnation/{context.attempt}"))
    )


def key_of_each_claim() -> AbstractContextManager[Any]:
    """The key of a call follows the claim: a job that lost its worker pays again."""
    return _passed_on(
        lambda context: str(uuid5(UUID(context.job.job_id), f"incarnation/{context.epoch}"))
    )


def key_of_the_first_incarnation() -> AbstractContextManager[Any]:
    """A redriven job passes on the key of its first incarnation: its effect does not happen."""
    return _passed_on(lambda context: str(uuid5(UUID(context.job.job_id), "incarnation/1")))


def key_with_the_first_attempt_only() -> AbstractContextManager[Any]:
    """The second attempt calls without a key."""
    return _passed_on(lambda context: context.idempotency_key if context.attempt == 1 else "")


def key_of_the_body() -> AbstractContextManager[Any]:
    """Two jobs with one body pass on one key: the second one's effect does not happen."""
    return _passed_on(lambda context: str(uuid5(NAMESPACE_OID, context.job.digest())))


_RIVALS = PLAIN | {"other_bodies": 1.0, "jobs": 9}
_OF_NO_JOB = "an effect under .*, of no job"
OF_KEYS = (
    Known(
        "each try of a submit makes a job of its own",
        each_try_makes_a_job,
        0,
        _RIVALS,
        breaks=BugClass.ONE_JOB_A_KEY,
        shows=r"made \d+ jobs",
    ),
    Known(
        "the body is part of the key",
        body_is_part_of_the_key,
        0,
        _RIVALS,
        breaks=BugClass.ONE_JOB_A_KEY,
        shows=r"made \d+ jobs",
    ),
    Known(
        "another body accepted for a known key",
        another_body_accepted,
        0,
        _RIVALS,
        breaks=BugClass.ONE_JOB_A_KEY,
        shows="was accepted, and another body stands",
    ),
    Known(
        "the time of a submit counts as its body",
        time_of_the_submit_compared,
        1,
        _RIVALS,
        breaks=BugClass.ONE_JOB_A_KEY,
        shows="was refused, and its body stands",
    ),
    Known(
        "a repeated submit publishes its body before it compares it",
        refused_body_published,
        5,
        _RIVALS,
        breaks=BugClass.ONE_JOB_A_KEY,
        shows="ran with a body that does not stand",
    ),
    Known(
        "a key for each attempt",
        attempt_in_place_of_the_incarnation,
        3,
        breaks=BugClass.ONE_EFFECT_A_KEY,
        shows=_OF_NO_JOB,
    ),
    Known(
        "a key for each claim",
        key_of_each_claim,
        3,
        breaks=BugClass.ONE_EFFECT_A_KEY,
        shows=_OF_NO_JOB,
    ),
    Known(
        "a redriven job keeps its first key",
        key_of_the_first_incarnation,
        7,
        breaks=BugClass.ONE_EFFECT_A_KEY,
        shows="completed without its effect",
    ),
    Known(
        "a second attempt without the key",
        key_with_the_first_attempt_only,
        3,
        NOTHING_ELSE,
        breaks=BugClass.ONE_EFFECT_A_KEY,
        shows=_OF_NO_JOB,
    ),
    Known(
        "jobs of one body share a key",
        key_of_the_body,
        0,
        NOTHING_ELSE,
        breaks=BugClass.ONE_EFFECT_A_KEY,
        shows="completed without its effect",
    ),
)
"""Faults of keys."""
