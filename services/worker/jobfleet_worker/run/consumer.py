"""Delivery in, slot taken, claim, run, settle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import structlog

from jobfleet_contracts.codec import encode
from jobfleet_contracts.errors import (
    BackendError,
    BackendUnavailable,
    DataMissing,
    LeaseConflict,
    TrustEnded,
    WrittenByNewer,
)
from jobfleet_contracts.event import Event
from jobfleet_contracts.message import JobMessage, MalformedMessage
from jobfleet_contracts.ports import Clock, DeadLetterStore, Delivery, JobConsumer, JobIndex
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.actions.ending import Ending
from jobfleet_protocol.claiming.acceptance import ForNewer, NoRequest
from jobfleet_protocol.claiming.claim_result import Claimed, ClaimResult
from jobfleet_protocol.claiming.claimer import Claimer
from jobfleet_protocol.claiming.decision import (
    Attended,
    Busy,
    End,
    LimitFull,
    Paused,
    RateFull,
    Suspect,
    Wait,
)
from jobfleet_protocol.claiming.lock_leases import new_lease_id
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.retry import back_off, retry_for, retry_forever
from jobfleet_worker.metrics.port import NO_METRICS, Metrics
from jobfleet_worker.run.deferral import Deferral
from jobfleet_worker.run.executor import Executor
from jobfleet_worker.run.lease_keeper import KeptLease
from jobfleet_worker.run.missing_handler import MissingHandler
from jobfleet_worker.run.process_turns import ProcessTurns
from jobfleet_worker.run.rate_gate import RateGate
from jobfleet_worker.run.slots import Slots
from jobfleet_worker.run.worker_lock import WorkerLock

ACKNOWLEDGEMENT_LOST = "acknowledgement.lost"
MESSAGE_MALFORMED = "message.malformed"
CLAIM_DELAYED = "claim.delayed"
CONSUMER_FAILED = "consumer.failed"
CONSUMER_RECOVERED = "consumer.recovered"
DELIVERY_FAILED = "delivery.failed"
DELIVERY_LEFT = "delivery.left"
SETTLING_DELAYED = "settling.delayed"
SUSPECT_WAITS = "suspect.waits"
SUSPECT_CROWDED = "suspect.crowded"
RECEIVE_WAIT = timedelta(seconds=1)

_Answer = TypeVar("_Answer")

_log = structlog.get_logger()


class Consumer:
    """Receives messages while slots are free, and processes each one in a slot of its own."""

    def __init__(
        self,
        *,
        index: JobIndex,
        dead_letters: DeadLetterStore,
        ending: Ending,
        source: JobConsumer,
        clock: Clock,
        claimer: Claimer,
        executor: Executor,
        deferral: Deferral,
        missing_handler: MissingHandler,
        rate_gate: RateGate,
        process_turns: ProcessTurns,
        slots: Slots,
        seal: FleetSeal,
        patience_seconds: float,
        coder: ValueCoder = NO_CODER,
        worker_lock: WorkerLock | None = None,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        """Take the parts.

        Args:
            seal: while the fleet is sealed nothing is received and nothing claimed.
            patience_seconds: for which a message is kept while storage does not answer.
            worker_lock: on which claims rest in scope ``worker``.
        """
        self._index = index
        self._coder = coder
        self._dead_letters = dead_letters
        self._source = source
        self._clock = clock
        self._claimer = claimer
        self._executor = executor
        self._deferral = deferral
        self._missing_handler = missing_handler
        self._rate_gate = rate_gate
        self._process_turns = process_turns
        self._slots = slots
        self._seal = seal
        self._patience_seconds = patience_seconds
        self._worker_lock = worker_lock
        self._metrics = metrics
        self._ending = ending
        self._tasks: set[asyncio.Task[bool]] = set()
        self._stopping = False
        self._problem: str | None = None

    async def run(self) -> None:
        """Receive and process until stopped; a broker in trouble is waited for."""
        pause = back_off()
        while not self._stopping:
            await self._slots.until_free()
            try:
                await self._seal.check()
                deliveries = await self._source.receive(self._slots.free, RECEIVE_WAIT)
            except BackendError as error:
                self._note(str(error))
                await asyncio.sleep(next(pause))
                continue
            self._note(None)
            pause = back_off()
            for delivery in deliveries:
                self.begin(delivery)

    def _note(self, problem: str | None) -> None:
        """Say once per change why nothing can be taken."""
        if problem == self._problem:
            return
        if problem is None:
            _log.info(CONSUMER_RECOVERED)
        else:
            _log.warning(CONSUMER_FAILED, error=problem)
        self._problem = problem

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more is to be taken."""
        return self._stopping

    def stop(self) -> None:
        """Take nothing more. A cancellation alone can get lost in a client library."""
        self._stopping = True
        self._slots.close()

    def begin(self, delivery: Delivery, fleet: KeptLease | None = None) -> asyncio.Task[bool]:
        """Take a slot and process one delivery in it."""
        self._slots.take()
        task = asyncio.create_task(self._see_through(delivery, fleet), name="delivery")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def run_one(self, delivery: Delivery, fleet: KeptLease) -> bool:
        """Process one delivery under the fleet's lease; it ends also if the caller is cancelled.

        Returns:
            Whether the job was left to a worker that has its type.
        """
        return await asyncio.shield(self.begin(delivery, fleet))

    async def finish(self) -> None:
        """Wait until every delivery taken has been processed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _see_through(self, delivery: Delivery, fleet: KeptLease | None) -> bool:
        """Process a delivery; if that fails, free its slot and let the message come again later.

        A delivery that is never acknowledged counts against the prefetch until the broker's
        time limit closes the channel.
        """
        try:
            try:
                return await self.process(delivery, fleet)
            except WrittenByNewer as error:
                if isinstance(message := delivery.message, JobMessage):
                    await self._without_claim(delivery, message, ForNewer(None, str(error)))
                return False
        except BackendError as error:
            if isinstance(message := delivery.message, JobMessage):
                _log.warning(DELIVERY_LEFT, job_id=message.request.job_id, error=str(error))
            await self._leave_for_later(delivery)
            return False
        except Exception:  # noqa: BLE001 - whatever it is, the message must not be hoarded
            _log.exception(DELIVERY_FAILED)
            await self._leave_for_later(delivery)
            return False

    async def _leave_for_later(self, delivery: Delivery) -> None:
        """Let the broker bring the message again in a minute, to any worker."""
        if isinstance(message := delivery.message, JobMessage):
            await retry_forever(
                lambda: self._deferral.after_error(message), _delays(CLAIM_DELAYED, message)
            )
            await self._acknowledge(delivery)

    async def process(self, delivery: Delivery, fleet: KeptLease | None = None) -> bool:
        """See one delivery through to its acknowledgement, and its job to the attempt's end.

        Returns:
            Whether the job was left to a worker that has its type.
        """
        message = delivery.message
        if isinstance(message, MalformedMessage):
            await self._set_aside(delivery, message)
            return False
        if self._slots.is_reserved:  # received just before, it would start beside a suspect
            await self._put_off_beside_suspect(delivery, message)
            return False
        if await self._is_left_to_others(message):
            await self._acknowledge(delivery)
            return True
        if await self._is_over_its_rate(message):
            await self._acknowledge(delivery)
            return False
        async with self._process_turns.turn(message) as has_turn:
            if not has_turn and await self._is_put_off_without_process(delivery, message):
                return False
            result, held = await self._claim(message, fleet, is_alone=self._slots.total == 1)
            if message.sequence is None and not isinstance(result, NoRequest):
                # Of a foreign publisher. Its values are in event 1, encoded: so they are sent, too.
                message = replace(message, request=self._coder.request(message.request))
            if isinstance(result, Suspect) and self._slots.can_be_reserved:
                await self._run_alone(delivery, message, result)
            else:
                await self._act_on(delivery, message, result, held)
        return False

    async def _is_put_off_without_process(self, delivery: Delivery, message: JobMessage) -> bool:
        if self._stopping:
            return True  # unacknowledged, the message goes to another worker at once
        is_put_off = await self._patiently(message, lambda: self._process_turns.put_off(message))
        if is_put_off:
            await self._acknowledge(delivery)
        return is_put_off

    async def _run_alone(self, delivery: Delivery, message: JobMessage, suspect: Suspect) -> None:
        """Let the worker's other jobs end, start none, and run the suspect: a loss is its own.

        If the others take too long, the suspect is put off and the free slots are used again.
        """
        _log.warning(SUSPECT_WAITS, job_id=suspect.head.job_id, running=len(self._executor.running))
        async with self._slots.alone() as is_alone:
            if is_alone:
                result, held = await self._claim(message, None, is_alone=True)
                await self._act_on(delivery, message, result, held)
                return
        if self._stopping:
            return  # unacknowledged, the message goes to another worker at once
        _log.warning(SUSPECT_CROWDED, job_id=suspect.head.job_id)
        await self._act_on(delivery, message, suspect, None)

    async def _act_on(
        self,
        delivery: Delivery,
        message: JobMessage,
        result: ClaimResult,
        held: KeptLease | None,
    ) -> None:
        """Run the job if it is claimed; else do what the claim found to be done."""
        self._count(message, result)
        if isinstance(result, Claimed):
            # Beside the run, not after it: a message that waits longer than the broker's time limit
            # for its acknowledgement is delivered again.
            settle = self._settle(delivery, result.trail.head)
            settled = asyncio.create_task(settle, name="settle")
            await self._executor.run(result, held)
            await settled
        else:
            await self._without_claim(delivery, message, result)

    def _done(self, task: asyncio.Task[bool]) -> None:
        self._tasks.discard(task)
        self._slots.release()
        if not task.cancelled() and task.exception() is not None:
            _log.error(DELIVERY_FAILED, exc_info=task.exception())

    async def _is_left_to_others(self, message: JobMessage) -> bool:
        """Put off a job of a type or a key that this worker lacks, before it is claimed."""
        return await self._patiently(message, lambda: self._missing_handler.puts_off(message))

    async def _is_over_its_rate(self, message: JobMessage) -> bool:
        """Put off a job that is known to find no room under its rate, before it is claimed."""
        return await self._patiently(message, lambda: self._rate_gate.puts_off(message))

    async def _claim(
        self, message: JobMessage, fleet: KeptLease | None, *, is_alone: bool
    ) -> tuple[ClaimResult, KeptLease | None]:
        """Claim, again while storage does not answer, always with the same lease id.

        Returns:
            The result, and the lease that this worker held already, on which a claim may rest.
        """
        lease_id = new_lease_id()
        return await self._patiently(
            message, lambda: self._try_to_claim(message, lease_id, fleet, is_alone=is_alone)
        )

    async def _patiently(
        self, message: JobMessage, operation: Callable[[], Awaitable[_Answer]]
    ) -> _Answer:
        """Repeat an operation on a message while storage fails, for the length of a lease.

        After that the message goes back: a worker that can reach the storage shall have it. A claim
        whose outcome is unknown by then is taken over like that of a worker that died.

        Raises:
            BackendError: storage did not answer in that time, or refused.
        """
        # An append under way goes on until it is answered. It does so alone: without the limit a
        # worker whose storage never comes back would keep the message and the slot for ever.
        try:
            async with asyncio.timeout(2 * self._patience_seconds):
                return await retry_for(
                    self._patience_seconds, operation, _delays(CLAIM_DELAYED, message)
                )
        except TimeoutError as error:
            raise BackendUnavailable("the outcome of a claim is not known in time") from error

    async def _try_to_claim(
        self, message: JobMessage, lease_id: str, fleet: KeptLease | None, *, is_alone: bool
    ) -> tuple[ClaimResult, KeptLease | None]:
        await self._seal.check()
        held = fleet
        if fleet is None and self._worker_lock is not None:
            held = await self._worker_lock.current()
        try:
            result = await self._claimer.claim(
                message, lease_id=lease_id, held=held, is_alone=is_alone
            )
        except (TrustEnded, LeaseConflict) as error:
            if fleet is not None and fleet.lost_reason is not None:
                return Busy(fleet.lock, None), held
            raise BackendUnavailable(str(error)) from error
        return result, held

    def _count(self, message: JobMessage, result: ClaimResult) -> None:
        if isinstance(result, End) and result.written:
            self._metrics.job_moved(result.head)
        elif isinstance(result, Claimed) and _was_unknown(message, result):
            self._metrics.job_registered()

    async def _settle(self, delivery: Delivery, claim: Event) -> None:
        """Acknowledge once the claim and the job's open row are written.

        Acknowledged before the open row stands, a job whose worker dies is lost to everybody: no
        message brings it again, and the rescuer looks only at open rows.
        """
        copied: Awaitable[None] = self._index.flush()

        def record_again(error: BackendError) -> None:
            nonlocal copied
            _log.warning(SETTLING_DELAYED, job_id=claim.job_id, error=str(error))
            copied = self._index.record([claim])

        await retry_forever(lambda: copied, record_again)
        await self._acknowledge(delivery)

    async def _put_off_beside_suspect(self, delivery: Delivery, message: JobMessage) -> None:
        await self._patiently(message, lambda: self._deferral.until_alone(message, None))
        await self._acknowledge(delivery)

    async def _without_claim(
        self, delivery: Delivery, message: JobMessage, result: ClaimResult
    ) -> None:
        try:
            await self._patiently(message, lambda: self._see_to(message, result))
        except DataMissing as error:  # the open row stays, which the rescuer goes by
            _log.error(DELIVERY_FAILED, job_id=message.request.job_id, error=str(error))
        await self._acknowledge(delivery)

    async def _see_to(self, message: JobMessage, result: ClaimResult) -> None:
        match result:
            case Busy(_, head):
                await self._deferral.until_free(message, head)
            case Suspect(head):
                await self._deferral.until_alone(message, head)
            case Wait(head, until):
                await self._deferral.until_due(message, head, until)
            case LimitFull(head, demand):
                await self._deferral.until_slot_is_free(message, head, demand)
            case RateFull():
                await self._rate_gate.see_to(message, result)
            case Paused(head, pause):
                await self._deferral.while_paused(message, head, pause)
            case Attended(head):
                await self._index.record([head])
            case End(head):
                await self._ending.conclude(head)
            case NoRequest(reason):
                await self._keep_apart(message, reason)
            case ForNewer(head, reason):
                await self._deferral.until_newer(message, head, reason)
            case Claimed():
                raise AssertionError("a claimed job is run")

    async def _keep_apart(self, message: JobMessage, reason: str) -> None:
        request = message.request
        _log.warning(MESSAGE_MALFORMED, message_id=request.job_id, reason=reason)
        body = message.body or encode(request.to_json())
        letter = MalformedMessage(body, reason, request.job_id)
        await self._dead_letters.add(letter, self._clock.now())

    async def _set_aside(self, delivery: Delivery, message: MalformedMessage) -> None:
        _log.warning(MESSAGE_MALFORMED, message_id=message.message_id, reason=message.reason)
        await retry_forever(
            lambda: self._dead_letters.add(message, self._clock.now()),
            lambda error: _log.warning(CONSUMER_FAILED, error=str(error)),
        )
        await self._acknowledge(delivery)

    async def _acknowledge(self, delivery: Delivery) -> None:
        """Where the channel is gone the message comes again, and finds the job claimed."""
        try:
            await delivery.ack()
        except BackendError as error:
            _log.debug(ACKNOWLEDGEMENT_LOST, error=str(error))


def _delays(event: str, message: JobMessage) -> Callable[[BackendError], None]:
    """Return what logs that a job waits for storage."""
    job_id = message.request.job_id
    return lambda error: _log.warning(event, job_id=job_id, error=str(error))


def _was_unknown(message: JobMessage, claimed: Claimed) -> bool:
    """Whether a foreign publisher's message began the trail: event 1 was ours, the claim is 2."""
    return message.sequence is None and claimed.trail.head.sequence == 2  # noqa: PLR2004
