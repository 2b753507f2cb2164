"""An action whose first answer was lost: repeated where that is safe, named where it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import open_embedded
from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.exit_code import ExitCode
from jobfleet_cli.job_action import ActionRun
from jobfleet_cli.job_selection import JobSelection
from jobfleet_cli.patience import Patience
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import ActionRefused, BackendUnavailable
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobDefaults
from jobfleet_contracts.state import State
from jobfleet_protocol.actions.write_side import WriteSide
from jobfleet_protocol.reading.job_actions import JobAction
from tests.dashboard.api.life import Life

DEFAULTS = JobDefaults(
    max_attempts=3, retry_delay_seconds=2, retry_max_seconds=60, timeout_seconds=60
)


class LostAnswers:
    """Actions that take effect at the first try, and whose first answer nobody gets."""

    def __init__(self, actions: Any) -> None:
        self._actions = actions
        self.tries: list[str] = []

    def __getattr__(self, name: str) -> Any:
        action = getattr(self._actions, name)

        async def asked(job_id: str, **how: Any) -> State:
            self.tries.append(job_id)
            state: State = await action(job_id, **how)
            if self.tries.count(job_id) == 1:
                raise BackendUnavailable("the audit trail did not answer in time; may be done")
            return state

        return asked


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Backend]:
    opened = await open_embedded(Settings(data_dir=tmp_path, _env_file=None))
    yield opened
    await opened.close()


@pytest.fixture
def session(backend: Backend) -> Any:
    clock = SystemClock()
    writes = WriteSide.wire(backend=backend, clock=clock, defaults=DEFAULTS)
    lossy: Any = SimpleNamespace(
        submitter=writes.submitter,
        canceller=LostAnswers(writes.canceller),
        redriver=LostAnswers(writes.redriver),
    )
    patience = Patience()
    patience.answered = True
    return SimpleNamespace(backend=backend, clock=clock, patience=patience, writes=lossy)


async def _jobs(session: Any, state: State | None = None) -> list[str]:
    ids = []
    for _ in range(3):
        submitted = await session.writes.submitter.submit(JobRequest(type="a"))
        ids.append(submitted.job_id)
        if state is not None:
            life = Life(session.backend)
            await life.start(submitted.job_id)
            if state is State.FAILED:
                await life.fail(submitted.job_id)
    return ids


def _run(action: JobAction, ids: list[str]) -> ActionRun:
    return ActionRun(
        action=action, selection=JobSelection(action=action, ids=ids), reason="", as_json=False
    )


@pytest.mark.parametrize(
    ("action", "state", "result"),
    [
        (JobAction.CANCEL, None, "cancelled"),
        (JobAction.CANCEL, State.RUNNING, "running, cancel requested"),
        (JobAction.DISMISS, State.FAILED, "failed"),
    ],
)
async def test_an_action_that_took_effect_at_its_first_try_is_done_at_the_second(
    session: Any,
    capsys: pytest.CaptureFixture[str],
    action: JobAction,
    state: State | None,
    result: str,
) -> None:
    ids = await _jobs(session, state)
    capsys.readouterr()
    assert await _run(action, ids).run(session) is ExitCode.DONE
    printed = [line for line in capsys.readouterr().out.splitlines() if line[:36] in ids]
    assert printed == [f"{job_id} {result}" for job_id in ids]


async def test_another_cancel_that_came_first_is_a_refusal(session: Any) -> None:
    ids = await _jobs(session)
    await session.writes.canceller._actions.cancel(ids[0], by="somebody else")
    assert await _run(JobAction.CANCEL, ids[:1]).run(session) is ExitCode.NO


async def test_an_unclear_redrive_is_named_and_never_repeated(session: Any) -> None:
    ids = await _jobs(session, State.FAILED)
    with pytest.raises(BackendUnavailable, match=rf"^job {ids[0]}: .*; 2 more were not tried$"):
        await _run(JobAction.REDRIVE, ids).run(session)
    assert session.writes.redriver.tries == ids[:1]
    heads = [await session.backend.trail.newest(job_id) for job_id in ids]
    assert [head.after.incarnation for head in heads] == [2, 1, 1]


async def test_a_refusal_without_an_earlier_try_stays_one(session: Any) -> None:
    ids = await _jobs(session)
    with pytest.raises(ActionRefused):
        await session.writes.redriver.dismiss(ids[0], by="x")
    assert await _run(JobAction.DISMISS, ids).run(session) is ExitCode.NO
