"""Commands that drive a dashboard elsewhere, with the rights of a key."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import orjson
import pytest

from devtools.local_fleet import LocalFleet
from jobfleet_cli.lazy_group import COMMANDS
from jobfleet_dashboard.security.api_keys import new_key
from tests.cli.conftest import Cli

VIEWER, VIEWER_LINE = new_key("eve", "viewer")
SUBMITTER, SUBMITTER_LINE = new_key("sam", "submitter")
OPERATOR, OPERATOR_LINE = new_key("ada", "operator")
_NO_STORAGE = {"config", "keys", "mock-third-party", "demo"}


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A dashboard with a key of each role; its storage is in another folder than the commands."""
    keys = (VIEWER_LINE, SUBMITTER_LINE, OPERATOR_LINE)
    fleet = LocalFleet(
        data_dir=tmp_path_factory.mktemp("server"),
        changes={"api_keys": keys},
        handlers=("tests.browser.talking_handler",),
    )
    fleet.start()
    yield fleet.address
    fleet.stop()


@pytest.fixture
def far(cli: Cli, dashboard: str) -> Cli:
    """Commands that know the dashboard's address and no storage."""
    cli.environment |= {"JOBFLEET_URL": dashboard, "JOBFLEET_API_KEY": OPERATOR}
    return cli


def submitted(cli: Cli, **environment: str) -> str:
    later = ("--run-at", "2126-01-01T00:00:00Z")
    asked = ("publish", "--type", "crm.sync", "--name", "far away", "--json", *later)
    done = cli.run(*asked, **environment)
    assert done.returncode == 0, done.stderr
    return str(orjson.loads(done.stdout)["jobId"])


def test_jobs_are_submitted_listed_shown_and_cancelled_over_the_api(far: Cli) -> None:
    job_id = submitted(far)
    listed = orjson.loads(far.run("jobs", "list", "--type", "crm.sync", "--json").stdout)
    assert job_id in [item["jobId"] for item in listed["items"]]
    shown = far.run("jobs", "show", job_id)
    assert (shown.returncode, "far away" in shown.stdout) == (0, True)
    cancelled = far.run("jobs", "cancel", job_id, "--reason", "wrong customer")
    assert cancelled.stdout.strip() == f"{job_id} cancelled"
    again = far.run("jobs", "cancel", job_id)
    assert (again.returncode, again.stdout) == (1, "")
    assert not (far.folder / ".jobfleet").exists()


def test_what_a_handler_logs_is_followed_to_the_jobs_end(far: Cli) -> None:
    asked = ("publish", "--type", "talk", "--payload", "2", "--max-attempts", "1", "--json")
    job_id = orjson.loads(far.run(*asked).stdout)["jobId"]
    followed = far.run("jobs", "logs", job_id, "--follow", JOBFLEET_API_KEY=VIEWER)
    assert followed.returncode == 0, followed.stderr
    for text in ("shop.imports: reading 2 rows", "row read  row=1  token=***", "<b>refused</b>"):
        assert text in followed.stdout
    assert "ValueError: no such customer" in followed.stdout
    lines = far.run("jobs", "logs", job_id, "--json").stdout.splitlines()
    assert [orjson.loads(line)["level"] for line in lines] == ["info"] * 3 + ["error"]


def test_an_action_on_a_filter_says_how_many_jobs_it_means(far: Cli) -> None:
    submitted(far)
    refused = far.run("jobs", "cancel", "--type", "crm.sync", "--state", "scheduled")
    assert (refused.returncode, "--expected" in refused.stderr) == (2, True)
    found = orjson.loads(far.run("jobs", "list", "--state", "scheduled", "--json").stdout)["items"]
    count = str(len(found))
    done = far.run("jobs", "cancel", "--state", "scheduled", "--expected", count, "--json")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(found)


@pytest.mark.parametrize(
    "command",
    ["workers", "queues list", "types list", "types slowest", "locks", "errors", "events"],
)
def test_lists_are_read_over_the_api(far: Cli, command: str) -> None:
    done = far.run(*command.split(), "--json")
    assert done.returncode == 0, done.stderr
    assert "items" in orjson.loads(done.stdout)


