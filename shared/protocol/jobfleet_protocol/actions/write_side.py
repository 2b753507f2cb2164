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
            levels: the fields that not every protocol level knows, with the level that each needs.
            erasure_seconds: how long values stand after an erasure was asked for.
        """
        build = _Builder(backend, clock, levels, looks_for_keys=looks_for_keys)
        submitter = build.submitter(defaults)
        ending = build.ending(submitter)
        canceller = build.canceller(ending)
        group_canceller = GroupCanceller(trail=backend.trail, canceller=canceller)
        return cls(
            seal=build.seal,
            writer=build.writer,
            publication=build.publication,
            gate=build.gate,
            submitter=submitter,
            transactional=build.transactional(defaults),
            ending=ending,
            canceller=canceller,
            redriver=build.redriver(ending),
            groups=build.groups(defaults, submitter, ending, group_canceller),
            group_canceller=group_canceller,
            eraser=build.eraser(canceller, ending, erasure_seconds),
        )

    async def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait for changes that were begun and whose callers have left, at most ``seconds``.

        What is not written by then is unknown: a row that was sent may still be inserted.
        """
        until = time.monotonic() + seconds
        await settle_late_answers(seconds)
        await self.writer.settle(max(until - time.monotonic(), 0))


class _Builder:
    """Builds the actions of one service, all over the same writer, publication, gate and seal."""

    def __init__(
        self, backend: Backend, clock: Clock, levels: Mapping[str, int], *, looks_for_keys: bool
    ) -> None:
        log = backend.control_log
        self.backend, self.clock = backend, clock
        self.seal = FleetSeal(log=log, clock=clock)
        self.gate = LevelGate(directory=backend.directory, log=log, clock=clock, levels=levels)
        self.keys = TypeKeys(log=log, clock=clock) if looks_for_keys else None
        self.publication = Publication(queue=backend.queue, index=backend.index, clock=clock)
        self.writer = TrailWriter(
            trail=backend.trail,
            index=backend.index,
            feed=backend.feed,
            payloads=backend.payloads,
            limits=backend.limits,
        )

    def submitter(self, defaults: JobDefaults) -> Submitter:
        return Submitter(
            trail=self.backend.trail,
            index=self.backend.index,
            reader=self.backend.reader,
            log=self.backend.control_log,
            payloads=self.backend.payloads,
            writer=self.writer,
            publication=self.publication,
            clock=self.clock,
            defaults=defaults,
            gate=self.gate,
            keys=self.keys,
            seal=self.seal,
            inline_bytes=self.backend.limits.inline_bytes,
            openings=self.backend.openings,
            coder=self.backend.coder,
        )

    def transactional(self, defaults: JobDefaults) -> TransactionalSubmission:
        return TransactionalSubmission(
            clock=self.clock,
            defaults=defaults,
            limits=self.backend.limits,
            seal=self.seal,
            coder=self.backend.coder,
        )

    def ending(self, submitter: Submitter) -> Ending:
        groups = GroupEnding(
            trail=self.backend.trail,
            marks=self.backend.marks,
            writer=self.writer,
            clock=self.clock,
        )
        return Ending(
            trail=self.backend.trail,
            index=self.backend.index,
            payloads=self.backend.payloads,
            callback_submitter=self.submitter(CALLBACK_DEFAULTS),
            submitter=submitter,
            groups=groups,
            clock=self.clock,
        )

    def canceller(self, ending: Ending) -> Canceller:
        return Canceller(
            trail=self.backend.trail,
            control=self.backend.control,
            writer=self.writer,
            ending=ending,
            clock=self.clock,
            seal=self.seal,
        )

    def redriver(self, ending: Ending) -> Redriver:
        return Redriver(
            trail=self.backend.trail,
            index=self.backend.index,
            payloads=self.backend.payloads,
            writer=self.writer,
            publication=self.publication,
            ending=ending,
            clock=self.clock,
            seal=self.seal,
        )

    def groups(
        self,
        defaults: JobDefaults,
        submitter: Submitter,
        ending: Ending,
        canceller: GroupCanceller,
    ) -> Groups:
        return Groups(
            trail=self.backend.trail,
            index=self.backend.index,
            payloads=self.backend.payloads,
            marks=self.backend.marks,
            writer=self.writer,
            submitter=submitter,
            ending=ending,
            canceller=canceller,
            clock=self.clock,
            defaults=defaults,
            fleet_seal=self.seal,
            coder=self.backend.coder,
        )

    def eraser(self, canceller: Canceller, ending: Ending, seconds: float) -> Eraser:
        return Eraser(
            trail=self.backend.trail,
            index=self.backend.index,
            payloads=self.backend.payloads,
            logs=self.backend.logs,
            store=self.backend.retention,
            writer=self.writer,
            canceller=canceller,
            ending=ending,
            clock=self.clock,
            seal=self.seal,
            seconds=seconds,
        )
