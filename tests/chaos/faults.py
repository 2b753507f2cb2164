"""What is done to the fleet, one thing every few seconds, in an order that the seed decides."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from random import Random

from tests.chaos.processes import Processes
from tests.chaos.proxied_servers import Proxied
from tests.system.fleet import LEASE_SECONDS

PAUSE_SECONDS = (2.0, 5.0)
ASLEEP_SECONDS = (LEASE_SECONDS + 1, LEASE_SECONDS + 10)
STALL_SECONDS = (1.0, 10.0)
MOST_ASLEEP = 2

Fault = Callable[[], Awaitable[bool]]


class Faults:
    """Deals faults from a shuffled deck, so that a short run sees every kind.

    A fault that lasts, as a sleep or a restart, goes on beside the next ones.

    Attributes:
        done: how many of each kind took place.
    """

    def __init__(self, *, processes: Processes, servers: Proxied | None, random: Random) -> None:
        self._processes = processes
        self._servers = servers
        self._random = random
        self._restarting = False
        self._lasting: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()

    async def run(self, seconds: float) -> None:
        """Do something every few seconds, then heal everything."""
        deck: list[str] = []
        kinds = self._kinds()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            if not deck:
                deck = [*kinds, *(kind for kind in ("kill", "sleep", "term") if kind in kinds)]
                self._random.shuffle(deck)
            kind = deck.pop()
            if await kinds[kind]():
                self.done[kind] += 1
            await asyncio.sleep(self._random.uniform(*PAUSE_SECONDS))
        await asyncio.gather(*self._lasting)

    def _kinds(self) -> Mapping[str, Fault]:
        processes = {"kill": self._kill, "sleep": self._sleep, "term": self._term}
        if self._servers is None:
            return processes
        broker, storage = self._servers.names
        return processes | {
            f"{broker} restart": self._restart_broker,
            f"{broker} cut": self._cut_broker,
            f"{storage} cut": self._cut_storage,
            f"{storage} stall": self._stall_storage,
        }

    async def _kill(self) -> bool:
        worker = self._processes.pick()
        if worker is not None:
            self._processes.kill(worker)
        return worker is not None

    async def _term(self) -> bool:
        worker = self._processes.pick()
        if worker is not None:
            self._processes.terminate(worker)
        return worker is not None

    async def _sleep(self) -> bool:
        worker = self._processes.pick()
        if worker is None or self._processes.sleepers >= MOST_ASLEEP:
            return False
        self._last("sleep", self._processes.sleep(worker, self._random.uniform(*ASLEEP_SECONDS)))
        return True

    async def _restart_broker(self) -> bool:
        if self._restarting:
            return False
        self._last("broker restart", self._restart(killed=self._random.random() < 0.5))
        return True

    async def _restart(self, *, killed: bool) -> None:
        server = self._behind.crashing
        self._restarting = True
        await asyncio.to_thread(server.kill if killed else server.stop)
        await asyncio.to_thread(server.start)
        self._restarting = False

    async def _cut_broker(self) -> bool:
        self._behind.broker.cut()
        return True

    async def _cut_storage(self) -> bool:
        for proxy in self._behind.storage.values():
            proxy.cut()
        return True

    async def _stall_storage(self) -> bool:
        self._last("storage stall", self._stall(self._random.uniform(*STALL_SECONDS)))
        return True

    async def _stall(self, seconds: float) -> None:
        for proxy in self._behind.storage.values():
            proxy.stall()
        await asyncio.sleep(seconds)
        for proxy in self._behind.storage.values():
            proxy.resume()

    @property
    def _behind(self) -> Proxied:
        assert self._servers is not None, "this fleet has no servers"
        return self._servers

    def _last(self, name: str, fault: Awaitable[None]) -> None:
        task = asyncio.ensure_future(fault)
        task.add_done_callback(self._lasting.discard)
        self._lasting.add(task)
