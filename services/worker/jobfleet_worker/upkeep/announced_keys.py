"""Announce the payload keys that this worker's handlers index, and find what submitters missed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from jobfleet_contracts.errors import BackendError, CodecError, InvalidRequest
from jobfleet_contracts.message import JobMessage
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.value_coder import NO_CODER, ValueCoder
from jobfleet_protocol.control.type_keys import FRESH_SECONDS, TypeKeys
from jobfleet_worker.handlers.registry import Handlers

KEYS_REFUSED = "type_keys.refused"
SETTLED = timedelta(seconds=2 * FRESH_SECONDS)
"""After it every submitter has seen what was announced."""

_log = structlog.get_logger()


class AnnouncedKeys:
    """What the claim adds: keys of jobs whose submitters did not know them."""

    def __init__(
        self, *, handlers: Handlers, keys: TypeKeys, clock: Clock, coder: ValueCoder = NO_CODER
    ) -> None:
        self._coder = coder
        self._declared = handlers.indexed_keys
        self._keys = keys
        self._clock = clock
        self._announced: dict[str, datetime | None] = {}

    async def run(self) -> None:
        """Announce once; an outage is waited for, jobs run meanwhile."""
        for job_type, keys in self._declared.items():
            try:
                self._announced[job_type] = await self._keys.announce(job_type, keys)
            except (BackendError, InvalidRequest) as error:
                _log.warning(KEYS_REFUSED, type=job_type, error=str(error))
        await asyncio.Event().wait()

    def missing(self, message: JobMessage) -> Mapping[str, str]:
        """Return the keys that the job's first event may lack; none if it has them.

        Jobs that come by foreign publishers or schedules have none, and so have those that were
        submitted before all submitters knew the keys.
        """
        request = message.request
        declared = self._declared.get(request.type)
        if not declared:
            return {}
        if not message.needs_trail and request.type in self._announced:
            announced = self._announced[request.type]
            if announced is None or request.created_at > announced + SETTLED:
                return {}
        try:
            return self._coder.keys_of(self._coder.clear_request(request), declared)
        except CodecError:  # the attempt meets the same, and says so
            return {}
