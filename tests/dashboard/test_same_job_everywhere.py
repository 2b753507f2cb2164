"""A job is the same JSON from API, command line, export and page model, in every kind and state."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from jobfleet_backends.system_clock import SystemClock
from jobfleet_cli.groups import show_group
from jobfleet_cli.job_history import show_job
from jobfleet_cli.trail_export import TrailExport
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.internal_job import INTERNAL_TYPES
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.state import State
from jobfleet_dashboard.services import services_of
from jobfleet_dashboard.views.job.job_view import read_job_view
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.life import Life
from tests.dashboard.compared_jobs import ANSWERS, GROUPS, KINDS, MADE, STATES, Site

_MADE_BY_JOBFLEET = {"jobId", "createdAt", "follows", "results", "member"}
_EXTERNAL = KINDS["external"]


def test_one_kind_has_every_field_of_a_request() -> None:
    fields = {str(field.alias) for field in JobRequest.model_fields.values()}
    assert set(KINDS["full"]) == fields - _MADE_BY_JOBFLEET


def test_every_state_is_compared() -> None:
    assert {state.value for state in State} <= STATES.keys()


@pytest.fixture
def site(backend: Backend, client: AsgiClient, life: Life) -> Site:
    request: Any = SimpleNamespace(app=client.app)
    return Site(backend=backend, client=client, services=services_of(request), life=life)


class Surfaces:
    """Reads one job on every surface."""

    def __init__(self, site: Site, folder: Path, output: pytest.CaptureFixture[str]) -> None:
        self._site = site
        self._folder = folder
        self._output = output
        self._session: Any = SimpleNamespace(backend=site.backend, clock=SystemClock())

    async def compare(self, job_id: str) -> dict[str, Any]:
        """Compare what they show of the job; returns it."""
        from_api: dict[str, Any] = (await self._site.client.get(f"/api/jobs/{job_id}")).json
        await show_job(self._session, job_id, as_json=True)
        view = await read_job_view(self._site.services, job_id)
        _are_equal(from_api, self._printed(), view.record.to_json())
        await self._compare_export(job_id, from_api["events"])
        return from_api

    async def compare_group(self, group_id: str) -> dict[str, Any]:
        """Compare what they show of the group as such; returns it."""
        from_api: dict[str, Any] = (await self._site.client.get(f"/api/groups/{group_id}")).json
        await show_group(self._session, group_id, as_json=True)
        record = await self._site.services.group_reader.read(group_id)
        _are_equal(from_api, self._printed(), record.to_json())
        return from_api

    async def _compare_export(self, job_id: str, events: list[dict[str, Any]]) -> None:
        out = self._folder / "export.jsonl"
        await TrailExport(job_id=job_id, out=out, raw=False).run(self._session)
        exported = [orjson.loads(line) for line in out.read_bytes().splitlines()]
        for line, event in zip(exported, events, strict=True):
            whole = event["data"].keys() != {"blob", "size"}
            assert {name: line[name] for name in event} | {"data": event["data"]} == event
            assert line["data"] == event["data"] or not whole

    def _printed(self) -> dict[str, Any]:
        printed: dict[str, Any] = json.loads(self._output.readouterr().out.splitlines()[-1])
        return printed


def _are_equal(
    from_api: dict[str, Any], from_command: dict[str, Any], of_page: dict[str, Any]
) -> None:
    from_page = orjson.loads(orjson.dumps(of_page))
    for field, value in from_api.items():
        assert from_command[field] == value, field
        assert from_page[field] == value, field
    assert from_command.keys() == from_api.keys() == from_page.keys()


@pytest.fixture
def surfaces(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Surfaces:
    return Surfaces(site, tmp_path, capsys)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_job_is_the_same_from_api_command_line_export_and_page(
    site: Site, surfaces: Surfaces, kind: str, state: str
) -> None:
    later = {"runAt": "2099-01-01T00:00:00Z"} if state == "scheduled" else {}
    job_id = await site.submitted(**KINDS[kind] | later)
    await STATES[state](site.life, job_id)
    shown = await surfaces.compare(job_id)
    assert shown["state"] == ("queued" if state == "redriven" else state)


@pytest.mark.parametrize("state", [state for state in STATES if state != "scheduled"])
@pytest.mark.parametrize("kind", MADE)
async def test_a_job_that_jobfleet_makes_is_the_same_everywhere(
    site: Site, surfaces: Surfaces, kind: str, state: str
) -> None:
    job_id = await MADE[kind](site)
    await STATES[state](site.life, job_id)
    shown = await surfaces.compare(job_id)
    assert shown["state"] == ("queued" if state == "redriven" else state)


@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_third_partys_job_is_the_same_everywhere(
    site: Site, surfaces: Surfaces, answer: str
) -> None:
    state, reach = ANSWERS[answer]
    job_id = await site.submitted(**_EXTERNAL)
    await reach(site, job_id)
    assert (await surfaces.compare(job_id))["state"] == state


@pytest.mark.parametrize("standing", GROUPS)
async def test_a_group_is_the_same_everywhere_as_a_job_and_as_a_group(
    site: Site, surfaces: Surfaces, standing: str
) -> None:
    state, reach = GROUPS[standing]
    group = await reach(site)
    assert (await surfaces.compare(group))["state"] == state
    assert (await surfaces.compare_group(group))["state"] == state


async def test_the_made_jobs_are_of_every_internal_type(site: Site) -> None:
    found = set()
    for make in (*MADE.values(), *(reach for _, reach in GROUPS.values())):
        head = await site.backend.trail.newest(await make(site))
        assert head is not None
        found.add(head.facts.job_type)
    assert found >= INTERNAL_TYPES


async def test_allowed_actions_are_those_that_the_protocol_accepts(
    site: Site,
) -> None:
    from jobfleet_contracts.errors import ActionRefused
    from jobfleet_protocol.reading.job_actions import JobAction, actions_for

    writes = site.services.writes
    for reach in STATES.values():
        for action in JobAction:
            job_id = await site.submitted(type="demo.steps")
            await reach(site.life, job_id)
            head = await site.backend.trail.newest(job_id)
            assert head is not None
            offered = action in actions_for(head)
            try:
                match action:
                    case JobAction.CANCEL:
                        await writes.canceller.cancel(job_id, by=None, reason="")
                    case JobAction.REDRIVE:
                        await writes.redriver.redrive(job_id, by=None)
                    case JobAction.DISMISS:
                        await writes.redriver.dismiss(job_id, by=None)
                accepted = True
            except ActionRefused:
                accepted = False
            assert accepted == offered, f"{action} of {head.after.state}"
