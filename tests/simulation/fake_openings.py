"""Submits in one transaction, as on backends where trail, index and queue share a database."""

from __future__ import annotations

from datetime import timedelta

from jobfleet_contracts.transaction import Opening
from tests.simulation.fake_broker import Broker
from tests.simulation.fake_index import IndexTable
from tests.simulation.fake_trail import TrailTable
from tests.simulation.invented_release import encoded
from tests.simulation.wire import Wire


class FakeJobOpenings:
    """The port, as one process uses it."""

    def __init__(
        self,
        *,
        trail: TrailTable,
        index: IndexTable,
        broker: Broker,
        blobs: dict[str, bytes],
        wire: Wire,
    ) -> None:
        self._trail = trail
        self._index = index
        self._broker = broker
        self._blobs = blobs
        self._wire = wire

    async def write(self, opening: Opening) -> None:
        """Write all of it, or nothing if the job exists."""
        rows = [opening.stored]
        self._trail.sent(rows)

        def act() -> None:
            self._trail.insert(rows)
            self._trail.sign(rows, self._wire.process)
            self.write_beside(opening)

        await self._wire.write("openings.write", act, about=opening.event.job_id[-4:])

    def write_beside(self, opening: Opening) -> None:
        """Write what belongs to event 1."""
        self._index.made(opening.row, opening.event)
        if opening.data is not None:
            self._blobs.setdefault(*opening.data)
        if opening.message is None:
            return
        message = encoded(opening.message)
        if opening.delay_seconds > 0:
            self._broker.publish_later(message, timedelta(seconds=opening.delay_seconds))
        else:
            self._broker.publish(message)
