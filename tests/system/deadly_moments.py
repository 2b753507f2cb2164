"""Loaded as a worker's handlers: ends its process at the moment that DEADLY_MOMENT names."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobfleet_contracts.event import Event
from jobfleet_protocol.trail.trail_writer import TrailWriter
from jobfleet_worker import BlockingJobContext, handler
from jobfleet_worker.run.consumer import Consumer

DEADLY_EXIT = 9
MOMENTS = ("claim", "open row", "effect", "ending")
_MOMENT = os.environ.get("DEADLY_MOMENT")
_copy = TrailWriter._copy


@handler("deadly.work")
def work(payload: str, context: BlockingJobContext) -> None:
    """Has an effect elsewhere: a line in a file."""
    with Path(payload).open("a") as target:
        target.write(f"{context.idempotency_key}\n")
    if _MOMENT == "open row":
        time.sleep(5)  # the acknowledgement comes first
    if _MOMENT == "effect":
        os._exit(DEADLY_EXIT)


def _copy_or_die(self: TrailWriter, events: Sequence[Event]) -> None:
    """Between an event and its copy in the index."""
    deadly = {"claim": "Started", "ending": "Completed"}.get(_MOMENT or "")
    if events[-1].status == deadly:
        os._exit(DEADLY_EXIT)
    _copy(self, events)


async def _die(self: Consumer, *_: Any) -> None:
    """Between the open row and the acknowledgement."""
    os._exit(DEADLY_EXIT)


if _MOMENT is not None:
    TrailWriter._copy = _copy_or_die  # type: ignore[method-assign]
if _MOMENT == "open row":
    Consumer._acknowledge = _die  # type: ignore[method-assign, assignment]
