"""Receives messages, claims their jobs, runs them, and acknowledges the messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta

import structlog

from jobfleet_contracts.errors import BackendError, WrittenByNewer
from jobfleet_contracts.event import Event
from jobfleet_contracts.message import JobMessage, MalformedMessage
from jobfleet_contracts.ports import Delivery, JobConsumer, JobIndex
from jobfleet_protocol.claiming.acceptance import ForNewer
from jobfleet_protocol.claiming.claim_result import Claimed, ClaimResult
from jobfleet_protocol.claiming.decision import Ended, Suspect
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.retry import back_off, retry_forever
from jobfleet_worker.metrics.port import NO_METRICS, Metrics
from jobfleet_worker.run.claim_gates import ClaimGates
from jobfleet_worker.run.executor import Executor
from jobfleet_worker.run.lease_keeper import KeptLease
from jobfleet_worker.run.message_claims import MessageClaims
from jobfleet_worker.run.slots import Slots
from jobfleet_worker.run.storage_patience import StoragePatience
from jobfleet_worker.run.unclaimed_messages import (
    DELIVERY_FAILED,
    UnclaimedMessages,
)

ACKNOWLEDGEMENT_LOST = "acknowledgement.lost"
CONSUMER_FAILED = "consumer.failed"
CONSUMER_RECOVERED = "consumer.recovered"
DELIVERY_LEFT = "delivery.left"
SETTLING_DELAYED = "settling.delayed"
SUSPECT_WAITS = "suspect.waits"
SUSPECT_CROWDED = "suspect.crowded"
RECEIVE_WAIT = timedelta(seconds=1)

_log = structlog.get_logger()


class Consumer:
    """Receives messages while slots are free, and processes each one in a slot of its own."""

    def __init__(
        self,
        *,
        source: JobConsumer,
        seal: FleetSeal,
        slots: Slots,
        gates: ClaimGates,
        claims: MessageClaims,
        executor: Executor,
        unclaimed: UnclaimedMessages,
        index: JobIndex,
        patience: StoragePatience,
        metrics: Metrics = NO_METRICS,
    ) -> None:
        """Take the parts.

        Args:
            seal: while the fleet is sealed nothing is received.
            index: holds the open row, which must stand before a message is acknowledged.
            patience: how long that row is waited for.
        """
        self._source = source
        self._seal = seal
        self._slots = slots
        self._gates = gates
        self._claims = claims
        self._executor = executor
        self._unclaimed = unclaimed
        self._index = index
        self._patience = patience
        self._metrics = metrics
        self._tasks: set[asyncio.Task[bool]] = set()
        self._undecided: dict[asyncio.Task[bool], asyncio.Event] = {}
        self._stopping = False
        self._problem: str | None = None

    async def run(self) -> None:
        """Receive and process until stopped; a broker in trouble is waited for."""
        pause = back_off()
        while not self._stopping:
            # A slot first. A message that is received without one would wait here, while another
            # worker has a free slot for it.
            await self._slots.until_free()
            try:
                await self._seal.check()
                deliveries = await self._source.receive(self._slots.free, RECEIVE_WAIT)
            except Exception as error:  # noqa: BLE001 - one strange row must not end the worker
                self._note(error)
                await asyncio.sleep(next(pause))
                continue
            self._note(None)
            pause = back_off()
            for delivery in deliveries:
                task = self.begin(delivery)
                if delivery.lost_workers:
                    # It may be what ended its workers. A message that is taken before its claim
                    # would be counted with it, however often it comes back.
                    await self._until_decided(task)

    async def _until_decided(self, task: asyncio.Task[bool]) -> None:
        """Wait until the claim of a delivery is made or refused, or the delivery has ended."""
        if not task.done():
            self._undecided[task] = asyncio.Event()
            await self._undecided[task].wait()

    def _decided(self, task: asyncio.Task[bool] | None) -> None:
        if task is not None and (waiting := self._undecided.pop(task, None)) is not None:
            waiting.set()

    def _note(self, error: Exception | None) -> None:
        """Log once per change why nothing can be received."""
        problem = None if error is None else str(error) or type(error).__name__
        if problem == self._problem:
            return
        if problem is None:
            _log.info(CONSUMER_RECOVERED)
        elif isinstance(error, BackendError):
            _log.warning(CONSUMER_FAILED, error=problem)
        else:
            _log.error(CONSUMER_FAILED, error=problem, exc_info=error)
        self._problem = problem

    @property
    def is_stopping(self) -> bool:
        """Whether no more messages are received."""
        return self._stopping

    def stop(self) -> None:
        """Receive no more messages. A cancellation alone can get lost in a client library."""
        self._stopping = True
        self._slots.close()

    def begin(self, delivery: Delivery, fleet: KeptLease | None = None) -> asyncio.Task[bool]:
        """Take a slot and process one delivery in it."""
        # Before the task begins: until then the loop would count this slot as free once more.
        self._slots.take()
        task = asyncio.create_task(self._process_safely(delivery, fleet), name="delivery")
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

    async def _process_safely(self, delivery: Delivery, fleet: KeptLease | None) -> bool:
        """Process a delivery; if that fails, free its slot and let the message come again later.

        A delivery that is never acknowledged counts against the prefetch until the broker's
        time limit closes the channel.
        """
        try:
            try:
                return await self._process(delivery, fleet)
            except WrittenByNewer as error:
                if isinstance(message := delivery.message, JobMessage):
                    await self._without_claim(delivery, message, ForNewer(None, str(error)))
                return False
        except BackendError as error:
            if isinstance(message := delivery.message, JobMessage):
                _log.warning(DELIVERY_LEFT, job_id=message.request.job_id, error=str(error))
            await self._leave_for_later(delivery)
            return False
        except Exception:  # noqa: BLE001 - whatever it is, kept, the message would count against the prefetch
            _log.exception(DELIVERY_FAILED)
            await self._leave_for_later(delivery)
            return False

    async def _leave_for_later(self, delivery: Delivery) -> None:
        """Let the broker bring the message again in a minute, to any worker."""
        if isinstance(message := delivery.message, JobMessage):
            await self._unclaimed.put_off_after_error(message)
            await self._acknowledge(delivery)

    async def _process(self, delivery: Delivery, fleet: KeptLease | None = None) -> bool:
        """Claim and run the job of one delivery; returns when it is settled and the attempt ended.

        Returns:
            Whether the job was left to a worker that has its type.
        """
        message = delivery.message
        if isinstance(message, MalformedMessage):
            await self._set_aside(delivery, message)
            return False
        if self._slots.is_reserved:  # received just before, it would start beside a suspect
            await self._requeue_beside_suspect(delivery, None)
            return False
        # Before the gates: they run users' key functions and codecs. Behind them, a message whose
        # key function kills its worker would kill one worker after the other.
        ended = await self._claims.end_unstartable(message, delivery.lost_workers)
        if ended is not None:
            await self._act_on(delivery, message, ended, None)
            return False
        counted = message
        if delivery.lost_workers:
            # Left to others, it keeps its count. What puts it off behind that has run its code.
            counted = replace(message, lost_workers=delivery.lost_workers)
            message = replace(message, lost_workers=0)
        if await self._gates.leave_to_others(counted):
            await self._acknowledge(delivery)
            return True
        if await self._gates.put_off_by_rate(message):
            await self._acknowledge(delivery)
            return False
        async with self._gates.process_place(message) as has_place:
            if not has_place and await self._is_put_off_without_process(delivery, message):
                return False
            result, lasting = await self._claims.claim(
                message, fleet, is_alone=self._slots.total == 1
            )
            self._decided(asyncio.current_task())
            if isinstance(result, Suspect):
                await self._handle_suspect(delivery, message, result)
            else:
                await self._act_on(delivery, message, result, lasting)
        return False

    async def _is_put_off_without_process(self, delivery: Delivery, message: JobMessage) -> bool:
        if self._stopping:
            return True  # unacknowledged, the message goes to another worker at once
        is_put_off = await self._gates.put_off_without_process(message)
        if is_put_off:
            await self._acknowledge(delivery)
        return is_put_off

    async def _handle_suspect(
        self, delivery: Delivery, message: JobMessage, suspect: Suspect
    ) -> None:
        """Run a suspect alone, or leave it to another worker, or to a later moment."""
        with self._slots.suspect():
            if self._slots.rest_left:
                await self._slots.until_looked_at()
            if self._slots.is_reserved:
                await self._requeue_beside_suspect(delivery, suspect.head)
            elif self._slots.can_be_reserved:
                await self._run_alone(delivery, message, suspect)
            else:
                await self._unclaimed.handle(message, suspect, at_most=self._slots.rest_left)
                await self._acknowledge(delivery)

    async def _run_alone(self, delivery: Delivery, message: JobMessage, suspect: Suspect) -> None:
        """Let the worker's other jobs end, start none, and run the suspect: a loss is its own.

        If the others take too long, the suspect is put off and the free slots are used again.
        """
        _log.warning(SUSPECT_WAITS, job_id=suspect.head.job_id, running=len(self._executor.running))
        async with self._slots.alone() as is_alone:
            if is_alone:
                result, lasting = await self._claims.claim(message, None, is_alone=True)
                await self._act_on(delivery, message, result, lasting)
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
        lasting: KeptLease | None,
    ) -> None:
        """Run the job if it is claimed; else do what the claim found to be done."""
        self._count(message, result)
        if isinstance(result, Claimed):
            # Beside the run, not after it: a message that waits longer than the broker's time limit
            # for its acknowledgement is delivered again.
            settle = self._settle(delivery, result.trail.head)
            settled = asyncio.create_task(settle, name="settle")
            with self._slots.running():
                try:
                    await self._executor.run(result, lasting)
                finally:
                    # Also after an error of our own. Nothing else holds this task or waits for it:
                    # the worker could close its storage before the message is acknowledged.
                    await settled
        else:
            await self._without_claim(delivery, message, result)

    def _done(self, task: asyncio.Task[bool]) -> None:
        self._tasks.discard(task)
        self._decided(task)
        self._slots.release()
        if not task.cancelled() and task.exception() is not None:
            _log.error(DELIVERY_FAILED, exc_info=task.exception())

    def _count(self, message: JobMessage, result: ClaimResult) -> None:
        if isinstance(result, Ended) and result.written:
            self._metrics.job_moved(result.head)
        elif isinstance(result, Claimed) and _was_unknown(message, result):
            self._metrics.job_registered()

    async def _settle(self, delivery: Delivery, claim: Event) -> None:
        """Acknowledge once the claim and the job's open row are written.

        Acknowledged before the open row stands, a job whose worker dies is lost to everybody: no
        message brings it again, and the rescuer looks only at open rows. If storage stays away,
        the message goes back to the queue, for a worker that can reach storage.
        """
        copied: Awaitable[None] = self._index.flush()

        def record_again(error: BackendError) -> None:
            nonlocal copied
            _log.warning(SETTLING_DELAYED, job_id=claim.job_id, error=str(error))
            copied = self._index.record([claim])

        try:
            await self._patience.wait(lambda: copied, record_again)
        except BackendError as error:
            _log.warning(DELIVERY_LEFT, job_id=claim.job_id, error=str(error))
            await self._requeue(delivery)
        else:
            await self._acknowledge(delivery)

    async def _requeue_beside_suspect(self, delivery: Delivery, head: Event | None) -> None:
        """Leave a message to others while a suspect has this worker to itself, or waits for that.

        Put off instead, all that come together would come together again, to one worker, while the
        others idle. This worker takes nothing before the suspect's turn is over.
        """
        await delivery.requeue()
        if head is not None:
            self._index.published(head.job_id, head.after.incarnation, head.sequence)

    async def _without_claim(
        self, delivery: Delivery, message: JobMessage, result: ClaimResult
    ) -> None:
        await self._unclaimed.handle(message, result)
        await self._acknowledge(delivery)

    async def _set_aside(self, delivery: Delivery, message: MalformedMessage) -> None:
        try:
            await self._unclaimed.set_aside(message)
        except BackendError:  # for a worker that reaches storage
            await self._requeue(delivery)
        else:
            await self._acknowledge(delivery)

    async def _requeue(self, delivery: Delivery) -> None:
        await retry_forever(
            delivery.requeue, lambda error: _log.warning(CONSUMER_FAILED, error=str(error))
        )

    async def _acknowledge(self, delivery: Delivery) -> None:
        """Acknowledge; if the channel is gone, the message comes again and its job is claimed."""
        try:
            await delivery.ack()
        except BackendError as error:
            _log.debug(ACKNOWLEDGEMENT_LOST, error=str(error))


def _was_unknown(message: JobMessage, claimed: Claimed) -> bool:
    """Whether a foreign publisher's message began the trail: event 1 was ours, the claim is 2."""
    return message.sequence is None and claimed.trail.head.sequence == 2  # noqa: PLR2004