@pytest.mark.parametrize("command", ["jobs list", "events"])
def test_a_whole_list_is_written_over_the_api(far: Cli, command: str) -> None:
    job_id = submitted(far)
    export = (*command.split(), "--export", "csv", "-q")
    done = far.run(*export, "type:CRM.*", JOBFLEET_API_KEY=VIEWER)
    assert (done.returncode, job_id in done.stdout) == (0, True), done.stderr
    assert done.stdout.splitlines()[0].split(",")[1].startswith("job")
    wrong = far.run(*export, "gone:x")
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_a_queue_is_paused_and_resumed_over_the_api(far: Cli) -> None:
    assert far.run("queues", "pause", "mail", "--reason", "closing").returncode == 0
    (row,) = [r for r in _queues(far) if r["queue"] == "mail"]
    assert (row["paused"], row["pauseReason"]) == (True, "closing")
    assert far.run("queues", "resume", "mail").returncode == 0


def _queues(cli: Cli) -> list[dict[str, object]]:
    items: list[dict[str, object]] = orjson.loads(cli.run("queues", "list", "--json").stdout)[
        "items"
    ]
    return items


def _json(cli: Cli, *command: str) -> Any:
    done = cli.run(*command, "--json")
    assert done.returncode == 0, done.stderr
    return orjson.loads(done.stdout)


def test_a_limit_is_set_shown_and_removed_over_the_api(far: Cli) -> None:
    options = ("--slots", "5", "--rate", "10/second", "--reason", "asked by them")
    assert _json(far, "limits", "set", "api-crm", *options)["slots"] == 5
    (row,) = _json(far, "limits", "list")["items"]
    assert (row["name"], row["rate"], row["reason"]) == ("api-crm", "10/second", "asked by them")
    shown = far.run("limits", "show", "api-crm").stdout
    assert "asked by them" in shown
    assert "Set" in shown
    assert far.run("limits", "remove", "api-crm", "--reason", "over").returncode == 0
    gone = far.run("limits", "show", "api-crm")
    assert (gone.returncode, "api-crm" in gone.stderr) == (1, True)
    wrong = far.run("limits", "set", "api-crm", "--slots", "0")
    assert (wrong.returncode, "slots" in wrong.stderr) == (2, True)


def test_a_schedule_lives_its_whole_life_over_the_api(far: Cli) -> None:
    rule = ("--type", "crm.sync", "--cron", "0 6 * * *", "--timezone", "Europe/Berlin")
    assert _json(far, "schedules", "add", "nightly", *rule)["cron"] == "0 6 * * *"
    (row,) = _json(far, "schedules", "list")["items"]
    assert _json(far, "schedules", "show", "nightly") == row
    times = _json(far, "schedules", "next", "nightly", "--count", "7")["items"]
    assert (len(times), times[:5]) == (7, row["nextRuns"])
    assert far.run("schedules", "pause", "nightly", "--reason", "closing").returncode == 0
    paused = _json(far, "schedules", "show", "nightly")
    assert (paused["paused"], paused["pausedBy"]) == (True, "ada")
    assert far.run("schedules", "resume", "nightly").returncode == 0
    made = far.run("schedules", "run", "nightly").stdout.strip()
    assert _json(far, "jobs", "show", made)["scheduleName"] == "nightly"
    span = ("--since", "2026-01-01T00:00:00Z", "--until", "2026-01-03T00:00:00Z")
    filled = far.run("schedules", "backfill", "nightly", *span, "--json")
    assert [orjson.loads(line)["created"] for line in filled.stdout.splitlines()] == [True, True]
    assert far.run("schedules", "remove", "nightly").returncode == 0
    kinds = [entry["kind"] for entry in _json(far, "schedules", "history", "nightly")["items"]]
    assert (kinds[0], kinds[-1], "Paused" in kinds) == ("Removed", "Declared", True)
    gone = far.run("schedules", "show", "nightly")
    assert (gone.returncode, "nightly" in gone.stderr) == (1, True)


def test_a_job_may_start_during_a_pause_over_the_api(far: Cli) -> None:
    assert far.run("types", "pause", "crm.paused").returncode == 0
    asked = ("publish", "--type", "crm.paused", "--json")
    for _ in range(30):  # the worker may not have heard of the pause when the first one comes
        job_id = orjson.loads(far.run(*asked).stdout)["jobId"]
        started = far.run("jobs", "run-anyway", job_id, "--reason", "urgent")
        if started.returncode == 0:
            break
    assert started.returncode == 0, started.stderr
    refused = far.run("jobs", "run-anyway", job_id, JOBFLEET_API_KEY=VIEWER)
    assert (refused.returncode, "this needs" in refused.stderr) == (1, True)


