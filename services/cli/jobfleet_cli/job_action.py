"""``jobfleet jobs cancel|redrive|dismiss``: one action on several jobs."""

from __future__ import annotations

import sys

from jobfleet_cli.answer import print_json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_selection import JobSelection
from jobfleet_cli.session import Session, who
from jobfleet_cli.trail_reading import known_form
from jobfleet_contracts.errors import ActionRefused, UnknownJob
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
        """Act on each job in turn; exit 1 if one was refused or is unknown."""
        code = ExitCode.DONE
        for job_id in await self._selection.find(session):
            try:
                state = await self._act(session, known_form(job_id))
            except (ActionRefused, UnknownJob) as error:
                self._refused(job_id, str(error))
                code = ExitCode.NO
            else:
                self._done(job_id, state)
        return code

    async def _act(self, session: Session, job_id: str) -> State:
        if self._action is JobAction.CANCEL:
            canceller = session.writes.canceller
            return await session.patience.ask(  # asked for again it counts once
                lambda: canceller.cancel(job_id, by=who(), reason=self._reason)
            )
        redriver = session.writes.redriver
        if self._action is JobAction.REDRIVE:
            return await redriver.redrive(job_id, by=who())
        return await session.patience.ask(lambda: redriver.dismiss(job_id, by=who()))

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
            print(f"error: {reason}", file=sys.stderr)
