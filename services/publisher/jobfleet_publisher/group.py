"""A group of jobs, as a program fills and seals it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from jobfleet_contracts.errors import BackendUnavailable
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.groups import Groups
from jobfleet_protocol.actions.submission import Submitted
from jobfleet_publisher.submit_options import GroupOptions, JobOptions
from jobfleet_publisher.submitted_job import SubmittedJob

if TYPE_CHECKING:
    from jobfleet_contracts.job import JobRequest

T = TypeVar("T")
TRIES = 3


class Group:
    """An open group; the end of its ``async with`` block seals it.

    A block that an exception leaves seals nothing: open the group again with its idempotency key
    and submit the same members, or leave it, and it fails after its seal time-out.

    Attributes:
        group_id: identity, also that of the job which waits for the members.
    """

    def __init__(
        self,
        *,
        group_id: str,
        request_of: Callable[..., Awaitable[JobRequest]],
        find_job: Callable[[str], Awaitable[SubmittedJob]],
        open_nested: Callable[..., Awaitable[Group]],
        groups: Groups,
        job_of: Callable[[Submitted], SubmittedJob],
    ) -> None:
        """See :meth:`jobfleet_publisher.Publisher.group`, which opens it."""
        self.group_id = group_id
        self._request_of = request_of
        self._find_job = find_job
        self._open_nested = open_nested
        self._groups = groups
        self._job_of = job_of
        self._next = 0
        self._unclear: set[int] = set()

    async def submit(
        self,
        type: str,  # noqa: A002 - the field's published name
        payload: Any = None,
        **options: Unpack[JobOptions],
    ) -> SubmittedJob:
        """Submit the next member; options and errors as in :meth:`Publisher.submit`.

        Its place is the number of members before it, and its id is made from group and place. So
        the same members in the same order are the same jobs.

        Raises:
            ActionRefused: the group has ended, or another caller sealed it.
            BackendUnavailable: the trail did not answer at three tries. The group is not sealed.
        """
        request = await self._request_of(type, payload, **options)
        answer = await self._at_next_place(
            lambda index: self._groups.add(self.group_id, index, request)
        )
        return self._job_of(answer)

    @asynccontextmanager
    async def group(
        self,
        name: str,
        **options: Unpack[GroupOptions],
    ) -> AsyncIterator[Group]:
        """Open a group that is the next member of this one, seal it at the end of the block.

        Options and errors as in :meth:`Publisher.group`. It counts as a member when it has ended.
        """
        inner = await self.open_group(name, **options)
        yield inner
        await inner.seal()

    async def open_group(self, name: str, **options: Unpack[GroupOptions]) -> Group:
        """Open a group as the next member, which the caller seals; raises like :meth:`group`."""
        return await self._at_next_place(
            lambda index: self._open_nested(name, member_of=(self.group_id, index), **options)
        )

    async def _at_next_place(self, add: Callable[[int], Awaitable[T]]) -> T:
        """Add a member, and try again what got no answer: each try is the same member."""
        index, self._next = self._next, self._next + 1
        self._unclear.add(index)
        for left in reversed(range(TRIES)):
            try:
                added = await add(index)
                break
            except BackendUnavailable:
                if not left:
                    raise
        self._unclear.discard(index)
        return added

    async def seal(self) -> State:
        """Say that no more members come; the group ends when they have ended.

        Raises:
            BackendUnavailable: the seal, or a member before it, got no answer.
        """
        if self._unclear:
            raise BackendUnavailable(
                f"group {self.group_id} is not sealed: member {min(self._unclear)} got no answer. "
                "Open it again with its idempotency key and submit the same members"
            )
        return await self._groups.seal(self.group_id, self._next)

    async def job(self) -> SubmittedJob:
        """Return the job that waits for the members, to wait for it in turn."""
        return await self._find_job(self.group_id)
