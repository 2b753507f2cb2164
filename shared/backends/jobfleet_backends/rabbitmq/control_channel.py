"""Hints to all workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.outgoing import Outgoing
from jobfleet_backends.rabbitmq.subscription import Subscription
from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.control import ControlSubject
from jobfleet_contracts.errors import InvalidRequest

_SUBJECTS = frozenset(subject.value for subject in ControlSubject)
MOST_BYTES = 1000
"""Limit of an announcement; an id and a name of 100 characters need a quarter of it."""


class RabbitControlChannel:
    """Sends to and listens on the control exchange.

    Message bodies: ``{"cancel": "<job id>"}`` and ``{"changed": ["<subject>", "<name>"]}``.
    """

    def __init__(self, *, rabbitmq: RabbitMQ) -> None:
        self._rabbitmq = rabbitmq

    async def send_cancel(self, job_id: str) -> None:
        """Tell every worker that listens now.

        Raises:
            BackendUnavailable: the broker did not confirm within 3 s.
        """
        await self._send({"cancel": job_id})

    async def cancels(self) -> AsyncIterator[str]:
        """Yield job ids as requests come; ends when the backend is closed."""
        async for body in self._bodies():
            if isinstance(job_id := body.get("cancel"), str):
                yield job_id

    async def announce_change(self, subject: ControlSubject, name: str) -> None:
        """Tell every worker that listens now.

        Raises:
            BackendUnavailable: the broker did not confirm within 3 s.
        """
        await self._send({"changed": [subject.value, name]})

    async def changes(self) -> AsyncIterator[tuple[ControlSubject, str]]:
        """Yield subject and name as changes come; ends when the backend is closed."""
        async for body in self._bodies():
            match body.get("changed"):
                case [str(subject), str(name)] if subject in _SUBJECTS:
                    yield ControlSubject(subject), name

    async def _send(self, body: dict[str, Any]) -> None:
        message = Outgoing(body=encode(body), persistent=False)
        route = self._rabbitmq.topology.to_control()
        sending = self._rabbitmq.sender.send(message, route, mandatory=False)
        await self._rabbitmq.at_home(sending)

    async def _bodies(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what can be read; any user of the broker may send to the exchange."""
        route = self._rabbitmq.topology.to_control()
        bodies = Subscription(rabbitmq=self._rabbitmq, route=route, most_bytes=MOST_BYTES).bodies()
        async for body in bodies:
            try:
                fields = decode(body)
            except InvalidRequest:
                continue
            if isinstance(fields, dict):
                yield fields