def test_a_job_is_watched_to_its_end_over_the_api(far: Cli) -> None:
    job_id = submitted(far)
    assert far.run("jobs", "cancel", job_id).returncode == 0
    watched = far.run("jobs", "watch", job_id, "--json")
    events = [orjson.loads(line) for line in watched.stdout.splitlines()]
    assert events == _json(far, "jobs", "show", job_id)["events"]
    assert (watched.returncode, events[-1]["status"]) == (1, "Cancelled")
    assert far.run("jobs", "watch", "01a00000-0000-7000-8000-000000000000").returncode == 1


def test_the_fleet_is_watched_over_the_api(far: Cli) -> None:
    submitted(far)
    watch = far.start("jobs", "watch", "--json")
    assert watch.stdout is not None
    assert watch.stdout.readline()  # the newest event; the stream is open by then
    job_id = submitted(far)
    line = next(line for line in watch.stdout if job_id in line)
    assert orjson.loads(line)["status"] == "Scheduled"
    watch.send_signal(signal.SIGINT)
    assert watch.wait(20) == 0


def test_a_worker_that_nobody_heard_of_is_unknown_over_the_api_too(far: Cli) -> None:
    unknown = far.run("workers", "01a00000-0000-7000-8000-000000000000")
    assert (unknown.returncode, "within seven days" in unknown.stderr) == (1, True)
    assert far.run("workers", "w1").returncode == 2


def test_the_role_of_the_key_decides(far: Cli) -> None:
    job_id = submitted(far, JOBFLEET_API_KEY=SUBMITTER)
    assert far.run("jobs", "show", job_id, JOBFLEET_API_KEY=VIEWER).returncode == 0
    for key, command in (
        (VIEWER, ("publish", "--type", "x")),
        (SUBMITTER, ("jobs", "cancel", job_id)),
        (SUBMITTER, ("queues", "pause", "default")),
    ):
        refused = far.run(*command, JOBFLEET_API_KEY=key)
        assert refused.returncode == 1, (command, refused.stdout)
        assert "this needs" in refused.stderr


@pytest.mark.parametrize("key", ["", "wrong-key-that-nobody-made"])
def test_a_key_that_is_missing_or_wrong_is_named(far: Cli, key: str) -> None:
    refused = far.run("jobs", "list", JOBFLEET_API_KEY=key)
    assert refused.returncode == 2
    assert "JOBFLEET_API_KEY" in refused.stderr
    assert key == "" or key not in refused.stderr


def test_an_unknown_job_is_a_no_and_a_dashboard_that_is_away_is_unreachable(far: Cli) -> None:
    unknown = far.run("jobs", "show", "01a00000-0000-7000-8000-000000000000")
    assert unknown.returncode == 1
    away = far.run("jobs", "list", JOBFLEET_URL="http://127.0.0.1:9")
    assert (away.returncode, "does not answer" in away.stderr) == (3, True)


@pytest.mark.parametrize(
    "url", ["http://jobs.example.org", "ftp://jobs", "jobs", "https://ann:secret@jobs", "https://"]
)
def test_a_key_is_sent_over_https_alone_but_for_this_machine(cli: Cli, url: str) -> None:
    refused = cli.run("jobs", "list", JOBFLEET_URL=url)
    assert (refused.returncode, "JOBFLEET_URL" in refused.stderr) == (2, True)
    assert "secret" not in refused.stderr


@pytest.mark.parametrize("command", ["worker", "dashboard", "migrate", "audit verify"])
def test_a_command_that_needs_the_storage_refuses_by_its_name(far: Cli, command: str) -> None:
    refused = far.run(*command.split())
    assert refused.returncode == 2, refused.stdout
    assert f"jobfleet {command}` needs the storage" in refused.stderr
    assert not (far.folder / ".jobfleet").exists()


def test_every_command_is_either_remote_or_refuses() -> None:
    remote = {"jobs", "publish", "workers", "queues", "locks", "errors", "types", "events"}
    remote |= {"schedules", "limits", "groups"}
    refuses = {"worker", "up", "dashboard", "doctor", "migrate", "audit"}
    assert set(COMMANDS) == remote | refuses | _NO_STORAGE


@pytest.mark.parametrize("answer", [b"[]", b'{"items": [1]}'])
def test_a_server_that_is_no_dashboard_is_named_and_shows_no_traceback(
    cli: Cli, answer: bytes
) -> None:
    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        Thread(target=server.serve_forever).start()
        address = f"http://127.0.0.1:{server.server_port}"
        done = cli.run("jobs", "list", JOBFLEET_URL=address, JOBFLEET_API_KEY=OPERATOR)
        server.shutdown()
    assert done.returncode == 2
    assert f"{address} answers in another form than a dashboard does" in done.stderr
    assert "Traceback" not in done.stderr
