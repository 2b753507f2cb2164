"""``jobfleet audit import``: a moved fleet into an empty backend; repeat it after any failure."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.move_check import CheckedMove, check_move, move_items
from jobfleet_cli.session import Session, who
from jobfleet_cli.terminal_text import visible
from jobfleet_cli.trail_rebuild import rebuild_index
from jobfleet_cli.trail_verification import print_findings
from jobfleet_contracts.errors import DataMissing
from jobfleet_contracts.event import Event
from jobfleet_contracts.ports import PayloadStore
from jobfleet_contracts.state import Status
from jobfleet_protocol.actions.submission import request_of
from jobfleet_protocol.audit.heads import HeadsCheck
from jobfleet_protocol.audit.verification import Verifier
from jobfleet_protocol.control.pauses import Pauses
from jobfleet_protocol.moving.move_in import MoveIn
from jobfleet_protocol.moving.move_item import MoveItem
from jobfleet_protocol.moving.republication import Republication, followers_of
from jobfleet_protocol.trail.large_data import resolve

FILE = "FILE"


class MoveImport:
    """One call of ``audit import``."""

    def __init__(self, *, file: Path) -> None:
        self._file = file
        self._owing: list[Event] = []
        """Ends of jobs that others follow: a callback, successors."""

    async def run(self, session: Session) -> ExitCode:
        """Check the file, write it, make the index, verify, publish, and open the fleet.

        Exit 1 if what stands in the backend breaks a rule that the file keeps; it stays sealed.

        Raises:
            SettingsError: the file is none, was cut off or changed; nothing was written.
            ActionRefused: the backend is not empty.
        """
        by, checked = who(), await asyncio.to_thread(check_move, self._file, option=FILE)
        _tell(f"{self._file}: {checked.counts}, {checked.total} violations")
        move = _move_in(session, checked)
        if not await move.begin(by=by):
            _tell("this file has been imported here; nothing to do")
            return ExitCode.DONE
        await move.take(self._items())
        await rebuild_index(session, is_alone=True)
        if not await self._is_whole(session, checked):
            _tell("the backend stays sealed. Import the same file into another, empty one")
            return ExitCode.NO
        published = await self._publish(session)
        await session.backend.index.flush()
        await move.finish(by=by)
        print(f"{checked.counts}; {published} jobs published")
        return ExitCode.DONE

    def _items(self) -> Iterator[MoveItem]:
        """Yield what the file holds, and note the ends of jobs that others follow."""
        opening: Event | None = None
        for item in move_items(self._file, option=FILE):
            if isinstance(item, Event):
                opening = item if item.sequence == 1 else opening
                after_end = item.kind in (Status.DISMISSED, Status.ERASED)
                is_end = item.after.state.is_terminal and not after_end
                if is_end and opening is not None and _has_followers(item, opening):
                    self._owing.append(item)
            yield item

    async def _is_whole(self, session: Session, checked: CheckedMove) -> bool:
        """Verify all that is stored here, with its data, and compare each job's newest hash."""
        verifier, heads = Verifier(), HeadsCheck(checked.heads)
        async for history in session.backend.trail.scan():
            verifier.add([await _whole(event, session.backend.payloads) for event in history])
            verifier.violations.add(heads.compare(history))
        verifier.violations.add(heads.missing())
        found = verifier.finish()
        if verifier.violations.total > checked.broken:
            print_findings(found, "VIOLATION", as_json=False)
            return False
        return True

    async def _publish(self, session: Session) -> int:
        backend, writes, clock = session.backend, session.writes, session.clock
        pauses = Pauses(log=backend.control_log, control=backend.control, clock=clock)
        republication = Republication(
            trail=backend.trail,
            reader=backend.reader,
            payloads=backend.payloads,
            publication=writes.publication,
            ending=writes.ending,
            clock=clock,
            pauses=await pauses.read(),
        )
        for end in self._owing:
            await republication.conclude(end)
        return await republication.run()


def _move_in(session: Session, checked: CheckedMove) -> MoveIn:
    backend = session.backend
    return MoveIn(
        trail=backend.trail,
        limits=backend.limits,
        payloads=backend.payloads,
        leases=backend.leases,
        locks=backend.locks,
        control_log=backend.control_log,
        rates=backend.rates,
        marks=backend.marks,
        logs=backend.logs,
        clock=session.clock,
        header=checked.header,
    )


def _has_followers(end: Event, opening: Event) -> bool:
    try:
        return bool(followers_of(end, request_of(opening)))
    except (KeyError, TypeError, ValueError):  # its data were missing before the move
        return False


async def _whole(event: Event, payloads: PayloadStore) -> Event:
    """Return the event with its data; what was missing before the move is missing still."""
    try:
        return await resolve(event, payloads)
    except DataMissing:
        return event


def _tell(text: str) -> None:
    print(visible(text), file=sys.stderr, flush=True)
