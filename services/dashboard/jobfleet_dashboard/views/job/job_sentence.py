"""Where a job stands, in one sentence that a person understands at three in the morning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import GROUP_TYPE
from jobfleet_contracts.state import CLAIMABLE, State, Status
from jobfleet_dashboard.views.short_id import short
from jobfleet_dashboard.views.text_span import Sentence, TextSpan
from jobfleet_protocol.claiming.rate_limiter import RATE
from jobfleet_protocol.control.pause_state import Pause
from jobfleet_protocol.reading.durations import seconds_between, spell, spell_due
from jobfleet_protocol.reading.group_record import held_text
from jobfleet_protocol.trail.tombstone import is_tombstone


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSituation:
    """What the newest event of a job does not tell.

    Attributes:
        now: the moment of looking.
        since: when the present state began.
        step, of: the last progress of this attempt; 0 for none.
        lease_seconds_left: as of the worker's last heartbeat, ``None`` if no heartbeat shows it.
        holder_id, holder_name: the job that holds the lock key now.
        reason: the newest event's message if it tells why (a deferral, an error).
        held_by: members that keep a group open though all have ended.
        pause: what keeps the job from starting, if queue or type is paused.
        workers_alive: how many workers serve this job's queue; ``None`` if that was not read.
    """

    now: datetime
    since: datetime
    step: int = 0
    of: int = 0
    lease_seconds_left: float | None = None
    holder_id: str | None = None
    holder_name: str = ""
    reason: str = ""
    workers_alive: int | None = None
    held_by: int = 0
    pause: Pause | None = None


def job_sentence(newest: Event, around: JobSituation) -> Sentence:
    """Return the sentence for the job whose last event is ``newest``."""
    if is_tombstone(newest):
        ended = _TELLERS[newest.after.state](newest, replace(around, reason=""))
        return (*ended, TextSpan(f"; {newest.message}"))
    pause = around.pause
    if pause is not None and newest.after.state in CLAIMABLE:
        parts = _paused(pause, newest)
    else:
        parts = _TELLERS[newest.after.state](newest, around)
    if newest.after.cancel_requested and not newest.after.state.is_terminal:
        parts += (TextSpan("; a cancel was requested and is not answered yet"),)
    if newest.status == Status.ERASED:
        return (*parts, TextSpan(f"; {newest.message}"))
    if newest.after.dismissed:
        parts += (TextSpan("; dismissed from the dead letters"),)
    return parts


def _since(around: JobSituation) -> TextSpan:
    text = spell(seconds_between(around.since, around.now))
    return TextSpan(text, moment=around.since, tick="since")


def _ahead(moment: datetime, around: JobSituation) -> TextSpan:
    return TextSpan(spell_due(moment, around.now), moment=moment, tick="in")


def _scheduled(newest: Event, around: JobSituation) -> Sentence:
    due = newest.after.due_at or newest.occurred_at
    ahead = _ahead(due, around)
    verb = "" if ahead.text.startswith("due") else "starts "
    return (TextSpan(f"scheduled, {verb}"), ahead)


def _queued(newest: Event, around: JobSituation) -> Sentence:
    parts: Sentence = (TextSpan(f"queued in {newest.facts.queue} since "), _since(around))
    if around.workers_alive == 0:
        parts += (TextSpan("; no live worker serves this queue"),)
    return parts


def _paused(pause: Pause, newest: Event) -> Sentence:
    why = f" ({pause.shown_reason})" if pause.reason else ""
    name = "" if pause.subject is ControlSubject.QUEUE else f" {pause.name}"
    return (
        TextSpan(f"{newest.after.state.value}, "),
        TextSpan(f"{pause.subject}{name} paused", href="/queues"),
        TextSpan(f" by {pause.by}{pause.until_text}{why}"),
    )


def _running(newest: Event, around: JobSituation) -> Sentence:
    after = newest.after
    parts: Sentence = (
        TextSpan("running on worker "),
        TextSpan(short(after.worker_id), href=f"/workers/{after.worker_id}"),
        TextSpan(" since "),
        _since(around),
    )
    if after.max_attempts > 1 and after.attempt > 1:
        parts += (TextSpan(f", attempt {after.attempt} of {after.max_attempts}"),)
    if around.of:
        parts += (TextSpan(f", step {around.step} of {around.of}"),)
    if around.lease_seconds_left is not None:
        left = spell(around.lease_seconds_left)
        parts += (TextSpan(f", lease good for {left} as of its last heartbeat"),)
    return parts


def _deferred(newest: Event, around: JobSituation) -> Sentence:
    due = newest.after.due_at or newest.occurred_at
    if newest.data.get("reason") == RATE:
        return _waits_for_rate(newest, due, around)
    # A job that was due at once waits for no time: its worker asks every few seconds.
    timed = due > newest.occurred_at
    since: Sentence = () if timed else (TextSpan(" since "), _since(around))
    if around.holder_id is not None and newest.facts.lock_key:
        sentence: Sentence = (
            TextSpan("waiting for lock "),
            TextSpan(newest.facts.lock_key, href="/locks"),
            *since,
            TextSpan(", held by job "),
            TextSpan(around.holder_name, href=f"/jobs/{around.holder_id}"),
        )
        free = "; it starts when the lock is free"
    else:
        why = f": {around.reason}" if around.reason else ""
        sentence = (TextSpan(f"deferred{why}"), *since)
        free = "; a worker tries it again every few seconds"
    if timed:
        return (*sentence, TextSpan("; next try "), _ahead(due, around))
    return (*sentence, TextSpan(free))


def _waits_for_rate(newest: Event, due: datetime, around: JobSituation) -> Sentence:
    name = TextSpan(f"waits for rate {newest.data.get('rate')}")
    if newest.data.get("slot") is None:
        return (name, TextSpan(", whose next seconds are taken"))
    return (name, TextSpan(f", slot {due:%H:%M:%S} UTC, "), _ahead(due, around))


def _waiting(newest: Event, around: JobSituation) -> Sentence:
    if newest.facts.job_type == GROUP_TYPE:
        sentence: Sentence = (TextSpan("waiting for its members since "), _since(around))
        if not around.held_by:
            return sentence
        held = TextSpan(held_text(around.held_by), href=f"/groups/{newest.job_id}")
        return (*sentence, TextSpan("; "), held)
    sent = "the request was sent" if newest.after.sent else "the request is not sent yet"
    parts: Sentence = (
        TextSpan("waiting for a third party's callback since "),
        _since(around),
        TextSpan(f"; {sent}"),
    )
    if newest.after.due_at is not None:
        parts += (TextSpan(", time-out "), _ahead(newest.after.due_at, around))
    return parts


def _retrying(newest: Event, around: JobSituation) -> Sentence:
    after = newest.after
    due = after.due_at or newest.occurred_at
    return (
        TextSpan(f"retry {after.attempts_used} of {max(1, after.max_attempts - 1)} "),
        _ahead(due, around),
        TextSpan(f", after: {around.reason}" if around.reason else ""),
    )


def _ended(verb: str, *, why: bool) -> Callable[[Event, JobSituation], Sentence]:
    def tell(newest: Event, around: JobSituation) -> Sentence:
        span = spell(seconds_between(around.since, around.now))
        parts: Sentence = (
            TextSpan(f"{verb} "),
            TextSpan(f"{span} ago", moment=around.since, tick="ago"),
        )
        if newest.after.attempt > 1:
            parts += (TextSpan(f", on attempt {newest.after.attempt}"),)
        if why and around.reason:
            parts += (TextSpan(f": {around.reason}"),)
        return parts

    return tell


_TELLERS: dict[State, Callable[[Event, JobSituation], Sentence]] = {
    State.SCHEDULED: _scheduled,
    State.QUEUED: _queued,
    State.DEFERRED: _deferred,
    State.RUNNING: _running,
    State.WAITING: _waiting,
    State.RETRYING: _retrying,
    State.COMPLETED: _ended("completed", why=False),
    State.FAILED: _ended("failed", why=True),
    State.CANCELLED: _ended("cancelled", why=True),
    State.TIMED_OUT: _ended("timed out", why=True),
}
