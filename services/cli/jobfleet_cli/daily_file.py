"""A log file that starts anew each day, shared by several processes."""

from __future__ import annotations

import os
import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TextIO

from jobfleet_contracts.errors import SettingsError


class DailyFile:
    """Appends lines; yesterday's file is kept beside it as ``NAME.2026-01-31`` (UTC).

    Whoever writes first on a new day moves the file away with a hard link, which only one process
    can make; the others see another file under the name and open it.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            SettingsError: its folder cannot be made, or it cannot be written.
        """
        self._path = path
        self._guard = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._roll()
            self._file = self._open()
        except OSError as error:
            raise SettingsError(
                f"JOBFLEET_LOG_FILE: {path} cannot be written: {error.strerror}"
            ) from error

    def write(self, line: str) -> None:
        """Append one line; a full disk loses it, never the process."""
        with self._guard:
            try:
                if _today() != self._day or not self._is_current():
                    self._renew()
                self._file.write(line + "\n")
            except OSError:
                return

    def _renew(self) -> None:
        self._roll()
        self._file.close()
        self._file = self._open()

    def _open(self) -> TextIO:
        self._day = _today()
        return self._path.open("a", encoding="utf-8", errors="replace", buffering=1)

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    def _roll(self) -> None:
        try:
            written = datetime.fromtimestamp(self._path.stat().st_mtime, UTC).date()
            if written >= _today():
                return
            os.link(self._path, f"{self._path}.{written.isoformat()}")
            self._path.unlink()
        except (FileNotFoundError, FileExistsError):
            return


def _today() -> date:
    return datetime.now(UTC).date()
