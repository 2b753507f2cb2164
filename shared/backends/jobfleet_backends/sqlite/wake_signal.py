"""Wake waiting consumers of other processes: a datagram to a Unix socket in the data folder.

A wake signal is a hint that new messages may be there. It may be lost, and without sockets there
is none. So every consumer also looks by itself, less often while it has a socket.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from pathlib import Path

from jobfleet_contracts.job_id import new_id

FOLDER = "wake-signals"
_LONGEST_ADDRESS = 100
"""Bytes of a Unix socket's address: Linux allows 107, macOS 103."""


class WakeSignal:
    """One consumer's socket; for the event loop that opened it.

    Attributes:
        woken: set by each signal; the owner clears it before it looks for messages.
    """

    def __init__(self, data_folder: Path) -> None:
        self.woken = asyncio.Event()
        self._path = data_folder / FOLDER / new_id()
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_open(self) -> bool:
        """Whether others can wake this consumer."""
        return self._socket is not None

    def open(self) -> None:
        """Make the socket. Do nothing if the system or the folder's path does not allow it."""
        if not hasattr(socket, "AF_UNIX"):
            return
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            with _Address(self._path) as address:
                made.bind(address)
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(made.fileno(), self._on_signal)
        except (OSError, NotImplementedError):
            made.close()
            return
        self._socket = made

    def close(self) -> None:
        """Remove the socket; safe to call twice."""
        if self._socket is None or self._loop is None:
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._socket = None
        self._path.unlink(missing_ok=True)

    def _on_signal(self) -> None:
        assert self._socket is not None
        with suppress(OSError):
            while self._socket.recv(1):
                self.woken.set()


class WakeNotifier:
    """Wakes the consumers of a data folder, once for all calls of one turn of the event loop."""

    def __init__(self, data_folder: Path) -> None:
        self._folder = data_folder / FOLDER
        self._is_planned = False

    def notify(self) -> None:
        """Wake them soon; returns at once and never fails."""
        if not self._is_planned:
            self._is_planned = True
            asyncio.get_running_loop().call_soon(self._wake_all)

    def _wake_all(self) -> None:
        self._is_planned = False
        if not hasattr(socket, "AF_UNIX"):
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            for path in self._folder.iterdir():
                _wake_one(sender, path)


def _wake_one(sender: socket.socket, path: Path) -> None:
    try:
        with _Address(path) as address:
            sender.sendto(b"!", address)
    except ConnectionRefusedError:
        # Its process has died without removing it. A file that is not a socket says the same.
        if path.is_socket():
            path.unlink(missing_ok=True)
    except OSError:
        return  # a full socket holds a signal already; after any other error the consumer looks


class _Address:
    """A path as a socket's address; if it is too long, through its folder's descriptor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder: int | None = None

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= _LONGEST_ADDRESS:
            return str(self._path)
        self._folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            os.close(self._folder)
