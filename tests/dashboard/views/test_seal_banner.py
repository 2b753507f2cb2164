"""Every page says that the fleet is sealed, since when, and what to do."""

from __future__ import annotations

from jobfleet_backends.system_clock import SystemClock
from jobfleet_contracts.backend import Backend
from jobfleet_contracts.job_id import new_id
from jobfleet_dashboard.seal_reader import SealReader
from jobfleet_protocol.control.fleet_seal import KNOWN_SECONDS
from jobfleet_protocol.control.seals import Seals
from tests.dashboard.api.conftest import client_of
from tests.dashboard.costed_pages import PAGES
from tests.dashboard.jumping_clock import JumpingClock
from tests.dashboard.views.test_pages import look

BANNER = "<strong>This fleet is sealed</strong>"
ONCE = {"once": "1"}


async def test_every_page_of_a_sealed_fleet_says_so_and_no_page_of_another(
    backend: Backend,
) -> None:
    assert BANNER not in await look(client_of(backend), "/")
    seals = Seals(log=backend.control_log, clock=SystemClock())
    await seals.put(new_id(), by="<b>anna</b>", reason="moves to a server")
    client, pages = client_of(backend), 0
    for path in (*PAGES, "/jobs/none", "/nowhere"):
        page = await look(client, path)
        if "<html" in page:
            pages += 1
            assert BANNER in page, path
            assert "&lt;b&gt;anna" in page
            assert "moves to a server" in page
            assert "jobfleet audit unseal" in page
    assert pages > 10


async def test_an_open_page_learns_of_the_seal_from_its_stream(backend: Backend) -> None:
    client = client_of(backend)
    assert BANNER not in (await client.request("GET", "/stream/queues", query=ONCE)).body.decode()
    seals = Seals(log=backend.control_log, clock=SystemClock())
    await seals.put(new_id(), by="anna", reason="")
    answer = await client_of(backend).request("GET", "/stream/queues", query=ONCE)
    assert BANNER in answer.body.decode()
    assert '"#seal"' in answer.body.decode()


async def test_a_look_is_kept_for_seconds_and_a_lifted_seal_is_gone(backend: Backend) -> None:
    clock = JumpingClock()
    seals = Seals(log=backend.control_log, clock=clock)
    reader = SealReader(log=backend.control_log, clock=clock)
    assert await reader.read() is None
    await seals.put("m", by="anna", reason="")
    assert await reader.read() is None
    clock.jump(KNOWN_SECONDS + 1)
    seal = await reader.read()
    assert seal is not None
    assert reader.known == seal
    await seals.lift(by="anna", reason="")
    clock.jump(KNOWN_SECONDS + 1)
    assert await reader.read() is None
