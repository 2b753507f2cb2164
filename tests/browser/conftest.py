"""Debian's Chromium, and a fleet for it to look at."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Playwright,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)
from pydantic import SecretStr

from devtools.chromium import FLAGS, find_chromium
from devtools.local_fleet import LocalFleet
from devtools.servers import PostgresServer, RabbitMQServer, StorageServer

expect.set_options(timeout=20_000)  # a crowded machine stalls for seconds
HANDLERS = ("tests.browser.talking_handler",)
DESKTOP: ViewportSize = {"width": 1280, "height": 720}


# Playwright keeps an event loop running in its thread until it is stopped, and no test may run one
# of its own meanwhile: it must end with this folder, not, as the plugin has it, with all tests.
@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Playwright, while tests of this folder run."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium, without its chatter to other hosts."""
    running = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
    yield running
    running.close()


@pytest.fixture(scope="package")
def window(browser: Browser) -> Iterator[Page]:
    """One window for all tests: the first page of a new one costs two seconds of CPU."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def page(window: Page) -> Iterator[Page]:
    """The window; no test may leave an error in its console or ask another host for anything."""
    problems: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        expected = "status of 404" in message.text or "status of 422" in message.text
        if message.type == "error" and not expected:
            problems.append(f"console: {message.text}")

    def watch(request: Request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            problems.append(f"request to {request.url}")

    def note(error: Error) -> None:
        problems.append(f"page: {error}")

    listeners: dict[Any, Any] = {"console": hear, "request": watch, "pageerror": note}
    for name, listener in listeners.items():
        window.on(name, listener)
    window.set_viewport_size(DESKTOP)  # another test may have left it as small as a phone
    yield window
    for name, listener in listeners.items():
        window.remove_listener(name, listener)
    window.goto("about:blank")
    window.mouse.move(0, 0)
    assert problems == []


@pytest.fixture(scope="session")
def embedded_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    """A fleet on the embedded backend that all tests of this folder share."""
    yield from _running(LocalFleet(data_dir=tmp_path_factory.mktemp("fleet"), handlers=HANDLERS))


@pytest.fixture(scope="session")
def azure_fleet(
    rabbitmq: RabbitMQServer, azurite: StorageServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalFleet]:
    """Likewise on RabbitMQ and Azure Storage."""
    changes = azure_settings(rabbitmq, azurite)
    folder = tmp_path_factory.mktemp("fleet")
    yield from _running(LocalFleet(data_dir=folder, changes=changes, handlers=HANDLERS))


@pytest.fixture(scope="session")
def postgres_fleet(
    postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalFleet]:
    """Likewise on PostgreSQL."""
    changes = postgres_settings(postgres)
    folder = tmp_path_factory.mktemp("fleet")
    yield from _running(LocalFleet(data_dir=folder, changes=changes, handlers=HANDLERS))


@pytest.fixture
def fleet(request: pytest.FixtureRequest) -> LocalFleet:
    """The shared fleet on the backend that the test names, the embedded one by default."""
    backend: str = getattr(request, "param", "embedded")
    shared: LocalFleet = request.getfixturevalue(f"{backend}_fleet")
    return shared


@pytest.fixture
def own_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings for a fleet of the test's own, on the backend that the test names."""
    backend = getattr(request, "param", "embedded")
    if backend == "embedded":
        return {}
    if backend == "postgres":
        return postgres_settings(request.getfixturevalue("postgres"))
    return azure_settings(*map(request.getfixturevalue, ("rabbitmq", "azurite")))


@pytest.fixture
def empty_fleet(own_settings: dict[str, Any], tmp_path: Path) -> Iterator[LocalFleet]:
    """A fleet that has never seen a job."""
    yield from _running(LocalFleet(data_dir=tmp_path, changes=own_settings))


def postgres_settings(postgres: PostgresServer) -> dict[str, Any]:
    """Settings of a schema that nobody else uses."""
    return {
        "backend": "postgres",
        "postgres_url": SecretStr(postgres.url),
        "postgres_schema": f"test_{uuid.uuid4().hex[:12]}",
    }


def azure_settings(rabbitmq: RabbitMQServer, azurite: StorageServer) -> dict[str, Any]:
    """Settings of a backend that nobody else uses."""
    own = uuid.uuid4().hex[:12]
    return {
        "backend": "azure",
        "rabbitmq_url": SecretStr(rabbitmq.url),
        "storage_connection_string": SecretStr(azurite.connection_string),
        "namespace": f"test-{own}",
        "lock_container": f"locks-{own}",
        "audit_table": f"Test{own}",
    }


def _running(fleet: LocalFleet) -> Iterator[LocalFleet]:
    fleet.start()
    yield fleet
    fleet.stop()
