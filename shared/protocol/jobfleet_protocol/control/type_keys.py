"""Which keys of a type's payload are indexed: announced by workers, read by submitters.

They stand in the type's log, in the state that also tells of its pause, under ``index``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from jobfleet_contracts.control import ControlEntry, ControlKind, ControlSubject
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import BackendError
from jobfleet_contracts.internal_job import INTERNAL_TYPES
from jobfleet_contracts.lookup_keys import MOST_KEYS, PAYLOAD_KEY
from jobfleet_contracts.ports import Clock
from jobfleet_protocol.control.control_writer import ControlDraft, ControlWriter

KEYS_UNKNOWN = "type_keys.unknown"
FRESH_SECONDS = 30.0
"""Announced keys are known to every submitter so long after they stand in the log."""
LOOK_SECONDS = 0.5
MOST_TYPES = 1_000

_log = structlog.get_logger()


def declared_keys(entry: ControlEntry | None) -> tuple[str, ...]:
    """Return the keys that a type's newest entry names."""
    if entry is None or not isinstance(entry.state, Mapping):
        return ()
    names = entry.state.get("index")
    if not isinstance(names, list):
        return ()
    known = [name for name in names if isinstance(name, str) and PAYLOAD_KEY.fullmatch(name)]
    return tuple(known[:MOST_KEYS])


def keeping_keys(newest: ControlEntry | None, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state that a pause or its end leads to, with the keys that stood before."""
    keys = declared_keys(newest)
    return dict(state) | ({"index": list(keys)} if keys else {})


def announce(
    newest: ControlEntry | None, *, keys: Sequence[str], by: str = "code"
) -> ControlDraft | None:
    """Return the entry that adds keys to a type; ``None`` if they all stand already.

    Keys of other workers' code stay, as far as there is room: those of this code come first.
    """
    known = declared_keys(newest)
    if set(keys) <= set(known):
        return None
    before: Mapping[str, Any] = {"paused": False} if newest is None else newest.state
    merged = list(dict.fromkeys((*keys, *known)))[:MOST_KEYS]
    state = dict(before) | {"index": merged}
    return ControlDraft(kind=ControlKind.DECLARED, by=by, state=state)


class TypeKeys:
    """Announces keys, and tells them to submitters, who ask the log every 30 seconds at most."""

    def __init__(self, *, log: ControlLog, clock: Clock) -> None:
        self._control_log = log
        self._clock = clock
        self._writer = ControlWriter(log=log, clock=clock)
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}

    async def announce(self, job_type: str, keys: Sequence[str]) -> datetime | None:
        """Add keys to the type's log; waits for an outage to end.

        Returns:
            When they were first announced as far as this call knows; ``None``: they stood before.
        """
        entry = await self._writer.append(
            ControlSubject.TYPE, job_type, partial(announce, keys=keys)
        )
        return None if entry is None else entry.occurred_at

    async def of(self, job_type: str) -> tuple[str, ...]:
        """Return the keys of a type; what was known before, or none, where the log is silent."""
        if job_type in INTERNAL_TYPES:
            return ()
        now = self._clock.boottime()
        read_at, keys = self._known.get(job_type, (float("-inf"), ()))
        if now - read_at < FRESH_SECONDS:
            return keys
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                keys = declared_keys(await self._control_log.newest(ControlSubject.TYPE, job_type))
        except (BackendError, TimeoutError, ValueError) as error:
            _log.debug(KEYS_UNKNOWN, type=job_type, error=str(error))
        while len(self._known) >= MOST_TYPES:
            self._known.pop(next(iter(self._known)))
        self._known[job_type] = (now, keys)
        return keys
