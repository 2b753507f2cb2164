"""Whatever the umask, only this user may read what holds payloads."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from jobfleet_backends.private_files import make_private_folder, open_private
from jobfleet_backends.settings import Settings
from jobfleet_backends.sqlite.backend import FOLDER_OPEN, open_embedded


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
async def test_the_data_folder_its_parents_and_every_file_in_it_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    backend = await open_embedded(Settings(data_dir=folder))
    await backend.probe()
    assert (_mode(folder), _mode(folder.parent)) == (0o700, 0o700)
    files = {path.name: oct(_mode(path)) for path in folder.iterdir()}
    assert set(files) >= {"jobfleet.db", "jobfleet.db-wal", "jobfleet.db-shm"}
    assert set(files.values()) == {"0o600"}, files
    await backend.close()


async def test_a_folder_open_to_others_is_named_and_the_files_in_it_are_tightened(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    await (await open_embedded(Settings(data_dir=folder))).close()
    folder.chmod(0o755)
    (folder / "jobfleet.db").chmod(0o644)
    with structlog.testing.capture_logs() as logs:
        backend = await open_embedded(Settings(data_dir=folder))
    await backend.probe()
    assert {oct(_mode(path)) for path in folder.iterdir()} == {"0o600"}
    [warning] = [entry for entry in logs if entry["event"] == FOLDER_OPEN]
    assert (warning["mode"], warning["remedy"]) == ("0755", f"chmod 700 {folder}")
    await backend.close()


async def test_a_private_folder_is_no_reason_to_warn(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        await (await open_embedded(Settings(data_dir=tmp_path / "data"))).close()
    assert FOLDER_OPEN not in [entry["event"] for entry in logs]


@pytest.mark.usefixtures("umask")
def test_a_file_is_private_from_its_first_byte(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "logs")
    number = open_private(tmp_path / "logs" / "one", os.O_WRONLY)
    assert stat.S_IMODE(os.fstat(number).st_mode) == 0o600
    os.close(number)


def test_a_device_keeps_its_mode() -> None:
    before = _mode(Path(os.devnull))
    os.close(open_private(Path(os.devnull), os.O_WRONLY))
    assert _mode(Path(os.devnull)) == before


def test_a_file_of_another_user_is_refused_and_no_number_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write in the folder can put one there before, and reads it."""
    file = tmp_path / "log"
    file.write_text("")
    file.chmod(0o666)
    closed: list[int] = []
    close = os.close

    def note(number: int) -> None:
        closed.append(number)
        close(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
        patch.setattr(os, "close", note)
        with pytest.raises(PermissionError, match="belongs to another user"):
            open_private(file, os.O_WRONLY)
    assert len(closed) == 1
