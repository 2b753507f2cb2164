"""What is unusual about a schedule, in whole sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jobfleet_contracts.credentials import masked_text
from jobfleet_dashboard.views.short_id import short
from jobfleet_dashboard.views.text_span import Sentence, TextSpan, plain
from jobfleet_protocol.control.schedule_state import CODE
from jobfleet_protocol.reading.schedule_record import ScheduleRecord

_DIGEST = 12


@dataclass(frozen=True, slots=True)
class Note:
    """What is unusual: in a few words for the list, and as sentences with the remedy."""

    short: str
    sentence: Sentence

    @property
    def text(self) -> str:
        """The sentences without links."""
        return plain(self.sentence)


def schedule_notes(record: ScheduleRecord) -> tuple[Note, ...]:
    """Return what is unusual about a schedule; nothing where all is well."""
    return tuple(_notes(record))


def _notes(record: ScheduleRecord) -> Iterator[Note]:
    state = record.state
    if state is None:
        text = f"Its newest entry cannot be read: {record.error}. It fires nothing."
        yield _note("cannot be read", text)
        return
    if not record.handled:
        yield _note(
            "no worker for its type",
            f"No live worker handles the type {state.schedule.job['type']}, so its jobs would "
            "wait. Start a worker with that handler.",
        )
    if record.refused is not None:
        yield _note(
            "payload refused",
            f"The handler of {state.schedule.job['type']} refuses its payload: "
            f"{masked_text(record.refused)}. Its jobs would fail. Declare it with a payload that "
            "the handler takes.",
        )
    if len(record.contents) > 1:
        yield Note("declared in two ways", tuple(_contents(record)))
    if record.is_forgotten:
        yield _note(
            "no longer in code",
            "The code of no live worker declares it any more. It still runs until it is removed.",
        )
    if record.differs_from_code and state.declared_by != CODE:
        yield _note(
            "differs from the code",
            f"It differs from the code: {state.declared_by} changed it. "
            "The change stands until the code declares something new.",
        )


def _note(words: str, text: str) -> Note:
    return Note(words, (TextSpan(text),))


def _contents(record: ScheduleRecord) -> Iterator[TextSpan]:
    """Name each content with the workers whose code declares it; their ids are links."""
    yield TextSpan("Live workers declare it differently: ")
    for number, (digest, workers) in enumerate(sorted(record.contents.items())):
        yield TextSpan(f"{'; ' if number else ''}{digest[:_DIGEST]} by ")
        for place, worker_id in enumerate(workers):
            if place:
                yield TextSpan(", ")
            yield TextSpan(short(worker_id), href=f"/workers/{worker_id}")
    yield TextSpan(". The newest is in force. Deploy one content, or use two names.")
