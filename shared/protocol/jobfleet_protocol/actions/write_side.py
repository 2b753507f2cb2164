"""What changes jobs, built once per service: one trail writer for all of its actions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.protocol_level import FIELD_LEVELS
from jobfleet_protocol.actions.answer_limit import settle_late_answers
from jobfleet_protocol.actions.cancellation import Canceller
from jobfleet_protocol.actions.ending import CALLBACK_DEFAULTS, Ending
from jobfleet_protocol.actions.erasure import ERASURE_SECONDS, Eraser
from jobfleet_protocol.actions.group_cancellation import GroupCanceller
from jobfleet_protocol.actions.group_ending import GroupEnding
from jobfleet_protocol.actions.groups import Groups
from jobfleet_protocol.actions.level_gate import LevelGate
from jobfleet_protocol.actions.publication import Publication
from jobfleet_protocol.actions.redrive import Redriver
from jobfleet_protocol.actions.submission import Submitter
from jobfleet_protocol.actions.transactional_submission import TransactionalSubmission
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.control.type_keys import TypeKeys
from jobfleet_protocol.trail.trail_writer import TrailWriter

SETTLE_SECONDS = 5.0
"""How long a service that stops waits for appends whose callers have left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSide:
    """The actions of one service, over one writer, one publication and one ending.

    Call :meth:`settle` before the backend is closed.

    Attributes:
        seal: whether the fleet is sealed, as this service knows it.
    """

    seal: FleetSeal
    writer: TrailWriter
    publication: Publication
    ending: Ending
    submitter: Submitter
    transactional: TransactionalSubmission
    canceller: Canceller
    redriver: Redriver
    groups: Groups
    group_canceller: GroupCanceller
    gate: LevelGate
    eraser: Eraser

    @classmethod
    def wire(
        cls,
        *,
        backend: Backend,
        clock: Clock,
        defaults: JobDefaults,
        looks_for_keys: bool = True,
        levels: Mapping[str, int] = FIELD_LEVELS,
        erasure_seconds: float = ERASURE_SECONDS,
    ) -> WriteSide:
        """Build the actions over the ports of a backend.

        Args:
            defaults: apply where a submitted job names no value of its own.
            looks_for_keys: whether a submit asks which payload keys are indexed; else the claim
                adds them.
            levels: of the request's fields that not every protocol level knows.
            erasure_seconds: how long values stand after an erasure was asked for.
        """
        keys = TypeKeys(log=backend.control_log, clock=clock) if looks_for_keys else None
        trail, index, payloads = backend.trail, backend.index, backend.payloads
        writer = TrailWriter(
            trail=trail, index=index, feed=backend.feed, payloads=payloads, limits=backend.limits
        )
        gate = LevelGate(
            directory=backend.directory, log=backend.control_log, clock=clock, levels=levels
        )
        seal = FleetSeal(log=backend.control_log, clock=clock)
        publication = Publication(queue=backend.queue, index=index, clock=clock)

        def submitter(defaults: JobDefaults) -> Submitter:
            return Submitter(
                trail=trail,
                index=index,
                reader=backend.reader,
                log=backend.control_log,
                payloads=payloads,
                writer=writer,
                publication=publication,
                clock=clock,
                defaults=defaults,
                gate=gate,
                keys=keys,
                seal=seal,
                inline_bytes=backend.limits.inline_bytes,
                openings=backend.openings,
                coder=backend.coder,
            )

        jobs = submitter(defaults)
        ending = Ending(
            trail=trail,
            index=index,
            payloads=payloads,
            callback_submitter=submitter(CALLBACK_DEFAULTS),
            submitter=jobs,
            groups=GroupEnding(trail=trail, marks=backend.marks, writer=writer, clock=clock),
        )
        canceller = Canceller(
            trail=trail,
            control=backend.control,
            writer=writer,
            ending=ending,
            clock=clock,
            seal=seal,
        )
        group_canceller = GroupCanceller(trail=trail, canceller=canceller)
        return cls(
            seal=seal,
            writer=writer,
            gate=gate,
            eraser=Eraser(
                trail=trail,
                index=index,
                payloads=payloads,
                logs=backend.logs,
                store=backend.retention,
                writer=writer,
                canceller=canceller,
                ending=ending,
                clock=clock,
                seal=seal,
                seconds=erasure_seconds,
            ),
            publication=publication,
            ending=ending,
            submitter=jobs,
            transactional=TransactionalSubmission(
                clock=clock,
                defaults=defaults,
                limits=backend.limits,
                seal=seal,
                coder=backend.coder,
            ),
            canceller=canceller,
            redriver=Redriver(
                trail=trail,
                index=index,
                payloads=payloads,
                writer=writer,
                publication=publication,
                ending=ending,
                clock=clock,
                seal=seal,
            ),
            group_canceller=group_canceller,
            groups=Groups(
                trail=trail,
                index=index,
                payloads=payloads,
                marks=backend.marks,
                writer=writer,
                submitter=jobs,
                ending=ending,
                canceller=group_canceller,
                clock=clock,
                defaults=defaults,
                fleet_seal=seal,
                coder=backend.coder,
            ),
        )

    async def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait for changes that were begun and whose callers have left, at most ``seconds``.

        What is not written by then is unknown: a row that was sent may still be inserted.
        """
        until = time.monotonic() + seconds
        await settle_late_answers(seconds)
        await self.writer.settle(max(until - time.monotonic(), 0))
