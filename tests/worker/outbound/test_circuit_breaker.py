"""A host that fails too often is left alone for a while, and asked again by one call."""

import pytest

from jobfleet_worker.outbound.circuit_breaker import CircuitBreaker, CircuitState
from jobfleet_worker.outbound.refusals import CircuitOpen
from tests.worker.outbound.target_server import TargetServer, answering, client, get


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Driver:
    """A breaker that opens after two failures for ten seconds."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.breaker = CircuitBreaker(
            failures=2, open_seconds=10, probe_seconds=5, boottime=self.clock
        )

    def fail(self, host: str = "a") -> None:
        with self.breaker.call(host) as is_well:
            is_well(False)

    def succeed(self, host: str = "a") -> None:
        with self.breaker.call(host) as is_well:
            is_well(True)

    def state(self) -> CircuitState:
        return self.breaker.states().get("a", CircuitState.CLOSED)


def opened() -> Driver:
    driver = Driver()
    driver.fail()
    driver.fail()
    return driver


def test_failures_in_a_row_open_the_circuit_of_that_host_only() -> None:
    driver = opened()
    with pytest.raises(CircuitOpen) as turned_away:
        driver.succeed()
    assert 10 <= turned_away.value.delay.total_seconds() <= 12.5
    assert driver.state() is CircuitState.OPEN
    driver.succeed("b")


def test_an_answer_between_failures_starts_the_count_anew() -> None:
    driver = Driver()
    for _ in range(3):
        driver.fail()
        driver.succeed()
    assert driver.state() is CircuitState.CLOSED


def test_after_its_time_one_call_probes_and_the_others_wait() -> None:
    driver = opened()
    driver.clock.now += 10
    assert driver.state() is CircuitState.HALF_OPEN
    with driver.breaker.call("a") as is_well:
        with pytest.raises(CircuitOpen):
            driver.succeed()
        is_well(True)
    assert driver.state() is CircuitState.CLOSED
    driver.succeed()


def test_a_probe_that_fails_opens_the_circuit_again() -> None:
    driver = opened()
    driver.clock.now += 10
    driver.fail()
    assert driver.state() is CircuitState.OPEN
    with pytest.raises(CircuitOpen):
        driver.succeed()


def test_a_probe_that_is_cancelled_leaves_the_probe_to_the_next_call() -> None:
    driver = opened()
    driver.clock.now += 10
    with pytest.raises(KeyboardInterrupt), driver.breaker.call("a"):
        raise KeyboardInterrupt
    driver.succeed()
    assert driver.state() is CircuitState.CLOSED


def test_a_probe_that_lasts_for_an_hour_keeps_nobody_waiting_that_long() -> None:
    driver = opened()
    driver.clock.now += 10
    with driver.breaker.call("a"):
        driver.clock.now += 5
        driver.succeed()
    assert driver.state() is CircuitState.CLOSED


def test_calls_that_fail_at_the_same_time_all_count() -> None:
    driver = Driver()
    with driver.breaker.call("a") as one, driver.breaker.call("a") as other:
        one(False)
        other(False)
    assert driver.state() is CircuitState.OPEN


async def test_server_errors_open_it_and_other_answers_do_not(target: TargetServer) -> None:
    caller = client(breaker_failures=3)
    target.answer = answering(404)
    for _ in range(5):
        await get(caller, target.url())
    target.answer = answering(503)
    for _ in range(3):
        await get(caller, target.url())
    with pytest.raises(CircuitOpen):
        await get(caller, target.url())
    assert len(target.requests) == 8
    assert dict(caller.circuits.states()) == {f"127.0.0.1:{target.port}": CircuitState.OPEN}
