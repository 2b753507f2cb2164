"""Runs actions on many jobs: one runner an action, by its lease, in any process that has this."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import structlog

from jobfleet_contracts.errors import (
    BackendError,
    BackendUnavailable,
    FleetSealed,
    JobfleetError,
    LeaseConflict,
    NotFound,
    UnknownJob,
)
from jobfleet_contracts.lease import ACTION_LOCKS
from jobfleet_contracts.ports import AuditTrail, Clock, LeaseStore
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.action_journal import ActionJournal
from jobfleet_protocol.actions.action_mark import ActionMark
from jobfleet_protocol.actions.bulk_action import BATCH, BulkAction, BulkActions, JobResult
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_protocol.reading.job_actions import JobAction

ACTION_STARTED = "action.started"
ACTION_ENDED = "action.ended"
ACTION_HELD_UP = "action.held_up"
LOOK_SECONDS = 5.0
LEASE_SECONDS = 60.0
AT_ONCE = 16
MOST_CHARACTERS = 120
"""Length of a text why a job was refused; the results of a batch must fit into one entry."""

_log = structlog.get_logger()
T = TypeVar("T")


class BulkRunner:
    """Looks every five seconds for actions that no dashboard runs, and runs them in turn.

    Attributes:
        accepted: set it when an action was accepted here, so that it begins at once.
    """

    def __init__(
        self,
        *,
        actions: BulkActions,
        journal: ActionJournal,
        trail: AuditTrail,
        leases: LeaseStore,
        writes: WriteSide,
        clock: Clock,
    ) -> None:
        self._actions = actions
        self._journal = journal
        self._trail = trail
        self._leases = leases
        self._writes = writes
        self._clock = clock
        self.accepted = asyncio.Event()

    async def run(self) -> None:
        """Run until cancelled. What it leaves undone, the next runner goes on with."""
        while True:
            try:
                await self.run_due()
            except BackendError as error:
                _log.warning(ACTION_HELD_UP, error=str(error))
            except Exception:  # noqa: BLE001 - one action's log must not hold up all others for good
                _log.exception(ACTION_HELD_UP)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.accepted.wait(), LOOK_SECONDS)
            self.accepted.clear()

    async def run_due(self) -> None:
        """Run each action under way that no dashboard runs.

        Raises:
            BackendError: storage did not answer; the rest is left to the next look.
        """
        for action_id in await self._journal.opened():
            try:
                await self._run_alone(action_id)
            except (NotFound, ValueError, KeyError, TypeError) as error:
                # A log that was edited by hand holds up no other action.
                _log.warning(ACTION_HELD_UP, action=action_id, error=repr(error))

    async def _run_alone(self, action_id: str) -> None:
        lock, lease_id = f"{ACTION_LOCKS}{action_id}", new_lease_id()
        await self._leases.create(lock)
        try:
            await self._leases.acquire(lock, lease_id, LEASE_SECONDS)
        except LeaseConflict:
            return
        ended = False
        try:
            ended = await self._run(action_id, lock, lease_id)
        except LeaseConflict as error:
            _log.warning(ACTION_HELD_UP, action=action_id, error=str(error))
        finally:
            # A cancelled runner gives it up too, so that another dashboard goes on at once.
            give_up = self._leases.delete if ended else self._leases.release
            with suppress(BackendError):
                await asyncio.shield(give_up(lock, lease_id))

    async def _run(self, action_id: str, lock: str, lease_id: str) -> bool:
        """Run batch after batch; returns whether the action has ended."""
        action: BulkAction | None = await self._actions.find(action_id)
        job_ids = await self._actions.job_ids(action_id)
        _log.info(ACTION_STARTED, action=action_id, jobs=len(job_ids))
        while action is not None and action.ended_at is None:
            await self._leases.renew(lock, lease_id, LEASE_SECONDS)
            is_over = action.next >= action.count or (action.stopping and not action.batch)
            if is_over:
                ended = replace(action, ended_at=self._clock.now())
                action = await self._actions.advance(action, ended)
            else:
                action = await self._batch(action, job_ids)
        if action is None:
            return False
        await self._actions.close(action)
        _log.info(ACTION_ENDED, action=action_id, done=action.done, refused=action.refused)
        return True

    async def _batch(self, action: BulkAction, job_ids: Sequence[str]) -> BulkAction | None:
        """Begin the next batch, or the one that a runner before has begun, and finish it."""
        begun: BulkAction | None = action
        if not action.batch:
            wanted = job_ids[action.next : action.next + BATCH]
            sequences = await _at_once(wanted, self._sequence)
            batch = dict(zip(wanted, sequences, strict=True))
            begun = await self._actions.advance(action, replace(action, batch=batch))
        if begun is None:
            return None

        async def one(job_id: str) -> JobResult:
            return await self._act(begun, job_id)

        results = await _at_once(list(begun.batch), one)
        refused = sum(result.error is not None for result in results)
        after = replace(
            begun,
            batch={},
            next=begun.next + len(results),
            done=begun.done + len(results) - refused,
            refused=begun.refused + refused,
        )
        return await self._actions.advance(begun, after, results)

    async def _sequence(self, job_id: str) -> int:
        newest = await self._trail.newest(job_id)
        return 0 if newest is None else newest.sequence

    async def _act(self, action: BulkAction, job_id: str) -> JobResult:
        mark = ActionMark(action.action_id, action.batch[job_id])
        try:
            state = await self._until_clear(action, job_id, mark)
        except JobfleetError as error:
            return JobResult(job_id, None, str(error)[:MOST_CHARACTERS])
        except (ValueError, KeyError, TypeError) as error:  # the trail cannot be read
            message = f"its trail cannot be read: {error}"
            return JobResult(job_id, None, message[:MOST_CHARACTERS])
        return JobResult(job_id, state.value, None)

    async def _until_clear(self, action: BulkAction, job_id: str, mark: ActionMark) -> State:
        """An unclear answer is asked for again: the mark keeps a second try from acting twice.

        While the fleet is sealed the action waits: moved, it goes on at the next fleet's dashboard.
        """
        while True:
            try:
                return await self._once(action, job_id, mark)
            except (BackendUnavailable, FleetSealed) as error:
                _log.debug(ACTION_HELD_UP, job_id=job_id, error=str(error))
                await asyncio.sleep(1)

    async def _once(self, action: BulkAction, job_id: str, mark: ActionMark) -> State:
        if mark.after == 0:
            raise UnknownJob(f"no job {job_id}")
        by, reason = action.by, action.reason
        match action.action:
            case JobAction.CANCEL:
                return await self._writes.canceller.cancel(job_id, by=by, reason=reason, mark=mark)
            case JobAction.REDRIVE:
                return await self._writes.redriver.redrive(job_id, by=by, reason=reason, mark=mark)
            case JobAction.DISMISS:
                return await self._writes.redriver.dismiss(job_id, by=by, reason=reason, mark=mark)


async def _at_once(job_ids: Sequence[str], work: Callable[[str], Awaitable[T]]) -> list[T]:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(job_id: str) -> T:
        async with limit:
            return await work(job_id)

    return list(await asyncio.gather(*map(one, job_ids)))
