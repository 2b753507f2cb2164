"""Look-ups of names: short, and bounded by job type; one domain cannot use up a type's share."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from jobfleet_worker.outbound.refusals import LookupsBusy

NAME_SECONDS = 5.0
"""Looking up one name may take this long; a silent nameserver would take as long as it likes."""
LOOKUPS_PER_TYPE = 256
"""At once, of one job type. A look-up goes on when its call is cut off, so it outlasts calls."""

Found = list[ResolveResult]


class NameNotFound(OSError):
    """The addresses of a name could not be found; it says nothing of the host."""


class NameLookups:
    """Looks names up for all calls of a worker.

    Args:
        source: asks the nameservers.
    """

    def __init__(self, *, source: AbstractResolver) -> None:
        self._source = source
        self._under_way: dict[str, dict[asyncio.Task[Found], str]] = {}

    async def find(
        self, job_type: str, host: str, port: int, family: socket.AddressFamily
    ) -> Found:
        """Return the addresses of a name; a caller that is cancelled leaves the look-up behind.

        Raises:
            LookupsBusy: this look-up made room for another one of its job type.
            NameNotFound: the name is not known, or no nameserver answers in time.
        """
        under_way = self._under_way.setdefault(job_type, {})
        if len(under_way) >= LOOKUPS_PER_TYPE:
            _give_up_one(under_way)
        task = _start(under_way, _domain(host), self._find(host, port, family))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and caller.cancelling():
                raise
            busy = f"{LOOKUPS_PER_TYPE} names are being looked up for {job_type}"
            raise LookupsBusy(1, f"{busy}: {host} made room") from None

    async def _find(self, host: str, port: int, family: socket.AddressFamily) -> Found:
        try:
            async with asyncio.timeout(NAME_SECONDS):
                return await self._source.resolve(host, port, family)
        except TimeoutError:
            raise NameNotFound(
                f"no nameserver answered for {host} within {NAME_SECONDS:g} s"
            ) from None
        except (OSError, ValueError) as error:
            raise NameNotFound(f"the name {host} was not found: {_reason(error)}") from None


def _start(
    under_way: dict[asyncio.Task[Found], str], domain: str, find: Coroutine[Any, Any, Found]
) -> asyncio.Task[Found]:
    def ended(task: asyncio.Task[Found]) -> None:
        under_way.pop(task, None)
        if not task.cancelled():
            task.exception()  # else asyncio complains of one that no task awaits any more

    task = asyncio.create_task(find, name="name-lookup")
    under_way[task] = domain
    task.add_done_callback(ended)
    return task


def _give_up_one(under_way: dict[asyncio.Task[Found], str]) -> None:
    """Cancel the oldest look-up of the domain that has the most.

    A healthy nameserver has answered by then. Refusing the newcomer instead would let one
    submitter's silent names keep all other hosts from being called.
    """
    ((crowded, _),) = Counter(under_way.values()).most_common(1)
    oldest = next(task for task, domain in under_way.items() if domain == crowded)
    del under_way[oldest]
    oldest.cancel()


def _domain(host: str) -> str:
    """Return the last two labels of a name: one submitter hardly has many of these."""
    return ".".join(host.lower().rstrip(".").rsplit(".", 2)[-2:])


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
