"""Every way by which a job request comes in, each told the same request.

An entrance that is missing here is not covered by any rule that "holds at every entrance".
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic.alias_generators import to_snake

from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.errors import JobfleetError
from jobfleet_dashboard.app import create_app
from jobfleet_dashboard.options import DashboardOptions
from jobfleet_publisher import Publisher
from jobfleet_publisher.async_endpoints import AsyncEndpoints
from jobfleet_publisher.sync import Publisher as SyncPublisher
from tests.cli.command_process import run_command
from tests.dashboard.api.asgi_client import Answer, AsgiClient

JSON = {"content-type": "application/json"}
ACCEPTED = None


@dataclass(frozen=True)
class Site:
    """One embedded backend and the services before it."""

    backend: Backend
    settings: Settings
    folder: Path

    @property
    def publisher(self) -> Publisher:
        return Publisher(
            backend=self.backend, clock=SystemClock(), defaults=self.settings.job_defaults
        )

    @property
    def dashboard(self) -> AsgiClient:
        options = DashboardOptions(defaults=self.settings.job_defaults, version="1.2.3")
        return AsgiClient(create_app(backend=self.backend, clock=SystemClock(), options=options))


Entrance = Callable[[Site, Mapping[str, Any]], Awaitable[str | None]]
"""Sends a request in its JSON form; returns the refusal's text, or ``None`` if it was accepted."""


async def rest(site: Site, request: Mapping[str, Any]) -> str | None:
    return _refusal(await site.dashboard.post("/api/jobs", dict(request)))


async def rest_bulk(site: Site, request: Mapping[str, Any]) -> str | None:
    answer = await site.dashboard.post("/api/jobs/bulk", {"jobs": [dict(request)]})
    error = answer.json["items"][0].get("error")
    return ACCEPTED if error is None else str(error["detail"])


async def library(site: Site, request: Mapping[str, Any]) -> str | None:
    return await _called(site.publisher.submit(**_options(request)))


async def library_many(site: Site, request: Mapping[str, Any]) -> str | None:
    try:
        [answer] = await site.publisher.submit_many([request])
    except JobfleetError as error:
        return str(error)
    return str(answer) if isinstance(answer, JobfleetError) else ACCEPTED


async def library_sync(site: Site, request: Mapping[str, Any]) -> str | None:
    def submit() -> None:
        with SyncPublisher.from_env(data_dir=site.folder) as publisher:
            publisher.submit(**_options(request))

    return await _called(asyncio.to_thread(submit))


async def command_file(site: Site, request: Mapping[str, Any]) -> str | None:
    answer = await asyncio.to_thread(
        run_command,
        ("publish", "--json", "--file", "-"),
        folder=site.folder,
        environment={**os.environ, "JOBFLEET_DATA_DIR": str(site.folder)},
        stdin=json.dumps(dict(request)) + "\n",
        seconds=60,
    )
    return ACCEPTED if answer.returncode == 0 else answer.stderr


async def endpoint(site: Site, request: Mapping[str, Any]) -> str | None:
    endpoints = AsyncEndpoints(app := FastAPI(), site.publisher)
    rest = {to_snake(name): value for name, value in request.items() if name != "type"}
    payload = rest.pop("payload", None)
    try:
        endpoints.post("/do", job_type=request["type"], **rest)(lambda: payload)
    except JobfleetError as error:
        return str(error)
    return _refusal(await AsgiClient(app, headers=JSON).post("/do"))


ANSWERING: Mapping[str, Entrance] = {
    "POST /api/jobs": rest,
    "POST /api/jobs/bulk": rest_bulk,
    "library": library,
    "library, many": library_many,
    "library, without a loop": library_sync,
    "jobfleet publish --file": command_file,
    "asynchronous endpoint": endpoint,
}
"""Those that answer. Messages get no answer: see ``test_foreign_messages.py``."""


def _options(request: Mapping[str, Any]) -> dict[str, Any]:
    return {to_snake(name): value for name, value in request.items()}


async def _called(submit: Awaitable[object]) -> str | None:
    try:
        await submit
    except JobfleetError as error:
        return str(error)
    return ACCEPTED


def _refusal(answer: Answer) -> str | None:
    return ACCEPTED if answer.status == 202 else str(answer.json["detail"])
