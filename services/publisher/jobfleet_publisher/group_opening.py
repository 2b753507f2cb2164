"""How a publisher opens a group."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Unpack

from jobfleet_protocol.actions.group_ending import OnFailure
from jobfleet_protocol.actions.groups import Groups, group_request
from jobfleet_protocol.actions.submission import Submitted
from jobfleet_publisher.group import Group
from jobfleet_publisher.request_fields import seconds_of, steps_field
from jobfleet_publisher.submit_options import GroupOptions, JobOptions
from jobfleet_publisher.submitted_job import SubmittedJob

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest
    from jobfleet_publisher.then import Then

SEAL_SECONDS = 3600.0
"""After which a group fails that gets no members and no seal."""


class OpensGroups(ABC):
    """The part of a publisher that opens groups."""

    @abstractmethod
    async def request(
        self,
        type: str,  # noqa: A002 - the field's published name
        payload: Any = None,
        *,
        job_id: str | None = None,
        **options: Unpack[JobOptions],
    ) -> JobRequest:
        """Return a checked request."""

    @abstractmethod
    async def job(self, job_id: str) -> SubmittedJob:
        """Return a job that was submitted before."""

    @abstractmethod
    async def _group_parts(self) -> tuple[Groups, Callable[[Submitted], SubmittedJob]]:
        """Return what writes groups, and what makes a handle of a job that was submitted."""

    @asynccontextmanager
    async def group(
        self,
        name: str,
        *,
        then: Sequence[Then] | None = None,
        on_failure: OnFailure = "continue",
        seal_timeout: timedelta | float = SEAL_SECONDS,
        idempotency_key: str | None = None,
        callback_url: str | None = None,
    ) -> AsyncIterator[Group]:
        """Open a group of jobs, seal it at the end of the block; it ends with its last member.

        Args:
            name: what people read.
            then: jobs that follow the group; ``results={"rows": "members"}`` hands them the
                members' results.
            on_failure: ``continue``: the group ends with its last member, ``failed`` if one did
                not complete. ``hold``: it waits until such members are redriven or dismissed.
                ``cancel``: the first such member cancels the others.
            seal_timeout: seconds, or a ``timedelta``, after which a group fails that gets no
                members and no seal.
            idempotency_key: the same key opens the same group.
            callback_url: receives the group's end, signed.

        Raises:
            InvalidRequest: a value does not fit; ``field`` names it.
            BodyConflict: the key was used before with another group.
            BackendUnavailable: the trail did not answer: open it again with the same key.
        """
        group = await self.open_group(
            name,
            idempotency_key=idempotency_key,
            then=then,
            on_failure=on_failure,
            seal_timeout=seal_timeout,
            callback_url=callback_url,
        )
        yield group
        await group.seal()

    async def open_group(
        self,
        name: str,
        *,
        idempotency_key: str | None = None,
        member_of: tuple[str, int] | None = None,
        **options: Unpack[GroupOptions],
    ) -> Group:
        """Open a group that the caller seals; raises like :meth:`group`.

        Args:
            member_of: a group, and the place in it that this one takes.
        """
        groups, job_of = await self._group_parts()
        fields = {
            "jobName": name,
            "callbackUrl": options.get("callback_url"),
            **steps_field(options.get("then")),
        }
        request = group_request(
            {field: value for field, value in fields.items() if value is not None},
            on_failure=options.get("on_failure", "continue"),
            seal_seconds=seconds_of(options.get("seal_timeout", SEAL_SECONDS)) or 0,
        )
        if member_of is None:
            answer = await groups.open(request, idempotency_key=idempotency_key)
        else:
            answer = await groups.open_member(*member_of, request)
        return Group(
            group_id=answer.job_id,
            request_of=self.request,
            find_job=self.job,
            open_nested=self.open_group,
            groups=groups,
            job_of=job_of,
        )
