"""Suites that let a backend differ prove nothing: each of these differences must be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest

from devtools.evidence import figures
from devtools.evidence.bug_class import BugClass
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import LeaseConflict, SequenceTaken
from jobfleet_contracts.event import Event
from jobfleet_contracts.lease import job_lock
from jobfleet_contracts.message import JobMessage
from tests.conformance import test_audit_trail as trails
from tests.conformance import test_job_queue as queues
from tests.conformance import test_lease_store as leases
from tests.conformance import test_payload_store as values
from tests.conformance.jobs import an_id
from tests.planted import failure_of


class _Spoiled:
    """A port with some other methods."""

    def __init__(self, port: Any, **methods: Any) -> None:
        self._port = port
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


@dataclass(frozen=True, slots=True)
class Difference:
    """How a backend may differ, the test that finds it, and how that test fails."""

    name: str
    spoil: Callable[[Backend], Backend]
    test: Callable[..., Any]
    shows: str


def _overwriting(backend: Backend) -> Backend:
    async def insert(events: Sequence[Event]) -> None:
        with suppress(SequenceTaken):
            await backend.trail.insert(events)

    return replace(backend, trail=_Spoiled(backend.trail, insert=insert))


def _one_by_one(backend: Backend) -> Backend:
    async def insert(events: Sequence[Event]) -> None:
        taken: SequenceTaken | None = None
        for event in events:
            try:
                await backend.trail.insert([event])
            except SequenceTaken as error:
                taken = error
        if taken is not None:
            raise taken

    return replace(backend, trail=_Spoiled(backend.trail, insert=insert))


def _whole_seconds(backend: Backend) -> Backend:
    async def read(job_id: str, sequence: int) -> Event | None:
        event = await backend.trail.read(job_id, sequence)
        return event and replace(event, occurred_at=event.occurred_at.replace(microsecond=0))

    return replace(backend, trail=_Spoiled(backend.trail, read=read))


def _leased_twice(backend: Backend) -> Backend:
    async def acquire(lock: str, lease_id: str, seconds: float, *, create: bool = False) -> None:
        with suppress(LeaseConflict):
            await backend.leases.acquire(lock, lease_id, seconds, create=create)

    return replace(backend, leases=_Spoiled(backend.leases, acquire=acquire))


def _kept_after_its_release(backend: Backend) -> Backend:
    async def release(lock: str, lease_id: str) -> None:
        return

    return replace(backend, leases=_Spoiled(backend.leases, release=release))


def _released_by_anybody(backend: Backend) -> Backend:
    holders: dict[str, str] = {}

    async def acquire(lock: str, lease_id: str, seconds: float, *, create: bool = False) -> None:
        await backend.leases.acquire(lock, lease_id, seconds, create=create)
        holders[lock] = lease_id

    async def release(lock: str, lease_id: str) -> None:
        await backend.leases.release(lock, holders.get(lock, lease_id))

    return replace(backend, leases=_Spoiled(backend.leases, acquire=acquire, release=release))


def _values_left_behind(backend: Backend) -> Backend:
    async def delete_job(job_id: str) -> None:
        return

    return replace(backend, payloads=_Spoiled(backend.payloads, delete_job=delete_job))


def _without_delay(backend: Backend) -> Backend:
    async def publish_later(message: JobMessage, delay: object) -> None:
        await backend.queue.publish(message)

    return replace(backend, queue=_Spoiled(backend.queue, publish_later=publish_later))


def _without_hints(backend: Backend) -> Backend:
    async def publish(message: JobMessage) -> None:
        await backend.queue.publish(JobMessage(request=message.request))

    return replace(backend, queue=_Spoiled(backend.queue, publish=publish))


DIFFERENCES = (
    Difference(
        "a taken sequence answered as written",
        _overwriting,
        trails.test_a_sequence_can_be_written_once,
        "Failed: with pytest.raises(SequenceTaken)",
    ),
    Difference(
        "several events written one by one",
        _one_by_one,
        trails.test_several_events_are_written_all_or_none,
        "SequenceTaken: await backend.trail.insert([rival])",
    ),
    Difference(
        "times of whole seconds",
        _whole_seconds,
        trails.test_times_keep_their_microseconds,
        "AssertionError: assert found.occurred_at.microsecond == 1",
    ),
    Difference(
        "a lock leased to two",
        _leased_twice,
        leases.test_one_id_holds_a_lock_and_others_are_refused,
        "Failed: with pytest.raises(LeaseConflict)",
    ),
    Difference(
        "a lock that stays leased after its release",
        _kept_after_its_release,
        leases.test_a_released_lock_is_free_and_cannot_be_renewed,
        "AssertionError: assert not await backend.leases.is_leased(lock)",
    ),
    Difference(
        "a lock that anybody may release",
        _released_by_anybody,
        leases.test_release_is_quiet_where_it_is_not_held,
        "AssertionError: assert await backend.leases.is_leased(lock)",
    ),
    Difference(
        "values left behind by a removal",
        _values_left_behind,
        values.test_the_values_of_one_job_are_removed_together,
        "AssertionError: assert [await backend.payloads.get(name)",
    ),
    Difference(
        "a delayed message that comes at once",
        _without_delay,
        queues.test_a_delayed_message_comes_when_its_delay_is_over,
        "AssertionError: assert list(await consumer.receive(1",
    ),
    Difference(
        "a message that loses its hints",
        _without_hints,
        queues.test_a_message_comes_out_as_it_went_in,
        "AssertionError: assert delivery.message == message",
    ),
)


@pytest.mark.parametrize("settings", ["embedded"], indirect=True)
@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.name)
async def test_a_backend_that_differs_is_found(
    difference: Difference, backend: Backend, other: Backend
) -> None:
    lock = job_lock(an_id())
    await backend.leases.create(lock)
    given = {
        "backend": difference.spoil(backend),
        "other": difference.spoil(other),
        "lock": lock,
        "mine": str(uuid4()),
        "theirs": str(uuid4()),
    }
    failure = await failure_of(difference.test, given)
    found = failure.startswith(difference.shows)
    figures.bug(BugClass.ALIKE_BACKENDS, difference.name, found=found)
    assert found, failure
