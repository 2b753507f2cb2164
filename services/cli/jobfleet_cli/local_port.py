"""The dashboard's port on this machine, before the process that will listen on it starts."""

from __future__ import annotations

import asyncio
import errno
import socket

from jobfleet_contracts.errors import BackendUnavailable, SettingsError

HOST = "127.0.0.1"
READY_SECONDS = 120.0
"""On a busy machine a dashboard starts slowly. One that ends at once ends the wait as well."""
LOOK_SECONDS = 0.05


def free_port(port: int) -> int:
    """Return the port, or any free one for 0.

    Raises:
        SettingsError: it is in use or not allowed; the message names it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            reason = "is in use" if in_use else f"cannot be used: {error.strerror}"
            raise SettingsError(
                f"port {port} {reason}; choose another with --port, or --port 0 for a free one"
            ) from error
        return int(probe.getsockname()[1])


async def wait_until_listening(port: int) -> None:
    """Return as soon as a server listens on the port.

    Raises:
        BackendUnavailable: none does within two minutes.
    """
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await _listens(port):  # noqa: ASYNC110 - another process's port
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError as error:
        raise BackendUnavailable(f"the dashboard does not answer on {HOST}:{port}") from error


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
