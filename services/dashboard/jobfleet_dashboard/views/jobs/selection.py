"""Actions on many jobs: the list's and the dead letters' forms, asked about and then done."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import FormData

from jobfleet_contracts.errors import InvalidRequest, JobfleetError
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import JobQuery
from jobfleet_dashboard.api.action_selection import MAX_IDS, reason_of
from jobfleet_dashboard.api.actions import act
from jobfleet_dashboard.api.request_parts import read_form
from jobfleet_dashboard.security.access import asker, asker_name, require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import Services, services_of
from jobfleet_dashboard.views.jobs.job_filter import JobFilter, parse_filter
from jobfleet_dashboard.views.jobs.question import Question, question
from jobfleet_dashboard.views.pages import go_to
from jobfleet_dashboard.views.site import page_context, show
from jobfleet_protocol.reading.job_actions import ALLOWED, JobAction, narrowed
from jobfleet_protocol.reading.job_selection import find_expected, find_jobs
from jobfleet_protocol.reading.readable_trail import ReadableTrail

_AT_ONCE = 16
_COUNT = re.compile("[0-9]{1,9}")

router = APIRouter(dependencies=[require(Role.OPERATOR)], include_in_schema=False)


@router.post("/jobs/actions")
async def jobs_actions(request: Request) -> Response:
    """Ask how many are meant, or do it once that was confirmed."""
    form = await read_form(request)
    back = _filter_of(form).url()
    return await _ask_or_act(request, form, address="/jobs/actions", back=back)


@router.post("/dead-letters/actions")
async def dead_letters_actions(request: Request) -> Response:
    """Likewise for the dead letters."""
    form = await read_form(request)
    return await _ask_or_act(request, form, address="/dead-letters/actions", back="/dead-letters")


async def _ask_or_act(request: Request, form: FormData, *, address: str, back: str) -> Response:
    action = _action_of(form)
    services = services_of(request)
    if "expected" not in form:
        asked = await _question(services, form, action, address=address, back=back)
        context = page_context(request, "jobs")
        return show(request, "jobs/question.html", block="question", question=asked, **context)
    ids = await _confirmed(services, form, action)
    reason = reason_of({"reason": form.get("reason") or ""})
    if form.get("all"):
        accepted = await services.bulk.accept(
            action,
            ids,
            by=asker_name(request),
            reason=reason,
            scope=_filter_of(form).words(),
        )
        services.bulk_runner.accepted.set()
        return go_to(request, f"/actions/{accepted.action_id}")
    done = await _act(services, ids, action, asker(request), reason)
    count = f"{done}.{len(ids) - done}" if done < len(ids) else f"{done}"
    return go_to(request, f"{back}{'&' if '?' in back else '?'}done={action}.{count}")


async def _question(
    services: Services, form: FormData, action: JobAction, *, address: str, back: str
) -> Question:
    chosen = _filter_of(form)
    filter_fields = [(f"filter.{name}", value) for name, value in chosen.pairs()]
    if form.get("all"):
        query = _narrowed(chosen, services, action)
        found = await find_jobs(services.backend.reader, query)
        names = [row.facts.job_name for row in found]
        fields = [("all", "1"), *filter_fields]
        return question(
            action,
            names,
            count=len(names),
            left_out=0,
            fields=fields,
            address=address,
            back=back,
            scope=chosen.words(),
        )
    heads = await _heads(services, _ids(form))
    fit = [head for head in heads if head.after.state in ALLOWED[action]]
    return question(
        action,
        [head.facts.job_name for head in fit],
        count=len(fit),
        left_out=len(heads) - len(fit),
        fields=[*(("id", head.job_id) for head in fit), *filter_fields],
        address=address,
        back=back,
    )


async def _confirmed(services: Services, form: FormData, action: JobAction) -> Sequence[str]:
    """Return the ids; refused where the filter finds others than were asked about."""
    if not form.get("all"):
        return _ids(form)
    query = _narrowed(_filter_of(form), services, action)
    expected = str(form["expected"])
    if not _COUNT.fullmatch(expected):
        raise InvalidRequest("expected: must be the count that was shown", field="expected")
    return await find_expected(services.backend.reader, query, int(expected))


async def _act(
    services: Services, ids: Sequence[str], action: JobAction, by: str | None, reason: str
) -> int:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(job_id: str) -> bool:
        async with limit:
            try:
                await act(services, action, job_id, by, reason)
            except JobfleetError:
                return False
            return True

    return sum(await asyncio.gather(*map(one, ids)))


def _filter_of(form: FormData) -> JobFilter:
    prefix = "filter."
    pairs = (
        (n.removeprefix(prefix), str(v)) for n, v in form.multi_items() if n.startswith(prefix)
    )
    return parse_filter(list(pairs))


def _narrowed(chosen: JobFilter, services: Services, action: JobAction) -> JobQuery | None:
    """Return the question for those jobs of the filter that allow the action."""
    if chosen.is_empty:
        raise InvalidRequest("filter: choose one first; an action on all jobs is refused")
    return narrowed(chosen.query(services.clock.now()), action)


def _action_of(form: FormData) -> JobAction:
    try:
        return JobAction(str(form.get("action", "")))
    except ValueError:
        known = ", ".join(JobAction)
        raise InvalidRequest(f"action: must be one of {known}", field="action") from None


def _ids(form: FormData) -> list[str]:
    return list(dict.fromkeys(str(value) for value in form.getlist("id")))[:MAX_IDS]


async def _heads(services: Services, ids: Sequence[str]) -> list[Event]:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(job_id: str) -> Event | None:
        async with limit:
            head = await ReadableTrail(services.backend.trail).newest(job_id)
            return head if head is not None and head.is_readable else None

    return [head for head in await asyncio.gather(*map(one, ids)) if head is not None]
