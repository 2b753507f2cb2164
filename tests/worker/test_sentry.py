"""Failed jobs reach Sentry, once, with the tags by which people look for them."""

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk

from jobfleet_worker import handler
from jobfleet_worker.handlers.registry import Handlers
from jobfleet_worker.sentry import report_errors
from jobfleet_worker.testing import run_handler


@pytest.fixture
def kept() -> Iterator[list[Any]]:
    """Events that would be sent."""
    events: list[Any] = []

    def keep(event: Any, _hint: Any) -> None:
        events.append(event)

    # With its integrations it would patch other libraries, for all tests of this process.
    plain: Any = {"default_integrations": False, "auto_enabling_integrations": False}
    sentry_sdk.init("http://key@127.0.0.1:9/1", before_send=keep, **plain)
    yield events
    sentry_sdk.init(**plain)


@handler("charge", max_attempts=2)
async def charge() -> None:
    raise ValueError("the card was refused")


async def test_only_the_last_failure_is_reported_unless_all_are_asked_for(kept: list[Any]) -> None:
    own = Handlers.load(["jobfleet_worker.sentry"]).hooks.functions
    await run_handler(charge, attempt=1, hooks=own)
    assert kept == []
    await run_handler(charge, attempt=2, hooks=own)
    await run_handler(charge, attempt=1, hooks=[report_errors(every_attempt=True)])
    assert [each["tags"]["attempt"] for each in kept] == [2, 1]
    event = kept[0]
    assert event["tags"]["type"] == "charge"
    assert len(event["tags"]["job"]) == 36
    raised = event["exception"]["values"][-1]
    assert (raised["type"], raised["value"]) == ("ValueError", "the card was refused")
    assert raised["stacktrace"]["frames"][-1]["function"] == "charge"
