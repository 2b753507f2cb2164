"""Handlers to copy. Run them with ``jobfleet worker --handlers handlers``."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pydantic import BaseModel, Field

from jobfleet_worker import BlockingJobContext, Defer, Fail, JobContext, Retry, handler


class Letter(BaseModel):
    """A payload is checked before the handler runs; what does not fit fails the job."""

    to: list[str]
    pause_seconds: float = Field(default=0.2, ge=0)


@handler("letters.send", max_attempts=5, timeout=600)
async def send_letters(payload: Letter, context: JobContext) -> dict[str, int]:
    """Go on behind the last letter that an earlier attempt sent."""
    sent_before: int = context.last_checkpoint or 0
    for number, _address in enumerate(payload.to[sent_before:], start=sent_before + 1):
        await asyncio.sleep(payload.pause_seconds)  # here the letter would go out
        await context.checkpoint(number)
        await context.progress(number, len(payload.to), f"letter {number} sent")
    return {"sent": len(payload.to), "sent_before": sent_before}


@dataclass
class Visit:
    """Dataclasses do as well, and so does plain JSON."""

    address: str
    answer: str = "ok"


@handler("visit")
def visit(payload: Visit, context: BlockingJobContext) -> str:
    """Choose how the attempt ends; a plain function runs in a thread and may block."""
    match payload.answer:
        case "busy":
            raise Defer(5, "the line is busy")  # later, no attempt used
        case "error" if context.attempt == 1:
            raise Retry("try again", after=1)  # the next attempt, after 1 s
        case "gone":
            raise Fail("nobody lives there any more")  # no more attempts
    return f"visited {payload.address}"


@handler("primes.count", run_in="process")
def count_primes(payload: int) -> int:
    """Compute in a process of the worker's, which a cancellation or the time limit kills."""
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, payload))
