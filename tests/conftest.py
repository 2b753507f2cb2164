"""What every test may ask for, and in which order they run."""

from __future__ import annotations

import os
import signal

import pytest
import structlog

from devtools.evidence import figures

pytest_plugins = ["tests.servers"]

_LONGEST_FIRST = ("tests/chaos/", "tests/system/", "tests/simulation/", "tests/backends/")


def pytest_configure() -> None:
    """Give processes that tests start the signals of a terminal, and tests quick tracebacks.

    A child of a process that ignores SIGHUP, as under nohup, ignores it too; where a function
    handles the signal, a child begins with the default.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)
    # structlog's default formats a traceback with rich: seconds, in which leases are lost.
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


def pytest_xdist_auto_num_workers() -> int:
    """Tests wait for most of their time."""
    return (os.cpu_count() or 1) * 2


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files, so that no process of pytest-xdist is left alone with one."""
    items.sort(key=lambda item: _rank(item.nodeid))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count for a run that is being recorded; the processes of pytest-xdist report to this one."""
    ended = {name: len(terminalreporter.stats.get(name, [])) for name in ("passed", "failed")}
    figures.count(tests_passed=ended["passed"], tests_failed=ended["failed"])


def _rank(nodeid: str) -> int:
    places = (rank for rank, folder in enumerate(_LONGEST_FIRST) if nodeid.startswith(folder))
    return next(places, len(_LONGEST_FIRST))
