"""One circuit per target host: opens after failures in a row, then lets one call probe.

Own code: purgatory and circuitbreaker let every call through at once when half open, and the
first counts its time on the wall clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum

import structlog

from jobfleet_worker.outbound.refusals import CircuitOpen

CIRCUIT_OPENED = "circuit.opened"
CIRCUIT_CLOSED = "circuit.closed"
MAX_CIRCUITS = 10_000
_PROBE_SECONDS = 1.0

_log = structlog.get_logger()


class CircuitState(Enum):
    """Value of ``jobfleet_circuit_state``."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class _Circuit:
    def __init__(self) -> None:
        self.failures = 0
        self.open_until: float | None = None
        self.probing_until: float | None = None


class CircuitBreaker:
    """Counts what becomes of calls, host by host.

    Args:
        failures: in a row, that open a circuit.
        open_seconds: before one call may probe.
        probe_seconds: how long others wait for it; a job may let its own call last for an hour.
        boottime: seconds on a clock that only moves forward.
    """

    def __init__(
        self,
        *,
        failures: int,
        open_seconds: float,
        probe_seconds: float,
        boottime: Callable[[], float],
    ) -> None:
        self._failures = failures
        self._open_seconds = open_seconds
        self._probe_seconds = probe_seconds
        self._boottime = boottime
        self._circuits: dict[str, _Circuit] = {}

    @contextmanager
    def call(self, host: str) -> Iterator[Callable[[bool], None]]:
        """Stand around one call; it tells by what it is given whether the host is well.

        A call that ends without a word (cancelled, forbidden, its own time too short) says
        nothing of the host.

        Raises:
            CircuitOpen: not now; carries how long to wait.
        """
        circuit = self._circuits.get(host) or _Circuit()
        is_probe = self._enter(host, circuit)
        verdicts: list[bool] = []
        try:
            yield verdicts.append
        finally:
            if is_probe:
                circuit.probing_until = None
            if verdicts and verdicts[-1]:
                self._answered(host, circuit)
            elif verdicts:
                self._failed(host, circuit, is_probe)

    def check(self, host: str) -> None:
        """Raise ``CircuitOpen`` where a call would be turned away now."""
        circuit = self._circuits.get(host)
        if circuit is not None:
            self._turn_away(host, circuit)

    def states(self) -> Mapping[str, CircuitState]:
        """Return every host whose last call failed; the others are closed."""
        return {host: self._state(circuit) for host, circuit in self._circuits.items()}

    def open_targets(self) -> tuple[str, ...]:
        """Return the hosts that are left alone now, or wait for their probe."""
        states = self.states()
        return tuple(sorted(h for h, state in states.items() if state is not CircuitState.CLOSED))

    def _state(self, circuit: _Circuit) -> CircuitState:
        if circuit.open_until is None:
            return CircuitState.CLOSED
        waiting = self._boottime() < circuit.open_until
        return CircuitState.OPEN if waiting else CircuitState.HALF_OPEN

    def _enter(self, host: str, circuit: _Circuit) -> bool:
        self._turn_away(host, circuit)
        if circuit.open_until is None:
            return False
        circuit.probing_until = self._boottime() + self._probe_seconds
        return True

    def _turn_away(self, host: str, circuit: _Circuit) -> None:
        if circuit.open_until is None:
            return
        now = self._boottime()
        left = circuit.open_until - now
        is_probed = circuit.probing_until is not None and now < circuit.probing_until
        if left > 0 or is_probed:
            seconds = max(left, _PROBE_SECONDS) * random.uniform(1, 1.25)
            raise CircuitOpen(seconds, f"the circuit of {host} is open: it failed too often")

    def _failed(self, host: str, circuit: _Circuit, is_probe: bool) -> None:
        if host not in self._circuits:
            self._make_room()
        circuit = self._circuits.setdefault(host, circuit)
        circuit.failures += 1
        if is_probe or (circuit.open_until is None and circuit.failures >= self._failures):
            circuit.open_until = self._boottime() + self._open_seconds
            _log.warning(CIRCUIT_OPENED, host=host, failures=circuit.failures)

    def _answered(self, host: str, circuit: _Circuit) -> None:
        """A late answer of a call from before it opened closes a circuit too: the host is back."""
        if circuit.open_until is not None:
            _log.info(CIRCUIT_CLOSED, host=host)
        circuit.failures, circuit.open_until = 0, None
        self._circuits.pop(host, None)

    def _make_room(self) -> None:
        if len(self._circuits) >= MAX_CIRCUITS:
            del self._circuits[next(iter(self._circuits))]
