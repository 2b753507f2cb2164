"""Append to the control log: read the newest entry, decide on top of it, insert, look again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import structlog

from jobfleet_contracts.control import (
    ControlEntry,
    ControlKind,
    ControlSubject,
    check_control_name,
    check_control_size,
)
from jobfleet_contracts.control_ports import ControlLog
from jobfleet_contracts.errors import BackendError, EntryUnreadable
from jobfleet_contracts.job_id import new_id
from jobfleet_contracts.ports import Clock
from jobfleet_contracts.reason import check_reason
from jobfleet_protocol.control.fleet_seal import FleetSeal
from jobfleet_protocol.retry import retry_forever

CONTROL_APPENDED = "control.appended"
CONTROL_UNCERTAIN = "control.uncertain"

_log = structlog.get_logger()
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlDraft:
    """What is to happen next to a subject.

    Attributes:
        state: the whole state afterwards; JSON.
        details: what belongs to this entry alone; JSON.
    """

    kind: ControlKind
    by: str
    state: Mapping[str, Any]
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


Decision = Callable[[ControlEntry | None], ControlDraft | None]
"""Look at the newest entry (``None``: there is no log yet) and say what follows, if anything.

It is called again where another entry came first, so it must not have effects.
"""


OnAppended = Callable[[ControlEntry], Awaitable[None]]


class ControlWriter:
    """Appends by the trail's append rule: after any error, read the row before going on.

    Args:
        settle: completes what the newest entry promised, before another entry hides it.
        on_appended: called with each entry that was appended here. It is not part of the append:
            an entry stands whatever the call comes to.
        heeds_seal: refuse while the fleet is sealed; only the seal's own writer does not.
        passes_unreadable: behind an entry that cannot be read, decide on the newest one that can:
            for logs whose state must neither be lost nor block what follows.
    """

    def __init__(
        self,
        *,
        log: ControlLog,
        clock: Clock,
        settle: Callable[[ControlEntry | None], Awaitable[None]] | None = None,
        on_appended: OnAppended | None = None,
        heeds_seal: bool = True,
        passes_unreadable: bool = False,
    ) -> None:
        self._passes_unreadable = passes_unreadable
        self._on_appended = on_appended
        self._seal = FleetSeal(log=log, clock=clock) if heeds_seal else None
        self._control_log = log
        self._clock = clock
        self._settle = settle or _nothing_to_settle

    async def append(
        self, subject: ControlSubject, name: str, decide: Decision
    ) -> ControlEntry | None:
        """Append what ``decide`` says follows the newest entry, and return that entry.

        Returns:
            The stored entry, or ``None`` if ``decide`` returned none.

        Raises:
            InvalidRequest: the name cannot be a key, the reason cannot be stored, or the entry is
                too large.
            FleetSealed: the fleet is sealed; the entry may stand, and is not acknowledged.
            Exception: whatever ``decide`` raises, a refusal for instance.

        An outage is waited for. A caller that is cancelled meanwhile does not know whether the
        entry stands: the same call repeated reads the log again.
        """
        check_control_name(name, what=subject)
        await self._check_seal()
        while True:
            newest = await self._until_answered(lambda: self._control_log.newest(subject, name))
            # Only the newest entry may lack what it promised: complete it before hiding it.
            await self._until_answered(partial(self._settle, newest))
            seen = newest
            if self._passes_unreadable and _is_unreadable(newest):
                ask = partial(newest_readable, self._control_log, subject, name)
                seen = await self._until_answered(ask)
            draft = _decided(decide, seen)
            if draft is None:
                return None
            check_reason(draft.reason)
            entry = self._entry(subject, name, newest, draft)
            check_control_size(entry)
            found = await self._insert(entry)
            if found.entry_id == entry.entry_id:
                await self._check_seal()
                _log.info(
                    CONTROL_APPENDED, subject=subject, name=name, kind=entry.kind, by=entry.by
                )
                if self._on_appended is not None:
                    await self._on_appended(entry)
                return entry
            # Another writer's entry took the place, and more may have followed it: look again.

    async def _check_seal(self) -> None:
        if self._seal is not None:
            await self._seal.check()

    def _entry(
        self, subject: ControlSubject, name: str, newest: ControlEntry | None, draft: ControlDraft
    ) -> ControlEntry:
        return ControlEntry(
            subject=subject,
            name=name,
            sequence=1 if newest is None else newest.sequence + 1,
            entry_id=new_id(),
            kind=draft.kind,
            by=draft.by,
            occurred_at=self._clock.now(),
            reason=draft.reason,
            details=draft.details,
            state=draft.state,
        )

    async def _insert(self, entry: ControlEntry) -> ControlEntry:
        """Insert the entry and return what stands in its place: it, or another's."""
        return await retry_forever(lambda: self._try_to_insert(entry))

    async def _try_to_insert(self, entry: ControlEntry) -> ControlEntry:
        try:
            await self._control_log.insert(entry)
        except BackendError as error:
            _log.debug(CONTROL_UNCERTAIN, name=entry.name, error=str(error))
            # A refusal may be about our own row, whose confirmation was lost: read it.
            found = await self._until_answered(
                lambda: self._control_log.read(entry.subject, entry.name, entry.sequence)
            )
            if found is None:
                raise
            return found
        return entry

    async def _until_answered(self, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        return await retry_forever(
            ask, lambda error: _log.debug(CONTROL_UNCERTAIN, error=str(error))
        )


def _is_unreadable(entry: ControlEntry | None) -> bool:
    return entry is not None and entry.kind is ControlKind.UNREADABLE


async def newest_readable(
    log: ControlLog, subject: ControlSubject, name: str
) -> ControlEntry | None:
    """Return the newest entry that can be read, ``None`` if there is none.

    For logs that must go on behind an edited row without losing what stood before it.
    """
    newest = await log.newest(subject, name)
    while newest is not None and _is_unreadable(newest):
        before = await log.history(subject, name, before=newest.sequence, limit=1)
        newest = before[0] if before else None
    return newest


def _decided(decide: Decision, newest: ControlEntry | None) -> ControlDraft | None:
    try:
        return decide(newest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if newest is None or not _is_unreadable(newest):
            raise
        raise EntryUnreadable(newest.subject, newest.name, newest.sequence) from error


async def _nothing_to_settle(newest: ControlEntry | None) -> None:
    """Entries of this subject promise nothing."""
