"""``jobfleet jobs erase``: remove the values of an ended job."""

from __future__ import annotations

import sys

from jobfleet_cli.answer import print_json
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_cli.session import Session, who
from jobfleet_cli.trail_reading import known_form
from jobfleet_protocol.actions.erasure import NOT_REACHED


async def erase_job(session: Session, job_id: str, reason: str, *, as_json: bool) -> ExitCode:
    """Ask until there is an answer: a repeated erasure counts once."""
    eraser, known = session.writes.eraser, known_form(job_id)
    state = await session.patience.ask(lambda: eraser.erase(known, by=who(), reason=reason))
    return _print(known, state.value, as_json=as_json)


async def erase_remotely(
    dashboard: RemoteDashboard, job_id: str, reason: str, *, as_json: bool
) -> ExitCode:
    """Do the same over a dashboard's API."""
    known = known_form(job_id)
    answer = await dashboard.post(f"/api/jobs/{known}/erase", {"reason": reason})
    return _print(known, answer["state"], as_json=as_json)


def _print(job_id: str, state: str, *, as_json: bool) -> ExitCode:
    if as_json:
        print_json({"jobId": job_id, "state": state, "notReached": list(NOT_REACHED)})
        return ExitCode.DONE
    print(f"{job_id} {state}, erased in an hour by the worker that leads", flush=True)
    print("not reached:", *(f"  {each}" for each in NOT_REACHED), sep="\n", file=sys.stderr)
    return ExitCode.DONE
