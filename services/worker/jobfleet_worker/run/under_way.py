"""Which messages that this worker has put off lie in a delay queue still."""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass
from datetime import timedelta

from jobfleet_contracts.codec import encode
from jobfleet_contracts.delay_steps import delay_step
from jobfleet_contracts.job import JobRequest
from jobfleet_contracts.message import JobMessage

MOST_PUT_OFF = 10_000
"""Messages. Of more, the one that comes back first is forgotten; its copies are then sent too."""
Place = tuple[str, str, str, int | None]
"""Job id, type, queue and priority: a forged message in another queue says nothing of this one."""


@dataclass(frozen=True, slots=True)
class _PutOff:
    """Boot-time seconds until which the message is away for certain, and when it is due.

    Attributes:
        sequence: the newest event that its sender knew; ``None``: it came from a foreign publisher.
        digest: SHA-256 of a foreign message's request. The request itself can have megabytes.
    """

    sequence: int | None
    digest: bytes | None
    away_until: float
    due: float

    def says_as_much_as(self, message: JobMessage) -> bool:
        if message.sequence is None:
            # Its job may have no event 1, and a message with another body may be refused as such.
            return self.sequence is None and self.digest == _digest(message.request)
        return self.sequence is not None and self.sequence >= message.sequence


class UnderWay:
    """Remembers one message of each job, until it may have come back.

    Without this, a second message of a job would go from delay to delay beside the first as long as
    the job cannot start. Each round costs requests. Such copies come from redeliveries, lost
    answers of the broker and the rescuer.
    """

    def __init__(self) -> None:
        self._put_off: dict[Place, _PutOff] = {}
        self._ends: list[tuple[float, Place]] = []

    def covers(self, message: JobMessage, delay: timedelta, *, now: float) -> bool:
        """Whether another message of the job does all that this one would do after the delay.

        It is away for certain, knows no older event, and is due no later. So with each message
        that is dropped for it, one of the job is left.
        """
        other = self._put_off.get(_place(message))
        return (
            other is not None
            and now < other.away_until
            and other.says_as_much_as(message)
            and other.due <= now + delay.total_seconds()
        )

    def add(self, message: JobMessage, delay: timedelta, *, since: float) -> None:
        """Remember a message that the broker has confirmed.

        Args:
            since: boot-time seconds before it was sent: from then on the broker's delay counts
                at the earliest.
        """
        while self._ends and (self._ends[0][0] <= since or len(self._ends) >= MOST_PUT_OFF):
            until, place = heapq.heappop(self._ends)
            if place in self._put_off and self._put_off[place].away_until <= until:
                del self._put_off[place]
        seconds = delay.total_seconds()
        # The broker takes the step below the delay: by then the message may be elsewhere.
        away_until = since + min(seconds, delay_step(delay))
        place = _place(message)
        digest = _digest(message.request) if message.sequence is None else None
        self._put_off[place] = _PutOff(message.sequence, digest, away_until, since + seconds)
        heapq.heappush(self._ends, (away_until, place))


def _digest(request: JobRequest) -> bytes:
    return hashlib.sha256(encode(request.to_json())).digest()


def _place(message: JobMessage) -> Place:
    request = message.request
    return request.job_id, request.type, request.queue, request.priority
