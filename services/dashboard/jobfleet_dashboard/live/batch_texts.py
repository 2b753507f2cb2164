"""Batches as server-sent events, written once for everybody who watches."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from jobfleet_contracts.codec import encode
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import TimelineEntry

_KEPT = 16


class BatchTexts:
    """Keeps the texts of the last batches, which listeners take at about the same time."""

    def __init__(self) -> None:
        self._kept: deque[tuple[Sequence[TimelineEntry], bytes]] = deque(maxlen=_KEPT)

    def of(self, batch: Sequence[TimelineEntry]) -> bytes:
        """Return the messages of a batch in one piece."""
        for known, text in self._kept:
            if known is batch:
                return text
        text = b"".join(event_text(entry.event, entry.cursor) for entry in batch)
        self._kept.append((batch, text))
        return text


def event_text(event: Event, cursor: str) -> bytes:
    """Return one message, whose id is the cursor to resume by; JSON has no line breaks."""
    return b"id: %b\r\ndata: %b\r\n\r\n" % (cursor.encode(), encode(event.to_json()))
