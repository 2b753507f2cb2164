"""Names whose nameserver is silent hold up no other name, and count against no host."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from jobfleet_worker.outbound import name_lookups
from jobfleet_worker.outbound.circuit_breaker import CircuitState
from jobfleet_worker.outbound.name_lookups import NameLookups, NameNotFound
from jobfleet_worker.outbound.name_resolver import NameResolver
from jobfleet_worker.outbound.refusals import CallFailed, CircuitOpen, LookupsBusy
from tests.worker.outbound.target_server import (
    Names,
    TargetServer,
    answering,
    client,
    get,
    hanging,
)


@pytest.fixture
def silent_nameserver() -> Iterator[NameResolver]:
    """A resolver whose only nameserver takes questions and answers none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        yield NameResolver(servers=[f"127.0.0.1:{server.getsockname()[1]}"])


async def test_a_name_of_this_machine_is_found() -> None:
    found = await NameResolver().resolve("localhost", 80, socket.AF_UNSPEC)
    assert "127.0.0.1" in {each["host"] for each in found}


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "-", "a..b"])
async def test_what_is_no_name_is_an_ordinary_failure(name: str) -> None:
    with pytest.raises(OSError, match=r"name|domain|servers"):
        await NameResolver(servers=["127.0.0.1:1"]).resolve(name)


async def test_a_hundred_silent_names_take_one_thread_and_others_go_on(
    target: TargetServer, silent_nameserver: NameResolver
) -> None:
    caller = client(silent_nameserver)
    threads = threading.active_count()
    slow = [
        asyncio.create_task(get(caller, f"http://n{number}.example/"), name=f"n{number}")
        for number in range(100)
    ]
    await asyncio.sleep(0)
    answer = await get(caller, f"http://localhost:{target.port}/")
    assert answer.status == 200
    assert not any(task.done() for task in slow)
    assert threading.active_count() <= threads + 2
    ended = await asyncio.gather(*slow, return_exceptions=True)
    assert all(isinstance(each, CallFailed) for each in ended)
    assert dict(caller.circuits.states()) == {}
    await silent_nameserver.close()


async def test_silent_names_that_take_up_the_whole_share_hold_up_no_other_host(
    target: TargetServer, monkeypatch: pytest.MonkeyPatch, silent_nameserver: NameResolver
) -> None:
    monkeypatch.setattr(name_lookups, "LOOKUPS_PER_TYPE", 3)
    caller = client(silent_nameserver)
    for number in range(7):
        with pytest.raises(CallFailed):
            await get(caller, f"http://n{number}.example/", timeout_seconds=0.02)
    answer = await get(caller, f"http://localhost:{target.port}/")
    assert answer.status == 200
    await silent_nameserver.close()


async def test_the_domain_with_the_most_look_ups_makes_room(
    monkeypatch: pytest.MonkeyPatch, silent_nameserver: NameResolver
) -> None:
    monkeypatch.setattr(name_lookups, "LOOKUPS_PER_TYPE", 4)
    lookups = NameLookups(source=silent_nameserver)
    hosts = ["slow.shop.example", *(f"n{number}.evil.test" for number in range(5))]
    calls = []
    for host in hosts:
        find = lookups.find("http.request", host, 80, socket.AF_INET)
        calls.append(asyncio.create_task(find, name=host))
        await asyncio.sleep(0)  # it is under way
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in ended] == [
        NameNotFound,
        *[LookupsBusy] * 2,
        *[NameNotFound] * 3,
    ]
    await silent_nameserver.close()


async def test_a_call_that_is_cancelled_while_its_name_is_looked_up_ends(
    silent_nameserver: NameResolver,
) -> None:
    caller = client(silent_nameserver)
    call = asyncio.create_task(get(caller, "http://n.example/"))
    await asyncio.sleep(0.01)  # the name is being looked up
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await silent_nameserver.close()


@pytest.mark.parametrize("seconds", [0.001, 0.05])
async def test_time_outs_shorter_than_the_default_open_no_circuit(
    target: TargetServer, seconds: float
) -> None:
    caller = client(breaker_failures=3, http_timeout_seconds=0.3)
    target.answer = hanging
    for _ in range(6):
        with pytest.raises(CallFailed):
            await get(caller, target.url(), timeout_seconds=seconds)
    assert dict(caller.circuits.states()) == {}


async def test_time_outs_of_the_default_length_do(target: TargetServer) -> None:
    caller = client(breaker_failures=3, http_timeout_seconds=0.3)
    target.answer = hanging
    for _ in range(3):
        with pytest.raises(CallFailed):
            await get(caller, target.url(), timeout_seconds=0.3)
    with pytest.raises(CircuitOpen):
        await get(caller, target.url())
    assert list(caller.circuits.states().values()) == [CircuitState.OPEN]


class SlowNames(Names):
    async def resolve(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        await asyncio.sleep(0.2)
        return await super().resolve(*args, **kwargs)  # type: ignore[arg-type]


async def test_time_that_a_name_took_is_not_counted_against_its_host(
    target: TargetServer,
) -> None:
    caller = client(SlowNames(["127.0.0.1"]), breaker_failures=1, http_timeout_seconds=0.3)
    target.answer = hanging
    with pytest.raises(CallFailed):
        await get(caller, f"http://slow.example:{target.port}/", timeout_seconds=0.3)
    assert dict(caller.circuits.states()) == {}


async def test_time_that_another_host_took_before_it_redirected_is_not_counted(
    target: TargetServer,
) -> None:
    victim = TargetServer()
    await victim.start()
    victim.answer = hanging

    async def late(request: object) -> object:
        await asyncio.sleep(0.2)
        return await answering(302, Location=victim.url())(request)  # type: ignore[arg-type]

    target.answer = late  # type: ignore[assignment]
    caller = client(breaker_failures=1, http_timeout_seconds=0.4)
    began = time.monotonic()
    with pytest.raises(CallFailed):
        await get(caller, target.url(), timeout_seconds=0.4, follow_redirects=True)
    assert time.monotonic() - began < 10
    assert dict(caller.circuits.states()) == {}
    await victim.stop()
