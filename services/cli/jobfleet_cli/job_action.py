"""``jobfleet jobs cancel|redrive|dismiss``: one action on several jobs."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

from jobfleet_cli.answer import print_json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_selection import JobSelection
from jobfleet_cli.session import Session, who
from jobfleet_cli.terminal_text import indented
from jobfleet_cli.trail_reading import known_form
from jobfleet_contracts.errors import ActionRefused, BackendUnavailable, UnknownJob
from jobfleet_contracts.event import JobState
from jobfleet_contracts.state import State
from jobfleet_protocol.reading.job_actions import JobAction


class ActionRun:
    """One call of an action; each job gets its own answer."""

    def __init__(
        self, *, action: JobAction, selection: JobSelection, reason: str, as_json: bool
    ) -> None:
        self._action = action
        self._selection = selection
        self._reason = reason
        self._as_json = as_json

    async def run(self, session: Session) -> ExitCode:
        """Act on each job in turn; exit 1 if one was refused or is unknown.

        Raises:
            BackendUnavailable: a job's answer is unclear; names it, and how many were not tried.
        """
        code = ExitCode.DONE
        job_ids = await self._selection.find(session)
        for number, job_id in enumerate(job_ids, 1):
            try:
                state = await self._act(session, known_form(job_id))
            except (ActionRefused, UnknownJob) as error:
                self._refused(job_id, str(error))
                code = ExitCode.NO
            except BackendUnavailable as error:
                rest = len(job_ids) - number
                untried = f"; {rest} more were not tried" if rest else ""
                raise BackendUnavailable(f"job {job_id}: {error}{untried}") from error
            else:
                self._done(job_id, state)
        return code

    async def _act(self, session: Session, job_id: str) -> State:
        canceller, redriver = session.writes.canceller, session.writes.redriver
        match self._action:
            case JobAction.REDRIVE:  # never repeated: the job may have run and failed meanwhile
                return await redriver.redrive(job_id, by=who(), reason=self._reason)
            case JobAction.CANCEL:
                return await self._repeatedly(
                    session,
                    job_id,
                    lambda: canceller.cancel(job_id, by=who(), reason=self._reason),
                    is_done=lambda after: after.state is State.CANCELLED,
                )
            case JobAction.DISMISS:
                return await self._repeatedly(
                    session,
                    job_id,
                    lambda: redriver.dismiss(job_id, by=who(), reason=self._reason),
                    is_done=lambda after: after.dismissed,
                )

    async def _repeatedly(
        self,
        session: Session,
        job_id: str,
        call: Callable[[], Awaitable[State]],
        *,
        is_done: Callable[[JobState], bool],
    ) -> State:
        """Ask until there is an answer; a refusal may come from this command's own earlier try."""
        is_unclear = False

        async def ask() -> State:
            nonlocal is_unclear
            try:
                return await call()
            except BackendUnavailable:
                is_unclear = True
                raise
            except ActionRefused:
                head = await session.backend.trail.newest(job_id) if is_unclear else None
                if head is None or not is_done(head.after):
                    raise
                return head.after.state

        return await session.patience.ask(ask)

    def _done(self, job_id: str, state: State) -> None:
        if self._as_json:
            print_json({"jobId": job_id, "state": state.value})
            return
        asked = self._action is JobAction.CANCEL and not state.is_terminal
        print(f"{job_id} {state.value}{', cancel requested' if asked else ''}", flush=True)

    def _refused(self, job_id: str, reason: str) -> None:
        if self._as_json:
            print_json({"jobId": job_id, "error": reason})
        else:
            print(f"error: {indented(reason)}", file=sys.stderr)
