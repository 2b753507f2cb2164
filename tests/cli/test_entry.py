"""The ``jobfleet`` command itself, and the small commands."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from jobfleet_cli.lazy_group import COMMANDS
from tests.cli.conftest import Cli, heed_ctrl_c


def test_help_lists_every_command_without_importing_any() -> None:
    code = (
        "import sys; from jobfleet_cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*[m for m in ('pydantic', 'structlog', 'fastapi', 'asyncio') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True
    )
    *help_lines, imported = answer.stdout.splitlines()
    assert imported == ""
    assert [line.split()[0] for line in help_lines[-len(COMMANDS) :]] == list(COMMANDS)


def test_ctrl_c_while_the_command_is_imported_ends_it_with_130_and_in_silence(
    tmp_path: Path, until: Callable[..., None]
) -> None:
    marker = tmp_path / "importing"
    (tmp_path / "typer.py").write_text(
        f"import pathlib, time\npathlib.Path({str(marker)!r}).touch()\ntime.sleep(600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "jobfleet_cli", "queues", "list"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
        preexec_fn=heed_ctrl_c,  # noqa: PLW1509 - before any thread of the child
    )
    try:
        until(marker.exists, "the import")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, errors) == (130, b"")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(cli: Cli, command: str) -> None:
    answer = cli.run(command, "--help")
    assert answer.returncode == 0
    assert f"jobfleet {command}" in answer.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("jobs", "nonsense"),
        ("jobs", "list", "--state", "tired"),
        ("jobs", "list", "--since", "yesterday"),
        ("jobs", "list", "--limit", "0"),
        ("publish", "--type", "a", "--count", "0"),
        ("publish", "--type", "a", "--priority", "high"),
        ("demo", "--port", "99999"),
        ("keys", "new", "a b", "viewer"),
        ("keys", "new", "a", "king"),
        ("dashboard", "--host", "0.0.0.0", "--port", "0"),
    ],
)
def test_wrong_usage_is_exit_2_and_writes_nothing_to_standard_output(
    cli: Cli, arguments: tuple[str, ...]
) -> None:
    answer = cli.run(*arguments)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr


def test_version_names_the_program(cli: Cli) -> None:
    assert cli.run("--version").stdout.startswith("jobfleet 0.")


def test_an_unknown_setting_stops_with_one_line(cli: Cli) -> None:
    answer = cli.run("jobs", "list", JOBFLEET_COLOUR="red")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: JOBFLEET_COLOUR: unknown setting")
    assert answer.stderr.count("\n") == 1


def test_shell_completion_knows_the_commands(cli: Cli) -> None:
    answer = cli.run(_JOBFLEET_COMPLETE="complete_bash", COMP_WORDS="jobfleet wo", COMP_CWORD="1")
    assert answer.stdout.split() == ["worker", "workers"]


def test_config_show_hides_every_secret(cli: Cli) -> None:
    answer = cli.run(
        "config",
        "show",
        JOBFLEET_RABBITMQ_URL="amqps://me:pass-1@broker:5671/x",
        JOBFLEET_STORAGE_CONNECTION_STRING="AccountName=a;AccountKey=pass-2==;BlobEndpoint=http://b",
        JOBFLEET_API_KEYS=f"ci:viewer:{'5' * 64}",
        JOBFLEET_SESSION_SECRET="pass-3-of-the-session",
        JOBFLEET_CALLBACK_SECRETS="pass-4-of-the-callbacks,pass-5-of-the-callbacks",
        JOBFLEET_SECRET_TOKEN="pass-6",
    )
    assert "pass-" not in answer.stdout
    assert "55555" not in answer.stdout
    assert "JOBFLEET_RABBITMQ_URL=amqps://me:***@broker:5671/x" in answer.stdout
    assert "AccountName=a;AccountKey=***;BlobEndpoint=http://b" in answer.stdout
    assert "JOBFLEET_API_KEYS=ci:viewer:***" in answer.stdout
    assert "JOBFLEET_SECRET_TOKEN=***" in answer.stdout


def test_a_new_key_is_printed_once_with_its_hash(cli: Cli) -> None:
    made = orjson.loads(cli.run("keys", "new", "ci", "operator", "--json").stdout)
    digest = hashlib.sha256(made["key"].encode()).hexdigest()
    assert made["entry"] == f"ci:operator:{digest}"
    assert cli.run("config", "show", JOBFLEET_API_KEYS=made["entry"]).returncode == 0


@pytest.mark.parametrize(
    ("redirection", "code", "message"),
    [
        (">/dev/full", 2, "error: the output cannot be written: No space left on device\n"),
        (">&-", 0, ""),
        ("<&- >/dev/null", 0, ""),
    ],
)
def test_an_output_that_takes_nothing_is_said_in_one_line(
    cli: Cli, redirection: str, code: int, message: str
) -> None:
    command = f"{sys.executable} -m jobfleet_cli jobs list --json {redirection}"
    answer = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=cli.folder,
        env=cli.environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (code, message)


def test_doctor_loads_handlers_beside_the_modules_that_provide_their_values(cli: Cli) -> None:
    (cli.folder / "provider.py").write_text(
        "from jobfleet_worker import provide\n"
        "class Session: ...\n"
        "@provide\n"
        "def session() -> Session: return Session()\n"
    )
    (cli.folder / "asking.py").write_text(
        "import provider\n"
        "from jobfleet_worker import handler\n"
        "@handler('ask')\n"
        "def ask(payload: int, session: provider.Session) -> None: ...\n"
    )
    answer = cli.run("doctor", JOBFLEET_HANDLERS="asking,provider")
    assert answer.returncode == 0, answer.stdout
    assert re.search(r"ok +handlers +asking +ask", answer.stdout)


def test_doctor_says_what_works_and_what_to_do(cli: Cli) -> None:
    well = cli.run("doctor", JOBFLEET_HANDLERS="jobfleet_cli.demo_jobs")
    assert well.returncode == 0
    assert all(line.startswith("ok") for line in well.stdout.splitlines())
    ill = cli.run("doctor", JOBFLEET_HANDLERS="nothing.here")
    assert ill.returncode == 2
    assert "FAIL  handlers  nothing.here" in ill.stdout
    assert "->" in ill.stdout


def test_doctor_names_a_key_that_would_end_the_dashboard_at_its_start(cli: Cli) -> None:
    answer = cli.run("doctor", JOBFLEET_API_KEYS="bob:boss:00")
    assert answer.returncode == 2
    assert "FAIL  settings  keys  JOBFLEET_API_KEYS: key bob has no role" in answer.stdout


def test_doctor_names_a_folder_that_cannot_be_used(cli: Cli) -> None:
    (cli.folder / "file").write_text("in the way")
    answer = cli.run("doctor", JOBFLEET_DATA_DIR="file")
    assert answer.returncode == 2
    assert "file" in answer.stdout


def test_a_server_that_is_away_is_exit_3_soon_and_named(cli: Cli) -> None:
    storage = "http://127.0.0.1:1/devstoreaccount1"
    answer = cli.run(
        "jobs",
        "list",
        JOBFLEET_BACKEND="azure",
        JOBFLEET_RABBITMQ_URL="amqp://127.0.0.1:2/",
        JOBFLEET_STORAGE_CONNECTION_STRING="DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
        f"AccountKey=YQ==;BlobEndpoint={storage};TableEndpoint={storage};",
    )
    assert answer.returncode == 3, answer.stderr
    assert "127.0.0.1:1" in answer.stderr
    assert "waiting for it" not in answer.stderr  # the minute of a command that was answered before


def test_keys_callback_prints_what_receivers_need_and_not_the_secrets(cli: Cli) -> None:
    secret = "a shared secret of ours"
    answer = cli.run("keys", "callback", JOBFLEET_CALLBACK_SECRETS=f"{secret},another secret here")
    assert answer.returncode == 0
    first, second = answer.stdout.splitlines()
    assert first.startswith("whsec_")
    assert first != second
    assert secret not in answer.stdout
    as_json = cli.run("keys", "callback", "--json", JOBFLEET_CALLBACK_SECRETS=secret)
    assert orjson.loads(as_json.stdout) == {"keys": [first]}


def test_keys_callback_without_a_secret_names_the_setting(cli: Cli) -> None:
    answer = cli.run("keys", "callback")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "JOBFLEET_CALLBACK_SECRETS" in answer.stderr


LEAVE_AND_RUN = 'cd "$1" && rmdir "$1" && shift && exec "$@"'


@pytest.mark.parametrize(
    "words",
    [("publish", "--type", "a"), ("worker",), ("dashboard",), ("up",), ("demo",), ("doctor",)],
)
def test_a_working_folder_that_was_deleted_is_one_line(
    cli: Cli, tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    answer = subprocess.run(
        [
            "sh",
            "-c",
            LEAVE_AND_RUN,
            "sh",
            str(folder),
            sys.executable,
            "-m",
            "jobfleet_cli",
            *words,
        ],
        env=cli.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 2, answer.stderr
    [line] = answer.stderr.splitlines()
    assert line.startswith("error: JOBFLEET_DATA_DIR: ")
    assert "was deleted" in line
