"""The API answers as its description says, whatever it is sent: no 5xx, nothing undocumented."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from jobfleet_backends.open_backend import open_backend
from jobfleet_backends.settings import Settings
from jobfleet_backends.system_clock import SystemClock
from jobfleet_dashboard.app import create_app
from jobfleet_dashboard.server import serve
from tests.dashboard.api.conftest import options_with

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
EACH_ANSWERED = ("/bulk", "/members")
"""Of many jobs in one request, what does not fit is answered in its place, with the others."""


class _ServedInThread:
    """A dashboard with a loop of its own, since the generated tests are not asynchronous."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready = threading.Event()
        self._stop: tuple[asyncio.AbstractEventLoop, asyncio.Event]
        self.port = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="served")

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(20), "the dashboard did not start"

    def stop(self) -> None:
        loop, event = self._stop
        loop.call_soon_threadsafe(event.set)
        self._thread.join(20)

    async def _serve(self) -> None:
        self._stop = (asyncio.get_running_loop(), asyncio.Event())
        backend = await open_backend(Settings(data_dir=self._folder, _env_file=None))
        options = options_with(rate_limit="1000000/minute")
        app = create_app(backend=backend, clock=SystemClock(), options=options)
        await serve(app, "127.0.0.1", 0, ready=self._tell, stop=self._stop[1])
        await backend.close()

    def _tell(self, port: int) -> None:
        self.port = port
        self._ready.set()


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The description of a running dashboard, but for streams, which do not end."""
    served = _ServedInThread(tmp_path_factory.mktemp("described"))
    served.start()
    loaded = schemathesis.openapi.from_url(f"http://127.0.0.1:{served.port}/openapi.json")
    yield loaded.exclude(path_regex="stream")
    served.stop()


def test_every_answer_is_described(description: Any) -> None:
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) >= 18
    for operation in operations:
        _exercise(operation)


def _exercise(operation: Any) -> None:
    each_answered = operation.path.endswith(EACH_ANSWERED)
    checks = [c for c in CHECKS if not each_answered or c is not negative_data_rejection]

    @given(case=operation.as_strategy() | operation.as_strategy(GenerationMode.NEGATIVE))
    @settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        case.query = {name: text for name, text in (case.query or {}).items() if name != "wait"}
        case.call_and_validate(checks=checks, timeout=20)

    check()
