"""What a search of messages costs the process that answers it."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any, cast

import pytest

from jobfleet_contracts.event import Event
from jobfleet_contracts.index import EventQuery, Page
from jobfleet_contracts.ports import JobIndexReader
from jobfleet_protocol.reading import event_search
from jobfleet_protocol.reading.event_search import event_query, find_events
from tests.conformance.jobs import queued

EVENTS = 40


class Timeline:
    """Holds one page."""

    def __init__(self) -> None:
        self.events: list[Event] = [
            replace(queued(), message=f"message {number}") for number in range(EVENTS)
        ]

    async def events_of(self, _: EventQuery) -> Page[Event]:
        return Page(self.events)


async def test_a_message_is_masked_once_for_all_words_and_off_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty words over long texts held a dashboard's loop for 22 s."""
    masked: list[str] = []
    loop = threading.get_ident()

    def mask(text: str) -> str:
        assert threading.get_ident() != loop
        masked.append(text)
        return text

    monkeypatch.setattr(event_search, "masked_text", mask)
    timeline = Timeline()
    reader: Any = type("Reader", (), {"events": staticmethod(timeline.events_of)})()
    words = " ".join(f"-error:q{number}" for number in range(20))
    found = await find_events(
        cast("JobIndexReader", reader), event_query({"q": words}, limit=EVENTS, cursor=None)
    )
    assert len(found.items) == EVENTS
    assert sorted(masked) == sorted(event.message for event in timeline.events)
