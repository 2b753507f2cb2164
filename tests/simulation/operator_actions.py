"""Blows to whole processes and servers, one every few seconds until the world heals."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.simulation.faults import Faults
from tests.simulation.fleet import Fleet
from tests.simulation.journal import Journal
from tests.simulation.scenario import Scenario
from tests.simulation.servers import Servers
from tests.simulation.virtual_time import VirtualTime


class OperatorActions:
    """Draws blows by seed."""

    def __init__(
        self,
        *,
        scenario: Scenario,
        time: VirtualTime,
        faults: Faults,
        servers: Servers,
        fleet: Fleet,
        journal: Journal,
    ) -> None:
        self._scenario = scenario
        self._time = time
        self._faults = faults
        self._servers = servers
        self._fleet = fleet
        self._journal = journal
        # This text is part of the seed: with another one every seed of a bug finds another run.
        self._dice = Random(f"mischief/{scenario.seed}")
        self._blows: tuple[Callable[[], None], ...] = (
            self._crash,
            self._crash,
            self._pause,
            self._pause,
            self._pause,
            self._block,
            self._terminate,
            self._cut_off,
            self._lose_connection,
            self._bring_old_message,
            self._bring_old_message,
        )

    def begin(self) -> None:
        """Strike from now on."""
        if self._scenario.clock_steps:
            self._set_clocks()
        self._time.after(
            self._dice.expovariate(1 / self._scenario.operator_action_seconds), self._strike
        )

    def _strike(self) -> None:
        if self._faults.is_calm:
            return
        blow = self._dice.choice(self._blows)
        self._journal.note("operator_actions", blow.__name__.lstrip("_"))
        blow()
        self.begin()

    def _crash(self) -> None:
        self._dice.choice(self._fleet.processes()).crash()

    def _pause(self) -> None:
        process = self._dice.choice(self._fleet.processes())
        lease = self._scenario.lease_seconds
        seconds = lease * self._dice.choice((0.3, 0.7, 1.0, 1.2, 2, 4))
        process.pause(seconds, lag=self._dice.choice((0, 0, 0.3)))

    def _block(self) -> None:
        process = self._dice.choice(self._fleet.processes())
        process.block(self._scenario.lease_seconds * self._dice.choice((0.5, 1.5)))

    def _terminate(self) -> None:
        process = self._dice.choice(list(self._fleet.workers.values()))
        if process.worker is not None and process.is_alive:
            process.worker.request_stop()

    def _cut_off(self) -> None:
        place = self._dice.choice(("*", *self._fleet.workers, *self._fleet.apis))
        service = self._dice.choice(("storage", "broker"))
        self._faults.cut_off(place, service, self._dice.choice((1, 5, 20, 40)))

    def _lose_connection(self) -> None:
        consumers = self._servers.broker.consumers()
        if consumers:
            self._servers.broker.lose_connection(self._dice.choice(consumers))

    def _bring_old_message(self) -> None:
        if self._servers.broker.ever:
            self._servers.broker.publish(self._dice.choice(self._servers.broker.ever))

    def _set_clocks(self) -> None:
        """A machine's wall clock is set; processes started later show it."""
        place = self._dice.choice((*self._fleet.workers, *self._fleet.apis))
        self._fleet.wall_offsets[place] = self._dice.choice((-600.0, -30.0, 0.0, 30.0, 600.0))
