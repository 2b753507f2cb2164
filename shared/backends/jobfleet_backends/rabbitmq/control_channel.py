"""Cancel requests to all workers."""

from __future__ import annotations

from collections.abc import AsyncIterator

from jobfleet_backends.rabbitmq.connection import RabbitMQ
from jobfleet_backends.rabbitmq.outgoing import Outgoing
from jobfleet_backends.rabbitmq.subscription import Subscription
from jobfleet_contracts.codec import decode, encode
from jobfleet_contracts.errors import InvalidRequest


class RabbitControlChannel:
    """Sends to and listens on the control exchange; message body ``{"cancel": "<job id>"}``."""

    def __init__(self, *, rabbitmq: RabbitMQ) -> None:
        self._rabbitmq = rabbitmq

    async def send_cancel(self, job_id: str) -> None:
        """Tell every worker that listens now.

        Raises:
            BackendUnavailable: the broker did not confirm within 3 s.
        """
        message = Outgoing(body=encode({"cancel": job_id}), persistent=False)
        route = self._rabbitmq.topology.to_control()
        sending = self._rabbitmq.sender.send(message, route, mandatory=False)
        await self._rabbitmq.at_home(sending)

    async def cancels(self) -> AsyncIterator[str]:
        """Yield job ids as requests come; ends when the backend is closed."""
        route = self._rabbitmq.topology.to_control()
        async for body in Subscription(rabbitmq=self._rabbitmq, route=route).bodies():
            job_id = _job_id(body)
            if job_id is not None:
                yield job_id


def _job_id(body: bytes) -> str | None:
    try:
        said = decode(body)
    except InvalidRequest:
        return None
    job_id = said.get("cancel") if isinstance(said, dict) else None
    return job_id if isinstance(job_id, str) else None
