"""EventFeed: best effort, and never in anybody's way."""

from __future__ import annotations

from jobfleet_contracts.backend import Backend
from tests.conformance.conftest import WITH_FAKES
from tests.conformance.jobs import a_life

pytestmark = WITH_FAKES


async def test_announcing_waits_for_nobody_and_raises_nothing(backend: Backend) -> None:
    backend.feed.announce(a_life())
    backend.feed.announce([])


async def test_announcing_after_the_close_raises_nothing(backend: Backend) -> None:
    await backend.close()
    backend.feed.announce(a_life())
