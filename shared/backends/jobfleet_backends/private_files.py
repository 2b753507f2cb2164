"""Folders and files that only this user may read: they hold payloads of jobs."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from contextlib import suppress
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600

_making = threading.Lock()
"""Held until a new file is closed again: no other thread opens a connection to it before."""


def make_private_folder(path: Path) -> None:
    """Make the folder and its missing parents with mode 0700, under any umask.

    A folder that exists keeps its mode: it may hold other things than ours.

    Raises:
        OSError: it cannot be made, or something else has its name.
    """
    if path.is_dir():
        return
    if path.parent != path:
        make_private_folder(path.parent)
    try:
        path.mkdir(FOLDER_MODE)
    except FileExistsError:  # another process was faster, or it is not a folder
        if not path.is_dir():
            raise
    else:
        path.chmod(FOLDER_MODE)  # the umask may have taken bits away


def make_private_file(path: Path) -> None:
    """Make the file with mode 0600 if it is missing, else take wider permissions away.

    An existing file is not opened: closing it would drop every lock that this process holds on it
    through another descriptor, as SQLite's connections do.

    Raises:
        OSError: it cannot be made.
    """
    with _making, suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))
    tighten(path)


def open_private(path: Path, flags: int) -> int:
    """Open the file, made if it is missing; return its number. It must not be a database.

    Raises:
        OSError: it cannot be made or opened, or it is another user's, who could read it.
    """
    number = os.open(path, flags | os.O_CREAT, FILE_MODE)
    try:
        _refuse_strangers_file(number)
        tighten(path)
    except OSError:
        os.close(number)
        raise
    return number


def _refuse_strangers_file(number: int) -> None:
    found = os.fstat(number)
    if sys.platform == "win32" or not stat.S_ISREG(found.st_mode) or found.st_uid == os.geteuid():
        return
    raise PermissionError(errno.EPERM, "the file belongs to another user")


def tighten(path: Path) -> None:
    """Give a regular file of this user mode 0600; leave devices, pipes and others' files."""
    found = path.stat()
    if sys.platform == "win32" or not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        return
    if stat.S_IMODE(found.st_mode) != FILE_MODE:
        path.chmod(FILE_MODE)


def wider_mode(path: Path) -> str | None:
    """Return the folder's mode, as ``0755``, if others than its owner may enter it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    return f"{mode:04o}" if sys.platform != "win32" and mode & 0o077 else None
