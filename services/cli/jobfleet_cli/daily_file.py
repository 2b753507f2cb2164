"""A log file that starts anew each day, shared by several processes."""

from __future__ import annotations

import os
import stat
from datetime import UTC, date, datetime
from pathlib import Path

from jobfleet_backends.private_files import make_private_folder, open_private
from jobfleet_cli.standard_streams import write_all
from jobfleet_contracts.errors import SettingsError


class DailyFile:
    """Appends lines; yesterday's file is kept beside it as ``NAME.2026-01-31`` (UTC).

    The first writer on a new day moves the file away with a hard link, which only one process can
    make. The others see another file under the name and open it. A device or pipe is only written
    to. Not thread-safe: the thread of a ``LogWriter`` owns it.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, for this user only.

        Raises:
            SettingsError: its folder cannot be made, or it cannot be written.
        """
        self._path = path
        self._number: int | None = None
        try:
            make_private_folder(path.parent)
            self._roll()
            self._open()
        except OSError as error:
            raise SettingsError(
                f"JOBFLEET_LOG_FILE: {path} cannot be written: {error.strerror}"
            ) from error

    def write(self, line: str) -> None:
        """Append one line.

        Raises:
            OSError: the disk is full, or the file cannot be opened; the next line tries again.
        """
        if self._number is None or _today() != self._day or not self._is_current():
            self._roll()
            self._open()
        assert self._number is not None
        write_all(self._number, f"{line}\n".encode(errors="replace"))

    def _open(self) -> None:
        if self._number is not None:
            number, self._number = self._number, None
            os.close(number)
        self._day = _today()
        self._number = open_private(self._path, os.O_WRONLY | os.O_APPEND)

    def _is_current(self) -> bool:
        assert self._number is not None
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._number))
        except FileNotFoundError:
            return False

    def _roll(self) -> None:
        try:
            found = self._path.stat()
            written = datetime.fromtimestamp(found.st_mtime, UTC).date()
            if not stat.S_ISREG(found.st_mode) or written >= _today():
                return
            os.link(self._path, f"{self._path}.{written.isoformat()}")
            self._path.unlink()
        except (FileNotFoundError, FileExistsError):
            return


def _today() -> date:
    return datetime.now(UTC).date()
