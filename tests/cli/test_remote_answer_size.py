"""An address that answers without an end does not fill the memory of a command."""

import socket

import pytest
from aiohttp import web

from jobfleet_cli import remote_dashboard
from jobfleet_cli.remote_dashboard import RemoteDashboard
from jobfleet_contracts.errors import BackendUnavailable


async def _endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(status=int(request.query["status"]))
    answer.enable_compression()
    await answer.prepare(request)
    while True:
        await answer.write(b"A" * 65_536)


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_no_answer_is_read_without_an_end(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_dashboard, "MAX_ANSWER_BYTES", 1_000_000)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", _endless)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        await web.SockSite(runner, listening).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with RemoteDashboard(url=url, key="k" * 32) as dashboard:
            with pytest.raises(BackendUnavailable, match="1,000,000 bytes"):
                await dashboard._ask("GET", f"/api/jobs?status={status}")
        await runner.cleanup()
