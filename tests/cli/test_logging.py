"""What a log line looks like, and where it goes."""

from __future__ import annotations

import io
import logging
import os
import re
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pytest
import structlog

from jobfleet_backends.settings import Settings
from jobfleet_cli import daily_file
from jobfleet_cli.daily_file import DailyFile
from jobfleet_cli.log_writer import drain_logs
from jobfleet_cli.logging import configure_logging
from jobfleet_contracts.errors import SettingsError


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    yield
    structlog.configure(**before)
    root.handlers = handlers
    root.setLevel(level)


def _settings(**fields: object) -> Settings:
    return Settings(_env_file=None, **fields)  # type: ignore[arg-type]


def test_a_console_line_has_time_level_job_event_and_details() -> None:
    out = io.StringIO()
    configure_logging(_settings(log_format="console"), stream=out)
    structlog.get_logger().info("lock.acquired", job_id="42", lock="job/42", note="two words")
    drain_logs()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d INF job-42: lock\.acquired lock=job/42 note=\"two words\"\n",
        out.getvalue(),
    )


def test_a_console_line_obeys_no_control_character() -> None:
    out = io.StringIO()
    configure_logging(_settings(log_format="console"), stream=out)
    structlog.get_logger().info("x.y", name="a\x1b[31m\nb")
    drain_logs()
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 1


def test_without_a_terminal_each_line_is_json_with_what_is_bound() -> None:
    out = io.StringIO()
    configure_logging(_settings(), stream=out)
    with structlog.contextvars.bound_contextvars(job_id="42", worker_id="7"):
        structlog.get_logger().warning("lease.lost", at=date(2026, 1, 31))
    drain_logs()
    line = orjson.loads(out.getvalue())
    moment = datetime.fromisoformat(line.pop("timestamp"))
    assert moment.tzinfo == UTC
    assert line == {
        "level": "warning",
        "event": "lease.lost",
        "job_id": "42",
        "worker_id": "7",
        "at": "2026-01-31",
    }


def test_libraries_speak_the_same_format_and_chatty_ones_only_warn() -> None:
    out = io.StringIO()
    configure_logging(_settings(log_level="debug"), stream=out)
    logging.getLogger("azure.core.pipeline").info("each request")
    logging.getLogger("some.library").error("%s broke", "it")
    drain_logs()
    [line] = map(orjson.loads, out.getvalue().splitlines())
    assert (line["event"], line["library"], line["level"]) == ("it broke", "some.library", "error")


def test_an_exception_is_logged_with_its_traceback() -> None:
    out = io.StringIO()
    configure_logging(_settings(log_format="console"), stream=out)
    try:
        raise ValueError("no good")
    except ValueError:
        structlog.get_logger().exception("job.broke")
    drain_logs()
    assert "ValueError: no good" in out.getvalue().splitlines()[-1]


def test_the_named_file_holds_json_beside_the_console(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "jobfleet.log"
    configure_logging(_settings(log_format="console", log_file=file), stream=io.StringIO())
    structlog.get_logger().info("x.y", n=1)
    drain_logs()
    assert orjson.loads(file.read_text())["event"] == "x.y"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="JOBFLEET_LOG_FILE"):
        DailyFile(tmp_path)


def test_yesterdays_file_is_kept_beside_todays_and_no_line_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    writers = [DailyFile(path) for _ in range(4)]
    for writer in writers:
        writer.write("yesterday")
    yesterday = datetime(2026, 1, 30, 12, tzinfo=UTC).timestamp()
    os.utime(path, (yesterday, yesterday))
    monkeypatch.setattr(daily_file, "_today", lambda: date(2026, 1, 31))
    threads = [threading.Thread(target=w.write, args=("today",)) for w in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = (tmp_path / "log.2026-01-30").read_text().split()
    assert kept.count("yesterday") == 4
    assert (kept + path.read_text().split()).count("today") == 4


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_the_log_file_and_yesterdays_are_private_under_any_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    before = os.umask(umask)
    try:
        path = tmp_path / "logs" / "log"
        DailyFile(path).write("yesterday")
        os.utime(path, (0, 0))
        DailyFile(path).write("today")
    finally:
        os.umask(before)
    modes = {each.name: oct(each.stat().st_mode & 0o777) for each in path.parent.iterdir()}
    assert modes == {"log": "0o600", "log.1970-01-01": "0o600"}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_device_named_as_log_file_is_written_to_never_moved_away(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    os.utime(pipe, (0, 0))
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    DailyFile(pipe).write("one")
    assert os.read(reader, 100) == b"one\n"
    os.close(reader)
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]


def test_a_log_file_whose_disk_was_full_is_written_again(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "log"
    file = DailyFile(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.write("one byte fits, no more")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    file.write("again")
    assert path.read_text().endswith("again\n")
