"""The dashboard's ``/metrics``."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.request_counter import RequestCounter
from jobfleet_contracts.schedule import Schedule
from jobfleet_contracts.state import State
from jobfleet_dashboard.metrics import MOST_LATE, Metrics
from jobfleet_dashboard.services import Services
from jobfleet_protocol.control.schedules import Schedules
from tests.dashboard.api.asgi_client import AsgiClient
from tests.dashboard.api.conftest import options_with
from tests.dashboard.jumping_clock import JumpingClock
from tests.promtool import check_metrics


class LaterClock(JumpingClock):
    """Shows a later time of day after a jump."""

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._jumped)


def metrics_of(backend: Backend) -> Metrics:
    services = Services.wire(backend=backend, clock=SystemClock(), options=options_with())
    return services.metrics


async def test_promtool_finds_nothing_in_the_page(client: AsgiClient) -> None:
    text = (await client.get("/metrics")).body
    for name in ("jobs_registered_total", "jobs_concurrent_waiting", "queue_depth"):
        assert f"# TYPE jobfleet_{name} ".encode() in text, name
    assert b"process_cpu_seconds_total" in text
    check_metrics(text)


async def test_jobs_that_wait_for_a_callback_are_shown(backend: Backend) -> None:
    class Reader:
        async def counts(self) -> dict[State, int]:
            return {State.WAITING: 7}

    metrics = metrics_of(replace(backend, reader=Reader()))  # type: ignore[arg-type]
    assert b"jobfleet_jobs_concurrent_waiting 7.0" in await metrics.text()


async def test_storage_requests_and_jobs_ended_by_callbacks_are_counted(backend: Backend) -> None:
    requests = RequestCounter()
    requests.count("index.query", "unavailable")
    metrics = metrics_of(replace(backend, requests=requests))
    for state in (State.COMPLETED, State.FAILED, State.TIMED_OUT, State.CANCELLED):
        metrics.job_ended(state)
    text = await metrics.text()
    assert b'{operation="index.query",result="unavailable"} 1.0' in text
    assert b'jobfleet_jobs_completed_total{type="external.call"} 1.0' in text
    assert b'jobfleet_jobs_failed_total{reason="third_party",type="external.call"} 1.0' in text
    check_metrics(text)


async def test_schedules_that_nobody_fires_are_late_the_latest_twenty(backend: Backend) -> None:
    clock = LaterClock()
    services = Services.wire(backend=backend, clock=clock, options=options_with())
    schedules: Schedules = services.schedules
    for number in range(MOST_LATE + 5):
        every = timedelta(seconds=10 + number)
        await schedules.declare(Schedule(name=f"s{number}", type="x", every=every), by="me")
    assert b"schedule_late_seconds{" not in await services.metrics.text()
    await schedules.pause("s0", by="me")
    clock.jump()
    text = (await services.metrics.text()).decode()
    late = [line for line in text.splitlines() if line.startswith("jobfleet_schedule_late")]
    assert len(late) == MOST_LATE
    assert not any('"s0"' in line for line in late)
    assert any('"s1"' in line for line in late)
    check_metrics(text.encode())
