"""Every program in the documentation runs, on the embedded backend, as it stands there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import sentry_sdk

from devtools.local_fleet import LocalFleet
from jobfleet_cli.local_port import free_port
from jobfleet_protocol.actions.signing_keys import delivery_secret
from tests.docs.sample_page import ROOT, SamplePage, run_program
from tests.docs.sample_servers import SECRET, SampleServers
from tests.polling import eventually

PAGES = (
    "README.md client/README.md",
    "docs/tutorial.md",
    ("docs/handlers.md docs/handler-examples.md docs/testing-handlers.md docs/async-endpoints.md"),
    "docs/hooks.md",
    "docs/idempotency.md",
    "docs/flows.md",
    "docs/changing-handlers.md",
    "docs/coming-from-celery.md",
    "docs/coming-from-other-job-apis.md",
    "docs/metrics.md",
    "docs/personal-data.md",
    "docs/limits.md",
)
RECURRING = "docs/recurring.md"
"""It has a handler and no program that submits a job."""
RUN_ELSEWHERE = {
    "docs/postgresql.md": "tests/docs/test_transaction_sample.py",
    "docs/web-servers.md": "tests/publisher/test_web_servers.py",
}
"""Pages whose programs need servers, and the tests that run them."""
CODEC = "company_codec"
_FENCE = re.compile(r"^[ >]*(?:```|~~~)+ *\{?(?:python|py|pycon)\b", re.MULTILINE | re.IGNORECASE)
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@pytest.fixture
async def servers() -> AsyncIterator[SampleServers]:
    found = SampleServers()
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
def port() -> int:
    """The dashboard's, known before it starts since third parties are told of it."""
    return free_port(0)


@pytest.fixture(params=PAGES)
def samples(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    servers: SampleServers,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> SamplePage:
    """A page's programs in an empty folder, which is the current one and on the path."""
    found = SamplePage(*request.param.split())
    local = f"http://127.0.0.1:{servers.port}"
    hosts = ("https://api.example.org", "https://partner.example.org")
    dashboard = {"http://localhost:8000": f"http://127.0.0.1:{port}"}
    found.write(tmp_path, replacing=dict.fromkeys(hosts, local) | dashboard)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("JOBFLEET_DATA_DIR", str(tmp_path / "fleet"))
    monkeypatch.setenv("JOBFLEET_SECRET_SHOP", "t0ken")
    # With its integrations it would patch logging, Huey and others, for all tests of this process.
    monkeypatch.setattr(sentry_sdk, "init", partial(sentry_sdk.init, default_integrations=False))
    if CODEC in found.programs:
        monkeypatch.setenv("PAYLOAD_KEYS", f'{{"2026-11": "{KEY}"}}')
        monkeypatch.setenv("PAYLOAD_DIGEST_KEY", KEY)
        monkeypatch.setenv("JOBFLEET_PAYLOAD_CODEC", f"{CODEC}:codec")
    return found


@pytest.fixture
def fleet(samples: SamplePage, port: int, tmp_path: Path) -> Iterator[LocalFleet]:
    """A dashboard and a worker that has the page's handlers."""
    changes: dict[str, Any] = {
        "allow_private_targets": True,
        "allow_secrets_over_http": True,
        "allowed_hosts": ("127.0.0.1",),
        "callback_base_url": f"http://127.0.0.1:{port}",
        "callback_secrets": (SECRET,),
    }
    running = LocalFleet(
        data_dir=tmp_path / "fleet", port=port, handlers=samples.handler_modules, changes=changes
    )
    running.start()
    yield running
    running.stop()
    samples.forget()


@pytest.mark.usefixtures("fleet")
async def test_each_program_of_the_page_runs(samples: SamplePage, servers: SampleServers) -> None:
    modules = list(samples.modules())
    servers.partner = next((m for m in modules if m.__name__ == "partner"), None)
    assert modules
    ran = [await run_program(module) for module in modules]
    assert sum(ran) > 0
    assert set(servers.orders.values()) <= {1}
    if (results := next((m for m in modules if m.__name__ == "results"), None)) is not None:
        headers, body = await asyncio.wait_for(servers.results.get(), 30)
        assert results.is_genuine(headers, body, delivery_secret(SECRET.encode()))


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize("samples", ["docs/limits.md"], indirect=True)
async def test_each_handler_of_the_page_on_limits_runs_a_job(fleet: LocalFleet) -> None:
    fleet.limit("api-stripe", slots=5, rate="10/second")
    payloads: dict[str, dict[str, Any]] = {
        "invoice": {"customer": 7},
        "print": {},
        "call-api": {},
        "mail": {"domain": "example.org"},
        "charge": {},
    }
    for job_type, payload in payloads.items():
        await _completed(fleet, fleet.submit(job_type, payload=payload))


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize("samples", [RECURRING], indirect=True)
async def test_the_schedule_of_the_page_on_recurring_jobs_runs_a_job(fleet: LocalFleet) -> None:
    async def declared() -> str | None:
        with suppress(HTTPError):
            return await asyncio.to_thread(fleet.run_now, "daily-report")
        return None

    job_id = await eventually("the worker has declared its schedule", declared)
    assert (await _completed(fleet, job_id))["result"] == "daily report"


async def _completed(fleet: LocalFleet, job_id: str) -> dict[str, Any]:
    async def ended() -> dict[str, Any] | None:
        found = await asyncio.to_thread(fleet.job, job_id)
        return found if found["state"] in ("completed", "failed") else None

    job = await eventually(f"job {job_id} has ended", ended)
    assert job["state"] == "completed", job
    return job


def test_no_page_has_a_python_block_that_nothing_runs() -> None:
    run = {name for names in (*PAGES, RECURRING) for name in names.split()}
    for name, test in RUN_ELSEWHERE.items():
        assert f'SamplePage("{name}")' in (ROOT / test).read_text(encoding="utf-8")
    found = {str(page.relative_to(ROOT)) for page in _written_pages() if _python_fences(page)}
    assert found == run | RUN_ELSEWHERE.keys()
    for name in found:
        assert len(SamplePage(name).programs) == len(_python_fences(ROOT / name)), name


def _written_pages() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    for folder in ("docs", "client", "deploy", "devtools", "examples", "services", "shared"):
        yield from (ROOT / folder).rglob("*.md")


def _python_fences(page: Path) -> list[str]:
    return _FENCE.findall(page.read_text(encoding="utf-8"))
