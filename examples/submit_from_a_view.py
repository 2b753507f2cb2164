"""Submit from code without an event loop, as a Django or Flask view does.

One publisher serves all threads of a process. A server that forks starts it after the fork.
"""

from __future__ import annotations

from jobfleet_publisher.sync import Publisher

publisher = Publisher.from_env()


def order_placed(order_id: int) -> str:
    """Submitting twice with one key makes one job, so a repeated request does no harm."""
    publisher.start()
    job = publisher.submit(
        "visit", {"address": f"order {order_id}"}, idempotency_key=f"order-{order_id}"
    )
    return job.job_id


if __name__ == "__main__":
    print(order_placed(42))  # noqa: T201
    publisher.stop()
