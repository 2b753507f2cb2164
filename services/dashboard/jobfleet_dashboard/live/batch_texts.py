"""Batches as server-sent events, written once for everybody who watches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from jobfleet_contracts.codec import encode
from jobfleet_contracts.event import Event
from jobfleet_contracts.index import TimelineEntry
from jobfleet_protocol.reading.masking_turns import in_turns, texts_of

_KEPT = 16


class BatchTexts:
    """Keeps the texts of the last batches, which listeners take at about the same time."""

    def __init__(self) -> None:
        self._kept: deque[tuple[Sequence[TimelineEntry], asyncio.Task[bytes]]] = deque(maxlen=_KEPT)

    async def of(self, batch: Sequence[TimelineEntry]) -> bytes:
        """Return the messages of a batch in one piece; listeners who come meanwhile share it."""
        text = next((text for known, text in self._kept if known is batch), None)
        if text is None:
            events = [(entry.event, entry.cursor) for entry in batch]
            text = asyncio.create_task(event_texts(events))
            self._kept.append((batch, text))
        return await asyncio.shield(text)


async def event_texts(events: Sequence[tuple[Event, str]]) -> bytes:
    """Return one message per event, whose id is the cursor to resume by."""
    return b"".join(await in_turns(_event_text, events, lambda each: texts_of(each[0])))


def _event_text(of: tuple[Event, str]) -> bytes:
    """JSON has no line breaks."""
    event, cursor = of
    return b"id: %b\r\ndata: %b\r\n\r\n" % (cursor.encode(), encode(event.to_json()))
