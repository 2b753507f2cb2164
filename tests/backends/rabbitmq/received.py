"""A delivery as the client library hands it over."""

from typing import Any

from aiormq import spec
from aiormq.abc import DeliveredMessage
from pamqp.header import ContentHeader


def received(body: bytes, *, headers: dict[str, Any], message_id: str | None = None) -> Any:
    properties = spec.Basic.Properties(headers=headers, message_id=message_id)
    return DeliveredMessage(
        delivery=spec.Basic.Deliver("tag", 1, False, "jobs", "default.normal"),
        header=ContentHeader(body_size=len(body), properties=properties),
        body=body,
        channel=None,  # type: ignore[arg-type]
    )
