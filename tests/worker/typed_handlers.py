"""Handlers whose submits are typed; test_typed_submit.py runs and type-checks them."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from jobfleet_worker import BlockingJobContext, JobContext, handler, provide


class ImportPayload(BaseModel):
    path: str
    rows: int = Field(default=1, ge=1)


@dataclass
class ImportResult:
    path: str
    rows: int


class Session:
    """Provided."""


@handler("typed.import", max_attempts=7, timeout=99, queue="imports")
async def import_rows(payload: ImportPayload, context: JobContext) -> ImportResult:
    """Return what was asked for."""
    return ImportResult(payload.path, payload.rows)


@handler("typed.sum")
def add(payload: list[int]) -> int:
    return sum(payload)


@handler("typed.twice")
async def twice(payload: int, context: JobContext) -> int:
    """Submit another job and wait for it."""
    job = await add.submit([payload, payload])
    return await job.wait(timeout=30)


@handler("typed.thrice")
def thrice(payload: int, context: BlockingJobContext) -> int:
    """Submit another job from a thread and wait for it."""
    return add.submit_sync([payload, payload, payload]).wait(timeout=30)


@handler("typed.fourfold", run_in="process")
def fourfold(payload: int) -> int:
    """Submit another job from a process of its own and wait for it."""
    return add.submit_sync([payload] * 4).wait(timeout=30)


@handler("typed.nothing")
async def nothing(context: JobContext) -> str:
    return context.job.type


@handler("typed.anything")
async def anything(payload: Any, context: JobContext) -> Any:
    return payload


@provide
def session() -> Session:
    """Make one for each attempt."""
    return Session()


@handler("typed.session")
def with_session(payload: ImportPayload, session: Session) -> int:
    return payload.rows
