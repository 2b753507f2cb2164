"""The handler of the orders that docs/postgresql.md places."""

from __future__ import annotations

from jobfleet_worker import handler


@handler("order.confirm")
async def confirm(payload: dict[str, int]) -> int:
    return payload["order"]
