"""``demo.steps``: counts to ``steps``, and fails on request; to see a fleet at work."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from jobfleet_worker.handlers.context import JobContext
from jobfleet_worker.handlers.declaration import handler


class DemoSteps(BaseModel):
    """How many steps of how many seconds, and on how many attempts the middle one raises."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    steps: int = Field(default=10, ge=1, le=10_000)
    step_seconds: float = Field(default=5, ge=0, le=3600)
    fail_attempts: int = Field(default=0, ge=0, le=100)
    message: str = ""


class DemoFailure(Exception):
    """Raised on purpose at the middle step."""


@handler("demo.steps")
async def demo_steps(payload: DemoSteps | None, context: JobContext) -> dict[str, int]:
    """Report each step; raise at the middle one on the first ``failAttempts`` attempts."""
    plan = payload or DemoSteps()
    for step in range(1, plan.steps + 1):
        if context.attempt <= plan.fail_attempts and step == (plan.steps + 1) // 2:
            raise DemoFailure(f"failed on purpose at step {step} of attempt {context.attempt}")
        await asyncio.sleep(plan.step_seconds)
        await context.progress(step, plan.steps, plan.message)
    return {"steps": plan.steps}
