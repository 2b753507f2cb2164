"""What was asked for, and what belongs to a job: a list of names and values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote, urlencode
from uuid import UUID

from jobfleet_contracts.codec import parse_time
from jobfleet_contracts.event import Event
from jobfleet_contracts.internal_job import CALLBACK_TYPE, GROUP_TYPE
from jobfleet_contracts.job import JobRequest, lane_of
from jobfleet_contracts.lease import slot_of
from jobfleet_contracts.state import State
from jobfleet_contracts.trace_id import TRACE_ID, trace_id_of
from jobfleet_dashboard.views.short_id import short
from jobfleet_protocol.reading.job_record import JobRecord


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value: a moment, or a text that may lead somewhere."""

    name: str
    text: str = ""
    moment: datetime | None = None
    href: str | None = None


def job_facts(record: JobRecord, trace_url: str | None = None) -> tuple[Fact, ...]:
    """Return only what is set.

    Args:
        trace_url: address of a trace, with ``{traceId}`` in the place of its id.
    """
    request = record.request or JobRequest(type="unknown")
    facts, after = record.newest.facts, record.newest.after
    limit = f"{request.timeout_seconds:g} s" if request.timeout_seconds else ""
    lock = f"/jobs?{urlencode({'lock': facts.lock_key})}" if facts.lock_key else None
    fails = after.max_takeovers == 0 or request.on_lost == "fail"
    is_group = facts.job_type == GROUP_TYPE
    found = (
        Fact("type", facts.job_type),
        Fact("queue", "" if is_group else facts.queue),
        Fact("priority", "" if is_group else f"{facts.priority} ({lane_of(facts.priority)})"),
        Fact("attempt", "" if is_group else f"{after.attempt} of {after.max_attempts}"),
        Fact("created", moment=facts.created_at),
        Fact("run at", moment=request.run_at),
        Fact("due", moment=None if is_group else _due(record.newest)),
        Fact("lock key", facts.lock_key or "", href=lock),
        Fact("lock slot", _slot(record.newest)),
        Fact("limits", ", ".join(record.limits), href="/locks" if record.limits else None),
        Fact("holds", "; ".join(lock.text for lock in record.locks.holds), href="/locks"),
        Fact("waits for", _waited(record), href="/locks"),
        Fact("time limit", limit),
        Fact("if its worker is lost", "the job fails" if fails and not is_group else ""),
        Fact("incarnation", str(after.incarnation) if after.incarnation > 1 else ""),
        Fact("epoch", "" if is_group else str(after.epoch)),
        Fact("callback", request.callback_url or ""),
        *_trace(request, record, trace_url),
        *_schedule(record),
        *_relatives(record),
        Fact("input file", request.input_file_path or ""),
    )
    return tuple(fact for fact in found if fact.text or fact.moment)


def _due(newest: Event) -> datetime | None:
    """Return for when it waits; a job that was deferred at once waits for no time."""
    due = newest.after.due_at
    return due if due is not None and due > newest.occurred_at else None


def _trace(request: JobRequest, record: JobRecord, trace_url: str | None) -> Iterator[Fact]:
    if trace_url is not None and record.request is not None:
        found = trace_id_of(request)
        yield Fact("trace", found, href=trace_url.replace(TRACE_ID, found))


def _schedule(record: JobRecord) -> Iterator[Fact]:
    if record.schedule is None:
        return
    name, tick = record.schedule
    yield Fact("schedule", name, href=f"/schedules/{quote(name, safe='')}")
    yield Fact("scheduled for", moment=None if tick is None else parse_time(tick))


def _slot(newest: Event) -> str:
    """Return which of a key's slots the job holds, or how many the key has."""
    slots = newest.facts.lock_slots
    if slots == 1:
        return ""
    slot = slot_of(newest.after.lock) if newest.after.state is State.RUNNING else None
    return f"{slots} at a time" if slot is None else f"{slot} of {slots}"


def _waited(record: JobRecord) -> str:
    waited = record.locks.waits_for
    return "" if waited is None else waited.text


def _relatives(record: JobRecord) -> Iterator[Fact]:
    """A job and those before and after it lead to each other."""
    if record.group is not None:
        group_id, index = record.group
        text = f"member {index} of group {short(group_id)}"
        yield Fact("group", text, href=f"/groups/{group_id}")
    if record.newest.facts.job_type == GROUP_TYPE:
        yield Fact("members", "all of its members", href=f"/groups/{record.newest.job_id}")
    if record.follows is not None:
        yield _job("follows", record.follows)
    for successor in record.successors:
        name = f"then, on {successor.when}" if successor.when != "always" else "then"
        if successor.job_id is None:
            yield Fact(name, successor.type)
        else:
            link = _job(name, successor.job_id)
            yield replace(link, text=f"{successor.type}, {link.text}")
    if record.callback_job_id is not None:
        yield _job("callback job", record.callback_job_id)
    if record.callback_conflict is not None:
        yield Fact("callback conflict", record.callback_conflict)
    request = record.request
    payload = request and request.payload
    if request and request.type == CALLBACK_TYPE and isinstance(payload, dict):
        delivered = payload.get("jobId")
        if isinstance(delivered, str) and _is_id(delivered):
            yield _job("delivers result of", delivered)


def _job(name: str, job_id: str) -> Fact:
    return Fact(name, f"job {short(job_id)}", href=f"/jobs/{job_id}")


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
