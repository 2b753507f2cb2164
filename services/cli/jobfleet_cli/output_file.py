"""The file, pipe or standard output that a command writes its data to."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from jobfleet_backends.private_files import open_private
from jobfleet_cli.terminal_text import visible_json
from jobfleet_contracts.errors import SettingsError


class Output(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take them."""

    def flush(self) -> object:
        """Pass on what was taken."""


Write = Callable[[Output], Awaitable[None]]


async def write_out(out: Path | None, write: Write) -> None:
    """Call ``write`` with the file; the file appears under its name only when all is in it.

    Args:
        out: ``None``: standard output.

    Raises:
        SettingsError: the file cannot be written.
    """
    if out is None:
        file = _standard_output()
        await write(file)
        file.flush()
        return
    try:
        if _is_device(out):
            with out.open("wb") as device:
                await write(device)
        else:
            await _replace(_behind_links(out), write)
    except OSError as error:
        raise SettingsError(f"--out: {out} is not writable: {error.strerror}") from error


def _is_device(out: Path) -> bool:
    """A device or pipe must not be replaced: for root that would even succeed."""
    return out.exists() and not out.is_file()


def _behind_links(out: Path) -> Path:
    """A link is kept; the file that it names is replaced."""
    return out.resolve()


async def _replace(out: Path, write: Write) -> None:
    part = out.with_name(out.name + ".part")
    try:
        part.unlink(missing_ok=True)
        # In a folder of several users another one may put a file of his own, or a link, there.
        flags = os.O_WRONLY | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(open_private(part, flags), "wb") as file:
            await write(file)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


class _Terminal:
    """Takes JSON lines as bytes, and shows them escaped."""

    def write(self, data: bytes, /) -> object:
        return sys.stdout.write(visible_json(data.decode().replace("\r\n", "\n")))

    def flush(self) -> object:
        return sys.stdout.flush()


def _standard_output() -> Output:
    return _Terminal() if sys.stdout.isatty() else sys.stdout.buffer
