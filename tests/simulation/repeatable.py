"""Makes a run a function of its seed: ids, jitter and log of the code under test."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any
from unittest.mock import patch
from uuid import UUID
from weakref import WeakKeyDictionary

import structlog
import uuid_utils

from jobfleet_protocol.actions import answer_limit, submission
from jobfleet_publisher import current
from jobfleet_worker import wiring
from jobfleet_worker.run import consumer, fleet_scope, lease_keeper
from jobfleet_worker.run.job_run import ATTEMPT_FAILED
from jobfleet_worker.upkeep import rescuer, scheduler
from tests.simulation.faults import OwnError
from tests.simulation.journal import Journal

ERROR = 40


@dataclass(frozen=True, slots=True)
class _Ids:
    """Stands for the functions that make random ids."""

    numbers: Iterator[int]

    def __call__(self) -> UUID:
        return UUID(int=(0x7 << 76) | (0x2 << 62) | next(self.numbers))


@contextmanager
def short_patience() -> Iterator[None]:
    """Scale the hour after which a row without its event goes, so that stalls outlast it.

    The proportions stay. Stepped clocks would not: by them a new row can look hours old.
    """
    with (
        patch.object(rescuer, "ORPHANED_ROW_AGE", timedelta(seconds=60)),
        patch.object(submission, "SLOW_OPENING_SECONDS", 10.0),
    ):
        yield


@contextmanager
def repeatable(seed: int, journal: Journal, *, talkative: bool) -> Iterator[list[str]]:
    """Patch what differs from run to run, and poll less often where nobody can tell.

    Args:
        talkative: write all log lines of the code under test into the journal.

    Yields:
        what was logged as an error: an unexpected exception.
    """
    ids = _Ids(count(1))
    errors: list[str] = []
    state = random.getstate()
    config = structlog.get_config()
    random.seed(seed)
    _configure_log(journal, errors, talkative=talkative)
    try:
        with (
            patch.object(uuid_utils, "uuid7", ids),
            patch.object(uuid_utils, "uuid4", ids),
            patch.object(lease_keeper, "TICK_SECONDS", 1.0),
            patch.object(consumer, "RECEIVE_WAIT", timedelta(seconds=20)),
            patch.object(wiring, "calling_handlers", _no_handlers),
            patch.object(scheduler, "LONGEST_LOOK", 15.0),
            patch.object(fleet_scope, "IDLE_WAIT", timedelta(seconds=5)),
            patch.object(fleet_scope, "STAND_BY_SECONDS", 3.0),
            # Else tasks and publishers of vanished processes would keep each run in memory.
            patch.object(answer_limit, "_late", set()),
            patch.object(current, "_blocking", []),
            patch.object(current, "_by_loop", WeakKeyDictionary()),
        ):
            yield errors
    finally:
        random.setstate(state)
        structlog.configure(**config)


def _no_handlers(*_: Any, **__: Any) -> tuple[()]:
    """The built-in handlers call real servers."""
    return ()


def _is_own_error(logged: object) -> bool:
    error = sys.exc_info()[1] if logged is True else logged
    return isinstance(error, OwnError)


def _configure_log(journal: Journal, errors: list[str], *, talkative: bool) -> None:
    def keep(_: Any, level: str, event: MutableMapping[str, Any]) -> Any:
        name = event.pop("event")
        error = event.pop("exc_info", None)
        who = str(event.pop("worker_id", "log"))
        text = " ".join(f"{key}={value}" for key, value in sorted(event.items()))
        journal.note(who, name, text, repr(error) if error else "")
        by_purpose = name == ATTEMPT_FAILED or _is_own_error(error)
        if level == "error" and not by_purpose:
            errors.append(f"{who} {name} {text} {error!r}")
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, keep],
        wrapper_class=structlog.make_filtering_bound_logger(10 if talkative else ERROR),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )
