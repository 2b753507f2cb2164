"""A handler may name a queue that its worker does not serve: the worker says so when it starts."""

from structlog.testing import capture_logs

from jobfleet_worker import handler
from jobfleet_worker.worker import QUEUE_NOT_SERVED
from tests.worker.workshop import Workshop


@handler("report.make", queue="reports")
async def make() -> None: ...


@handler("mail.send", queue="mail", aliases=["mail.old"])
async def send() -> None: ...


@handler("row.count")
async def count() -> None: ...


async def test_a_worker_names_each_handler_whose_queue_it_does_not_serve(
    workshop: Workshop,
) -> None:
    with capture_logs() as lines:
        running = workshop.start_worker(make, send, count, queues=("default", "mail"))
        await running.worker.has_started.wait()
    (warning,) = [line for line in lines if line["event"] == QUEUE_NOT_SERVED]
    assert (warning["log_level"], warning["type"]) == ("warning", "report.make")
    assert (warning["queue"], warning["queues"]) == ("reports", ("default", "mail"))
    assert "--queues default,mail,reports" in warning["remedy"]


async def test_a_worker_that_serves_the_queues_of_its_handlers_says_nothing(
    workshop: Workshop,
) -> None:
    with capture_logs() as lines:
        running = workshop.start_worker(make, count, queues=("default", "reports"))
        await running.worker.has_started.wait()
    assert QUEUE_NOT_SERVED not in [line["event"] for line in lines]
