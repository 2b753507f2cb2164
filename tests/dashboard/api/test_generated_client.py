"""A client that a generator makes of the description submits, waits and reads."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest

from devtools.local_fleet import LocalFleet

PACKAGE = "generated_jobfleet_client"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LocalFleet]:
    """A dashboard and a worker."""
    running = LocalFleet(data_dir=tmp_path / "fleet")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def client(
    fleet: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SimpleNamespace]:
    """The generated package; what it could make nothing of is a fault of the description."""
    description, config = tmp_path / "openapi.json", tmp_path / "config.json"
    description.write_bytes(urlopen(f"{fleet.address}/openapi.json", timeout=10).read())  # noqa: S310
    lines_as_text = {"application/x-ndjson": "text/plain"}
    options = {"package_name_override": PACKAGE, "post_hooks": []}
    config.write_text(json.dumps(options | {"content_type_overrides": lines_as_text}))
    command = ["generate", "--meta", "none", "--fail-on-warning", "--path", str(description)]
    command += ["--config", str(config), "--output-path", str(tmp_path / PACKAGE)]
    program = Path(sys.executable).with_name("openapi-python-client")
    done = subprocess.run([program, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(tmp_path)
    names = ("models", "client")
    yield SimpleNamespace(**{name: importlib.import_module(f"{PACKAGE}.{name}") for name in names})
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


def operation(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.api.jobs.{name}")


def test_a_generated_client_submits_waits_reads_and_is_told_what_is_wrong(
    fleet: LocalFleet, client: SimpleNamespace
) -> None:
    session = client.client.Client(base_url=fleet.address, raise_on_unexpected_status=True)
    models = client.models
    asked = {"type": "demo.steps", "payload": {"steps": 2, "stepSeconds": 0}}
    request = models.JobRequestVersion1.from_dict(asked)
    accepted = operation("submit").sync(client=session, body=request, idempotency_key="once")
    again = operation("submit").sync(client=session, body=request, idempotency_key="once")
    assert again.job_id == accepted.job_id
    job = operation("job").sync(accepted.job_id, client=session, wait=20)
    assert (job.state, job.result) == (models.State.COMPLETED, {"steps": 2})
    assert job.events[-1].status == "Completed"
    listed = operation("jobs").sync(client=session, view=models.JobsView.JOBS)
    assert [row.job_id for row in listed.items] == [job.job_id]
    wrong = models.JobRequestVersion1(type_="demo.steps", priority=10)
    problem = operation("submit").sync(client=session, body=wrong)
    assert isinstance(problem, models.ProblemDocument)
    assert (problem.status, problem.field) == (400, "priority")
