"""The dashboard's ``/metrics``."""

from __future__ import annotations

from jobfleet_contracts.backend import Backend
from jobfleet_contracts.request_counter import RequestCounter
from jobfleet_contracts.state import State
from jobfleet_dashboard.metrics import Metrics
from tests.dashboard.api.asgi_client import AsgiClient
from tests.promtool import check_metrics


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

    metrics = Metrics(queue=backend.queue, reader=Reader(), requests=None)  # type: ignore[arg-type]
    assert b"jobfleet_jobs_concurrent_waiting 7.0" in await metrics.text()


async def test_storage_requests_and_jobs_ended_by_callbacks_are_counted(backend: Backend) -> None:
    requests = RequestCounter()
    requests.count("index.query", "unavailable")
    metrics = Metrics(queue=backend.queue, reader=backend.reader, requests=requests)
    for state in (State.COMPLETED, State.FAILED, State.TIMED_OUT, State.CANCELLED):
        metrics.job_ended(state)
    text = await metrics.text()
    assert b'{operation="index.query",result="unavailable"} 1.0' in text
    assert b"jobfleet_jobs_completed_total 1.0" in text
    assert b'jobfleet_jobs_failed_total{reason="third_party"} 1.0' in text
    check_metrics(text)
