"""What becomes of each request: drawn by seed, until the world heals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import Enum
from random import Random
from types import MappingProxyType
from typing import NamedTuple

from tests.simulation.process import Process
from tests.simulation.scenario import Scenario
from tests.simulation.virtual_time import VirtualTime

LATEST_SECONDS = 30.0
"""A storage write that timed out may be carried out so much later (Azure's server timeout)."""

RECONNECT_SECONDS = 30.0


class OwnError(Exception):
    """Stands for a mistake in the code of the worker."""


class Breakage(Enum):
    """What may stay broken at a worker for good."""

    NO_STORAGE = "storage"
    NO_BROKER = "broker"
    EVERY_OTHER_REQUEST = "requests"
    STANDS_STILL = "stands still"
    GONE = "gone"


class Fate(NamedTuple):
    """What becomes of one request.

    Attributes:
        arrivals: when copies of it are carried out, in seconds from now.
        answer: which arrival is answered; -1: none, the caller sees an error.
        reply: seconds from that arrival, or from now, to the reply or the error.
        crash: the caller vanishes ``before`` it is sent or ``after`` it was.
        stall: seconds for which the caller stands still before it is sent.
    """

    kind: str
    arrivals: tuple[float, ...]
    answer: int
    reply: float
    crash: str = ""
    stall: float = 0.0


class Faults:
    """Draws fates; faults end when it is told to be calm.

    Attributes:
        met: how many requests had which kind of fate.
    """

    def __init__(self, *, scenario: Scenario, time: VirtualTime) -> None:
        self._scenario = scenario
        self._time = time
        # This text is part of the seed: with another one every seed of a bug finds another run.
        self._dice = Random(f"weather/{scenario.seed}")
        self._own_errors = Random(f"own errors at work/{scenario.seed}")
        self._kinds = tuple(scenario.weights)
        self._shares = tuple(scenario.weights.values())
        self._blow = scenario.fault_rate + scenario.crash_rate + scenario.stall_rate
        self._outages: dict[tuple[str, str], float] = {}
        self.is_calm = False
        self.met: Counter[str] = Counter()
        self.broken: Mapping[str, Breakage] = {}

    def calm(self, broken: Mapping[str, Breakage] = MappingProxyType({})) -> None:
        """No more faults, crashes, stalls or outages from now on, but for what stays broken."""
        self.is_calm = True
        self.broken = broken
        self._outages.clear()

    def own_error(self, process: Process) -> bool:
        """Draw whether a worker meets an error of its own now."""
        if self.is_calm or process.worker is None or not self._scenario.own_errors:
            return False
        return self._own_errors.random() < self._scenario.own_errors

    def sleeps(self, process: Process, seconds: float) -> None:
        """Let a process that stands still so long find its connection to the broker closed."""
        if self._scenario.stale_connections and not self.is_calm:
            place = process.name.partition(".")[0]
            self.cut_off(place, "broker", seconds + RECONNECT_SECONDS * self._dice.random())

    def cut_off(self, who: str, service: str, seconds: float) -> None:
        """Let nothing of a process, or of all (``*``), reach a service for a while."""
        self._outages[who, service] = self._time.now + seconds

    def fate(self, process: Process, service: str, *, writes: bool, hasty: bool) -> Fate:
        """Draw what becomes of a request.

        Args:
            hasty: the caller's time limits are short (renewals: 4 s in all).
        """
        dice = self._dice
        latency = 0.002 + 0.02 * dice.random()
        if self.is_calm:
            broken = self.broken.get(process.name.partition(".")[0]) if self.broken else None
            if broken is Breakage.EVERY_OTHER_REQUEST and dice.random() < 0.5:
                return self._fault(latency, writes=writes, patience=3.0 if hasty else 10.0)
            if broken is not None and broken.value == service:
                return self._error("cut off", (), patience=3.0 if hasty else 10.0)
            return Fate("ok", (latency,), 0, latency)
        if self._outages and self._is_cut_off(process, service):
            return self._error("cut off", (), patience=3.0 if hasty else 10.0)
        draw = dice.random()
        if draw >= self._blow:
            return Fate("ok", (latency,), 0, latency)
        if draw < self._scenario.fault_rate:
            return self._fault(latency, writes=writes, patience=3.0 if hasty else 10.0)
        if draw < self._scenario.fault_rate + self._scenario.crash_rate:
            return Fate("crash", (latency,), 0, latency, crash=dice.choice(("before", "after")))
        stall = self._scenario.lease_seconds * dice.choice((0.5, 0.9, 1.05, 1.3, 1.6, 2.5))
        return Fate("stall", (latency,), 0, latency, stall=stall)

    def _is_cut_off(self, process: Process, service: str) -> bool:
        who = process.name.partition(".")[0]
        ends = max(self._outages.get((name, service), 0.0) for name in ("*", who))
        return ends > self._time.now

    def _fault(self, latency: float, *, writes: bool, patience: float) -> Fate:
        dice = self._dice
        kind = dice.choices(self._kinds, self._shares)[0]
        if kind == "slow":
            there, back = dice.random() * patience, dice.random() * patience
            if there + back <= patience:
                return Fate(kind, (there,), 0, back)
            return self._error("slow, given up", (there,), patience=patience)
        if kind == "lost before" or not writes:
            return self._error("lost before", (), patience=patience)
        if kind == "lost after":
            return self._error(kind, (latency,), patience=patience)
        if kind == "late":
            return self._error(kind, (dice.random() * LATEST_SECONDS,), patience=patience)
        if kind == "twice":
            return Fate(kind, (latency, latency + dice.random()), 1, latency)
        return Fate(kind, (latency, latency + dice.random() * LATEST_SECONDS), 0, latency)

    def _error(self, kind: str, arrivals: tuple[float, ...], *, patience: float) -> Fate:
        quick = self._dice.random() < 0.5
        return Fate(kind, arrivals, -1, 0.05 if quick else patience * self._dice.random())
