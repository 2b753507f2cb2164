"""Everything a route needs, wired once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fastapi import Request

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.ports import Clock
from jobfleet_dashboard.census_reader import CensusReader
from jobfleet_dashboard.ended_reader import EndedReader
from jobfleet_dashboard.live.batch_texts import BatchTexts
from jobfleet_dashboard.live.hub import LiveHub
from jobfleet_dashboard.metrics import Metrics
from jobfleet_dashboard.options import DashboardOptions
from jobfleet_dashboard.queue_limit import QueueLimit
from jobfleet_dashboard.seal_reader import SealReader
from jobfleet_dashboard.security.api_keys import ApiKeys
from jobfleet_dashboard.security.rate_limit import RateLimit
from jobfleet_dashboard.security.sessions import Sessions
from jobfleet_dashboard.stats_reader import StatsReader
from jobfleet_dashboard.type_reader import TypeReader
from jobfleet_protocol.actions.action_journal import ActionJournal
from jobfleet_protocol.actions.bulk_action import BulkActions
from jobfleet_protocol.actions.bulk_runner import BulkRunner
from jobfleet_protocol.actions.callbacks import Callbacks
from jobfleet_protocol.actions.target_keys import TargetKeys
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.control.limits import Limits
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.control.schedules import Schedules
from jobfleet_protocol.reading.group_reader import GroupReader
from jobfleet_protocol.reading.job_reader import JobReader
from jobfleet_protocol.reading.limit_record import LimitReader
from jobfleet_protocol.reading.log_reader import LogReader
from jobfleet_protocol.reading.queue_record import QueueReader
from jobfleet_protocol.reading.schedule_record import ScheduleReader
from jobfleet_protocol.reading.verdict_reader import VerdictReader

LISTS_AT_ONCE = 4
"""Lists of the API, histories and pages of exports that are read and masked at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of one dashboard, as ``request.app.state.services``.

    Attributes:
        list_turn: enter it to read and mask up to 1,000 rows. Leave it before anything is sent:
            a client that reads nothing must not keep others waiting.
    """

    backend: Backend
    list_turn: asyncio.Semaphore
    clock: Clock
    options: DashboardOptions
    writes: WriteSide
    callbacks: Callbacks
    live: LiveHub
    batch_texts: BatchTexts
    pauses: Pauses
    limits: Limits
    limit_reader: LimitReader
    job_reader: JobReader
    group_reader: GroupReader
    log_reader: LogReader
    schedules: Schedules
    schedule_reader: ScheduleReader
    queue_reader: QueueReader
    census: CensusReader
    ended: EndedReader
    stats: StatsReader
    types: TypeReader
    verdict: VerdictReader
    seal: SealReader
    keys: ApiKeys
    sessions: Sessions
    rate_limit: RateLimit
    queue_limit: QueueLimit
    metrics: Metrics
    journal: ActionJournal
    bulk: BulkActions
    bulk_runner: BulkRunner

    @classmethod
    def wire(cls, *, backend: Backend, clock: Clock, options: DashboardOptions) -> Services:
        """Make all parts.

        Raises:
            SettingsError: a key, a callback secret or the rate limit does not parse.
        """
        writes = WriteSide.wire(backend=backend, clock=clock, defaults=options.defaults)
        keys = ApiKeys(options.api_keys)
        journal = ActionJournal(log=backend.control_log, clock=clock)
        schedules = Schedules(
            log=backend.control_log,
            trail=backend.trail,
            submitter=writes.submitter,
            clock=clock,
            on_appended=journal.note_entry,
        )
        schedule_reader = ScheduleReader(
            schedules=schedules, trail=backend.trail, directory=backend.directory, clock=clock
        )
        pauses = Pauses(
            log=backend.control_log,
            control=backend.control,
            clock=clock,
            on_appended=journal.note_entry,
        )
        limits = Limits(
            log=backend.control_log,
            control=backend.control,
            clock=clock,
            on_appended=journal.note_entry,
        )
        census = CensusReader(reader=backend.reader, clock=clock)
        ended = EndedReader(reader=backend.reader, clock=clock)
        group_reader = GroupReader(
            trail=backend.trail,
            payloads=backend.payloads,
            marks=backend.marks,
            coder=backend.coder,
        )
        bulk = BulkActions(
            log=backend.control_log, payloads=backend.payloads, journal=journal, clock=clock
        )
        return cls(
            journal=journal,
            bulk=bulk,
            bulk_runner=BulkRunner(
                actions=bulk,
                journal=journal,
                trail=backend.trail,
                leases=backend.leases,
                writes=writes,
                clock=clock,
            ),
            backend=backend,
            list_turn=asyncio.Semaphore(LISTS_AT_ONCE),
            clock=clock,
            options=options,
            writes=writes,
            callbacks=Callbacks(
                trail=backend.trail,
                payloads=backend.payloads,
                writer=writes.writer,
                ending=writes.ending,
                clock=clock,
                keys=TargetKeys(options.callback_secrets, options.callback_targets),
                seal=writes.seal,
                coder=backend.coder,
            ),
            live=LiveHub(reader=backend.reader),
            batch_texts=BatchTexts(),
            pauses=pauses,
            limits=limits,
            limit_reader=LimitReader(limits=limits, locks=backend.locks, trail=backend.trail),
            job_reader=JobReader(
                trail=backend.trail, payloads=backend.payloads, coder=backend.coder
            ),
            group_reader=group_reader,
            log_reader=LogReader(trail=backend.trail, logs=backend.logs, coder=backend.coder),
            schedules=schedules,
            schedule_reader=schedule_reader,
            queue_reader=QueueReader(
                queue=backend.queue,
                reader=backend.reader,
                directory=backend.directory,
                pauses=pauses,
                clock=clock,
            ),
            census=census,
            ended=ended,
            stats=StatsReader(census=census, ended=ended),
            types=TypeReader(reader=backend.reader, clock=clock),
            verdict=VerdictReader(
                trail=backend.trail,
                reader=backend.reader,
                queue=backend.queue,
                directory=backend.directory,
                pauses=pauses,
                schedules=schedules,
                clock=clock,
                census=census.read,
                groups=group_reader,
            ),
            seal=SealReader(log=backend.control_log, clock=clock),
            keys=keys,
            sessions=Sessions(
                secret=options.session_secret,
                keys=keys,
                marks=backend.payloads,
                clock=clock,
                root_path=options.root_path,
            ),
            rate_limit=RateLimit(options.rate_limit),
            queue_limit=QueueLimit(
                queue=backend.queue, clock=clock, max_ready=options.max_queue_size
            ),
            metrics=Metrics(
                queue=backend.queue,
                reader=backend.reader,
                schedules=schedule_reader,
                requests=backend.requests,
            ),
        )


def services_of(request: Request) -> Services:
    """Return the parts of the dashboard that serves this request."""
    services: Services = request.app.state.services
    return services
