"""Lock keys and named limits: who holds them, and who waits: ``/locks``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from jobfleet_contracts.credentials import masked_text
from jobfleet_contracts.index import COUNTED_WAITERS
from jobfleet_dashboard.live.subscription import Batch
from jobfleet_dashboard.security.access import require
from jobfleet_dashboard.security.principal import Role
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.live_stream import Fragment, shared_stream
from jobfleet_dashboard.views.site import page_context, show, site_of
from jobfleet_protocol.reading.lock_list import MAX_LOCKS, read_locks
from jobfleet_protocol.reading.masking_turns import in_turns

TEMPLATE = "locks/index.html"
MAX_HOLDERS = 10
"""Holders of one key or limit that the page names."""

router = APIRouter(dependencies=[require(Role.VIEWER)], include_in_schema=False)


@router.get("/locks")
async def locks(request: Request) -> Response:
    """Show the lock keys in use, and the named limits."""
    context = page_context(request, "locks", "/stream/locks")
    return show(request, TEMPLATE, **await _read(request), **context)


@router.get("/stream/locks")
async def stream(request: Request) -> Response:
    """Keep holders and waiters up to date."""

    async def render(_: Batch | None) -> Sequence[Fragment]:
        return await _render(request)

    return await shared_stream(request, ("locks",), render)


async def _render(request: Request) -> Sequence[Fragment]:
    context = await _read(request) | page_context(request)
    return [
        Fragment(
            "locks", site_of(request).pages.fragment(TEMPLATE, "locks", **context), is_part=True
        )
    ]


async def _read(request: Request) -> dict[str, Any]:
    services = services_of(request)
    backend = services.backend
    held, limits = await asyncio.gather(
        read_locks(locks=backend.locks, directory=backend.directory, reader=backend.reader),
        services.limit_reader.all(holders=MAX_HOLDERS),
    )
    reasons = await in_turns(masked_text, [each.limit.reason for each in limits])
    return {
        "locks": held,
        "limits": [*zip(limits, reasons, strict=True)],
        "max_locks": MAX_LOCKS,
        "max_waiting": COUNTED_WAITERS,
        "max_holders": MAX_HOLDERS,
    }
